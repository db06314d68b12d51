"""The demo's speakers and prompts: spread evenly, alike enough to be confused."""

import random
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.demo_config import (
    PROMPTS,
    DemoConfig,
    SplitSize,
    VoiceRanges,
    read_config,
)
from espnet2_cltm.corpus.demo_drawing import (
    MIN_NAMES,
    Speaker,
    draw_moods,
    draw_prompt,
    draw_speakers,
    names_of,
    voice_text,
)
from espnet2_cltm.errors import UserError

CONFIG = read_config(Path(__file__).parents[2] / "conf" / "demo.yaml")


def best_threshold_accuracy(low, high):
    """Accuracy of the best rule 'above t is high', found by trying every t."""
    return max(
        sum(value <= t for value in low) + sum(value > t for value in high)
        for t in low + high
    ) / (len(low) + len(high))


@pytest.mark.parametrize("lang", CONFIG.languages)
@pytest.mark.parametrize(
    "trait", [lambda speaker: speaker.pitch, lambda speaker: speaker.formants[2]]
)
def test_one_trait_hints_at_the_gender_but_does_not_tell_it(lang, trait):
    speakers = draw_speakers(CONFIG, lang)
    men = [trait(speaker) for speaker in speakers if speaker.gender == "m"]
    women = [trait(speaker) for speaker in speakers if speaker.gender == "f"]
    assert 0.6 < best_threshold_accuracy(men, women) < 0.9


@given(st.integers(1, 20), st.integers(0, 2**31), st.sampled_from(["es", "tr", "ka"]))
def test_every_part_of_a_range_is_used_once(count, seed, lang):
    size = SplitSize(speakers=count, utterances=1)
    config = replace(
        CONFIG, seed=seed, splits={name: size for name in ("train", "dev", "test")}
    )
    speakers = draw_speakers(config, lang)
    ids = [speaker.id for speaker in speakers]
    assert ids == sorted(set(ids)) and len(ids) == 6 * count
    for gender in "fm":
        lowest, highest = config.voices[gender].pitch
        part = (highest - lowest + 1) / count
        for split in ("train", "dev", "test"):
            pitches = sorted(
                speaker.pitch
                for speaker in speakers
                if (speaker.gender, speaker.split) == (gender, split)
            )
            assert len(pitches) == count
            for number, pitch in enumerate(pitches):
                assert number * part - 1 < pitch - lowest < (number + 1) * part


def test_speakers_depend_on_seed_and_language_but_not_on_other_splits():
    def draw(config, lang="es"):
        return {
            (s.gender, s.split, s.pitch, s.formants)
            for s in draw_speakers(config, lang)
        }

    assert draw(CONFIG) != draw(replace(CONFIG, seed=CONFIG.seed + 1))
    assert draw(CONFIG) != draw(CONFIG, "tr")
    more = {**CONFIG.splits, "train": SplitSize(speakers=11, utterances=1)}
    same = draw(CONFIG) & draw(replace(CONFIG, splits=more))
    assert {split for _, split, *_ in same} == {"dev", "test"}


def test_a_drawn_speaker_is_fixed_for_all_time():
    # Written down once; another Python, machine or hash seed must draw the same.
    config = DemoConfig(
        languages=("es",),
        seed=1,
        splits={name: SplitSize(2, 1) for name in ("train", "dev", "test")},
        voices={
            "f": VoiceRanges(("f1", "f2"), (120, 220), (98, 118)),
            "m": VoiceRanges(("m1", "m2"), (70, 160), (90, 106)),
        },
        intonation=(25, 50),
        moods=(80, 125),
        single_formants=(96, 104),
        flutter=(1, 6),
        rate=(150, 200),
        volume=(60, 100),
        prompts=("digits",),
    )
    assert draw_speakers(config, "es")[7] == Speaker(
        id="es-m02",
        gender="m",
        split="train",
        variant="m2",
        pitch=112,
        intonation=53,
        formants=(99, 96, 94, 94, 92, 99, 97, 92, 96),
        flutter=4,
        rate=169,
        volume=83,
    )
    assert draw_prompt("digits", random.Random("1 es"), "es") == "1 0 0 7 9 6"
    more = replace(config, splits={"train": SplitSize(2, 4)})
    assert draw_moods(more, draw_speakers(config, "es")[7]) == [122, 97, 104, 91]


@given(st.integers(1, 99), st.integers(0, 2**31))
def test_a_speakers_moods_cover_the_range_evenly(count, seed):
    config = replace(
        CONFIG, seed=seed, moods=(60, 159), splits={"train": SplitSize(1, count)}
    )
    speaker = Speaker("es-f01", "f", "train", "f1", 150, 50, (100,) * 9, 2, 170, 100)
    moods = sorted(draw_moods(config, speaker))
    assert len(moods) == count
    for number, mood in enumerate(moods):
        assert number * 100 / count - 1 < mood - 60 < (number + 1) * 100 / count


def test_a_mood_changes_the_pitch_and_nothing_else():
    speaker = replace(draw_speakers(CONFIG, "es")[0], pitch=150, intonation=50)
    calm, angry = voice_text(speaker).splitlines(), voice_text(speaker, 120)
    assert calm[0] == "pitch 150 200"
    assert angry.splitlines() == ["pitch 180 240", *calm[1:]]


def test_every_speaker_has_a_voice_of_their_own():
    voices = [
        voice_text(speaker)
        for lang in CONFIG.languages
        for speaker in draw_speakers(CONFIG, lang)
    ]
    assert len(set(voices)) == len(voices)


def test_any_variant_of_espeak_can_give_the_timbre():
    speaker = draw_speakers(CONFIG, "es")[0]
    variants = sorted(p.name for p in espeak.variant_file("f1").parent.iterdir())
    assert len(variants) > 50
    for variant in variants:
        lines = [
            line.split()
            for line in voice_text(replace(speaker, variant=variant)).splitlines()
        ]
        keys = [line[0] for line in lines]
        assert keys.count("pitch") == 1 and keys.count("formant") == 9
        assert not {"klatt", "breath", "name", "gender", "language"} & set(keys)


def test_the_mean_of_the_vowel_formants_is_the_speakers():
    speaker = replace(draw_speakers(CONFIG, "es")[0], formants=(110,) * 9)
    for variant in ("f4", "m1"):
        text = voice_text(replace(speaker, variant=variant))
        first = re.findall(r"^formant [123] (\d+)", text, re.MULTILINE)
        assert sum(map(int, first)) / 3 == pytest.approx(110, abs=2)


@given(
    st.sampled_from(
        [kind for kind in PROMPTS if not kind.endswith(("names", "emoji"))]
    ),
    st.integers(),
)
def test_prompts_but_names_need_no_letters(kind, seed):
    prompt = draw_prompt(kind, random.Random(seed), "es")
    assert re.fullmatch(r"[0-9][0-9: ]*[0-9]", prompt)
    assert prompt == draw_prompt(kind, random.Random(seed), "es")
    for hour, minute in re.findall(r"(\d+):(\d+)", prompt):
        assert int(hour) < 24 and int(minute) < 60


@pytest.mark.parametrize(
    ("lang", "script", "name"),
    [
        ("fi", "LATIN", "Saksa"),
        ("el", "GREEK", "Γερμανία"),
        ("hi", "DEVANAGARI", "जर्मनी"),
        ("ko", "HANGUL", "독일"),
        ("pt-br", "LATIN", "janeiro"),
    ],
)
def test_names_are_written_in_the_languages_own_letters(lang, script, name):
    names = names_of(lang)
    assert name in names
    assert len(names) >= MIN_NAMES
    assert list(names) == sorted(set(names))
    letters = {
        one for name in names for one in name if unicodedata.category(one) == "Lo"
    }
    letters |= {one for name in names for one in name if one.isupper() or one.islower()}
    assert {unicodedata.name(letter).split()[0] for letter in letters} == {script}


def test_names_hold_nothing_that_is_not_spoken():
    for lang in ("en", "ru", "th"):
        assert not any(set(name) & set("()[]/,.0123456789&") for name in names_of(lang))


def test_a_prompt_is_eight_names_of_the_language():
    prompt = draw_prompt("names", random.Random(3), "hu")
    assert prompt == draw_prompt("names", random.Random(3), "hu")
    assert prompt != draw_prompt("names", random.Random(4), "hu")
    words = {word for name in names_of("hu") for word in name.split()}
    assert len(prompt.split()) >= 8
    assert set(prompt.split()) <= words


@pytest.mark.parametrize("lang", ["jbo", "qya", "no such-language"])
def test_a_language_with_too_few_names_is_refused(lang):
    with pytest.raises(UserError, match=rf"names in the language '{lang}', too few"):
        names_of(lang)
