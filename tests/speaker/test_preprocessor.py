"""From ESPnet's data to the speaker model's: scale, classes, crops, pairs."""

import random

import numpy as np
import pytest
import soundfile
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.preprocessor import (
    PairPreprocessor,
    SpeakerPreprocessor,
    read_spk2utt,
)
from tests.speech import write_dump


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dump")
    write_dump(directory, ["es"], {"train": 2})
    return directory


def test_classes_follow_the_order_of_spk2utt(tmp_path):
    (tmp_path / "spk2utt").write_text("b b-1 b-2\na a-1\n")
    prepare = SpeakerPreprocessor(True, str(tmp_path / "spk2utt"))
    for speaker, label in (("b", 0), ("a", 1)):
        ready = prepare("x", {"speech": np.ones(4, np.int16), "spk_labels": speaker})
        np.testing.assert_array_equal(ready["spk_labels"], [label])
        np.testing.assert_array_equal(ready["speech"], np.float32([2**-15] * 4))
    with pytest.raises(UserError, match="Utterance x is by the speaker c, who is not"):
        prepare("x", {"speech": np.ones(4, np.int16), "spk_labels": "c"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a a-1\nb\n", "line 2: the speaker 'b' has no utterance"),
        ("a a-1\n\n", "line 2: the speaker '' has no utterance"),
        ("a a-1\na a-2\n", "line 2: .*'a'"),
    ],
)
def test_unusable_spk2utt_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "spk2utt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_spk2utt(tmp_path / "spk2utt")


def test_crops_are_pieces_of_the_utterance_repeated_where_it_is_short(tmp_path):
    (tmp_path / "spk2utt").write_text("a a-1\n")
    prepare = SpeakerPreprocessor(True, str(tmp_path / "spk2utt"), target_duration=0.05)
    random.seed(0)
    starts = set()
    for _ in range(20):
        crop = prepare.prepare_speech(np.arange(1600, dtype=np.float32))
        np.testing.assert_array_equal(np.diff(crop), np.ones(799))
        starts.add(crop[0])
    assert len(starts) > 10
    crop = prepare.prepare_speech(np.arange(100, dtype=np.float32))
    np.testing.assert_array_equal(
        crop, np.resize(np.arange(100), 900)[int(crop[0]) :][:800]
    )


# Siamese pairs.


@pytest.fixture(scope="module")
def pairs(dump, tmp_path_factory):
    """Give a preprocessor, where the last speaker has one utterance."""
    data = dump / "es/train"
    lines = (data / "spk2utt").read_text().splitlines()
    speaker, first, *_ = lines[-1].split()
    spk2utt = tmp_path_factory.mktemp("pairs") / "spk2utt"
    spk2utt.write_text("\n".join([*lines[:-1], f"{speaker} {first}"]) + "\n")
    wav_scp = str(data / "wav.scp")
    return PairPreprocessor(True, str(spk2utt), data=[(wav_scp, "speech", "kaldi_ark")])


def draw(pairs, seed, times=40):
    set_all_random_seed(seed)
    return [
        (utt, *pairs._draw_partner(utt, label))
        for label, utts in enumerate(pairs.speakers.values())
        for utt in utts
        for _ in range(times)
    ]


def test_partners_are_of_the_speaker_that_the_label_says(pairs):
    speaker_of = {utt: name for name, utts in pairs.speakers.items() for utt in utts}
    drawn = draw(pairs, seed=1)
    for utt, partner, is_same in drawn:
        assert partner != utt
        assert (speaker_of[partner] == speaker_of[utt]) == is_same
    for utt in speaker_of:  # every other utterance can be drawn
        partners = {partner for first, partner, _ in drawn if first == utt}
        assert len(partners) > 6


def test_about_half_of_the_pairs_are_of_one_speaker(pairs):
    lonely = pairs.speakers[pairs.names[-1]][0]
    same = [is_same for utt, _, is_same in draw(pairs, seed=2) if utt != lonely]
    # 480 draws: six standard deviations around a half.
    assert abs(np.mean(same) - 0.5) < 6 * np.sqrt(0.25 / len(same))


def test_speaker_with_one_utterance_gets_partners_of_others_only(pairs):
    lonely = pairs.speakers[pairs.names[-1]][0]
    assert not any(same for utt, _, same in draw(pairs, seed=3) if utt == lonely)


def test_pairs_follow_from_the_seed(pairs):
    assert draw(pairs, seed=4) == draw(pairs, seed=4)
    assert draw(pairs, seed=4) != draw(pairs, seed=5)


def test_pair_holds_both_waveforms_and_the_label(pairs, dump):
    audio = read_table(dump / "es/train/wav.scp")
    label, utt = 1, pairs.speakers[pairs.names[1]][0]
    set_all_random_seed(6)
    partner, is_same = pairs._draw_partner(utt, label)
    set_all_random_seed(6)
    data = {"speech": load_audio(audio[utt]), "spk_labels": pairs.names[label]}
    ready = pairs(utt, data)
    np.testing.assert_array_equal(ready["speech"], load_audio(audio[utt]))
    np.testing.assert_array_equal(ready["speech2"], load_audio(audio[partner]))
    np.testing.assert_array_equal(ready["spk_labels"], [is_same])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a a-1 a-2\n", "has one speaker only: pairs need two or more"),
        ("a a-1\nb b-1\n", "names the utterance a-1, which is not in"),
    ],
)
def test_pairs_that_cannot_be_made_are_refused(dump, tmp_path, text, message):
    (tmp_path / "spk2utt").write_text(text)
    wav_scp = str(dump / "es/train/wav.scp")
    with pytest.raises(UserError, match=message):
        PairPreprocessor(
            True,
            str(tmp_path / "spk2utt"),
            data=[(wav_scp, "speech", "kaldi_ark")],
        )


@pytest.mark.parametrize("options", ["rir", "noise"])
def test_noise_of_another_rate_is_refused(tmp_path, options):
    (tmp_path / "spk2utt").write_text("a a-1\nb b-1\n")
    soundfile.write(tmp_path / "n.wav", np.ones(800), 8000)
    (tmp_path / "n.scp").write_text(f"n {tmp_path}/n.wav\n")
    scp = str(tmp_path / "n.scp")
    augmentation = (
        {"rir_scp": scp, "rir_apply_prob": 1.0}
        if options == "rir"
        else {"noise_info": [(1.0, scp, (1, 1), (0.0, 5.0))], "noise_apply_prob": 1.0}
    )
    with pytest.raises(UserError, match=r"n\.wav, of noise_info or rir_scp, has 8000"):
        SpeakerPreprocessor(True, str(tmp_path / "spk2utt"), **augmentation)
