"""What is drawn for the demo corpus: its speakers, their voices, and what they say.

A speaker is a timbre (one of espeak-ng's voice variants), a pitch, formants, and a
manner of speaking, drawn from the ranges of the speaker's gender; the pitch rises and
falls from utterance to utterance with the speaker's mood. Within a gender and
a split every range is covered evenly: it is cut into as many parts as there are
speakers, and each part is used once, so that six test speakers are as varied as
twenty. All values are whole numbers, and so the same on every machine.

Prompts are digits, which espeak-ng reads by each language's own rules, so that they
serve every language without any text of it; or names, in which more of its sounds
occur. Of a generator only ``random()`` is used, whose sequence Python keeps the same
from version to version.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from espnet2_cltm.corpus.allowed_words import GENDERS
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.corpus.demo_config import DemoConfig, Range
from espnet2_cltm.corpus.emoji import emoji_names
from espnet2_cltm.corpus.espeak import variant_file, voice_lines
from espnet2_cltm.errors import UserError

MIN_NAMES = 50
"""With fewer, a language's prompts would repeat each other."""

_FORMANTS = range(9)
# What a variant may say about the timbre. The rest either belongs to the speaker or
# the language (pitch, intonation, speed), or computes in floating point (breath,
# klatt), which need not give the same last bit on every processor.
_TIMBRE = ("roughness", "tone", "voicing", "consonants", "stressAmp")
# ASCII and full-width brackets.
_BRACKETS = re.compile(r"\s*[(\uff08].*?[)\uff09]")
# Hyphen, apostrophes, and the marks that repeat a sign or lengthen a vowel in Japanese.
_JOINERS = "-'\u2019\u3005\u30fc"


@dataclass(frozen=True)
class Speaker:
    """One speaker of one language.

    Attributes:
        id: ``<lang>-<f|m><number>``.
        gender: ``f`` or ``m``.
        split: ``train``, ``dev`` or ``test``.
        variant: espeak-ng's voice variant that gives the timbre.
        pitch: Hz, the lower end of the intonation.
        intonation: Hz, how far the intonation rises above it.
        formants: Percent for formants 0 to 8, relative to a neutral voice.
        flutter: espeak-ng's measure of unsteady pitch.
        rate: Words per minute.
        volume: Percent.
    """

    id: str
    gender: str
    split: str
    variant: str
    pitch: int
    intonation: int
    formants: tuple[int, ...]
    flutter: int
    rate: int
    volume: int


def draw_speakers(config: DemoConfig, lang: str) -> list[Speaker]:
    """Draw a language's speakers; other languages do not matter to it.

    Returns:
        Women before men; train, dev, test within a gender; numbered in that order.
    """
    speakers = []
    for gender in GENDERS:
        number = 0
        for split in SPLITS:
            for speaker in _draw_group(config, lang, gender, split):
                number += 1
                name = f"{lang}-{gender}{number:02d}"
                speakers.append(Speaker(id=name, gender=gender, split=split, **speaker))
    return speakers


def draw_moods(config: DemoConfig, speaker: Speaker) -> list[int]:
    """Draw in which mood a speaker says each utterance, in percent of the pitch.

    A speaker's utterances cover the range evenly, in an order that is drawn.
    """
    random = Random(f"{config.seed} {speaker.id} moods")
    return _spread(random, config.moods, config.splits[speaker.split].utterances)


def _draw_group(
    config: DemoConfig, lang: str, gender: str, split: str
) -> list[dict[str, Any]]:
    count = config.splits[split].speakers
    ranges = config.voices[gender]
    random = Random(f"{config.seed} {lang} {gender} {split}")
    pitches = _spread(random, ranges.pitch, count)
    scales = _spread(random, ranges.formants, count)
    intonations = _spread(random, config.intonation, count)
    flutters = _spread(random, config.flutter, count)
    rates = _spread(random, config.rate, count)
    volumes = _spread(random, config.volume, count)
    variants = _shuffled(
        random, [ranges.variants[n % len(ranges.variants)] for n in range(count)]
    )
    return [
        {
            "variant": variants[n],
            "pitch": pitches[n],
            "intonation": pitches[n] * intonations[n] // 100,
            "formants": tuple(
                scales[n] * _between(random, *config.single_formants) // 100
                for _ in _FORMANTS
            ),
            "flutter": flutters[n],
            "rate": rates[n],
            "volume": volumes[n],
        }
        for n in range(count)
    ]


def _spread(random: Random, limits: Range, count: int) -> list[int]:
    """Draw one value from each of ``count`` equal parts of a range, in any order."""
    lowest, highest = limits
    width = highest - lowest + 1
    return _shuffled(
        random,
        [lowest + int((n + random.random()) * width / count) for n in range(count)],
    )


def _between(random: Random, lowest: int, highest: int) -> int:
    return lowest + int(random.random() * (highest - lowest + 1))


def _shuffled(random: Random, values: list[Any]) -> list[Any]:
    # Not random.shuffle: only random() keeps its sequence between Python versions.
    return [value for _, value in sorted((random.random(), value) for value in values)]


def voice_text(speaker: Speaker, mood: int = 100) -> str:
    """Write the lines that make espeak-ng's voice of any language this speaker's.

    Args:
        speaker: Speaker whose voice it is.
        mood: Percent of the speaker's pitch and intonation.

    Returns:
        Lines of a voice file. The variant's formants keep their relation to each other
        and their strength; their mean, which would give the gender away, is replaced
        by the speaker's.
    """
    pitch = speaker.pitch * mood // 100
    lines: list[list[Any]] = [
        ["pitch", pitch, pitch + speaker.intonation * mood // 100],
        ["flutter", speaker.flutter],
    ]
    variant = voice_lines(variant_file(speaker.variant))
    lines += [line for line in variant if line[0] in _TIMBRE]
    formants = {number: [100, 100, 100] for number in _FORMANTS}
    for key, *values in variant:
        if key == "formant":
            number, frequency, *strength = map(int, values)
            formants[number] = [frequency, *strength[:2]]
    mean = sum(formants[number][0] for number in (1, 2, 3)) // 3
    for number, (frequency, *strength) in formants.items():
        scaled = frequency * speaker.formants[number] // mean
        lines.append(["formant", number, scaled, *strength])
    return "".join(" ".join(map(str, line)) + "\n" for line in lines)


def draw_prompt(kind: str, random: Random, lang: str, split: str = "") -> str:
    """Draw one prompt.

    Args:
        kind: One of :data:`.PROMPTS`.
        random: Generator.
        lang: Language that names are taken from.
        split: Split that emoji are taken from; empty for all.

    Returns:
        Digits, colons and spaces; or names.

    Raises:
        UserError: There are no names of the language.
    """
    if kind == "number":
        return str(_between(random, 10_000, 99_999))
    if kind == "date":
        limits = ((1, 28), (1, 12), (1950, 2029))
        return " ".join(str(_between(random, *ends)) for ends in limits)
    if kind == "times":
        hours_and_minutes = ((0, 23), (10, 59), (0, 23), (10, 59))
        one, two, three, four = (_between(random, *e) for e in hours_and_minutes)
        return f"{one}:{two} {three}:{four}"
    if kind == "digits":
        return " ".join(str(_between(random, 0, 9)) for _ in range(6))
    if kind in ("emoji", "known_emoji"):
        shown = list(emoji_names(lang, split if kind == "emoji" else "train"))
        if not shown:
            raise UserError(
                f"There are no names of emoji in the language {lang!r}: leave it out, "
                "or take 'emoji' out of the corpus's prompts."
            )
        return shown[_between(random, 0, len(shown) - 1)]
    names = names_of(lang)
    count = 2 if kind == "two_names" else 8
    return " ".join(names[_between(random, 0, len(names) - 1)] for _ in range(count))


@lru_cache(maxsize=256)
def names_of(lang: str) -> tuple[str, ...]:
    """Return words in a language's own spelling: names from Unicode's CLDR.

    CLDR, which the package babel ships for some hundred languages, names territories,
    languages, scripts, currencies, cities, months and days. Only names that the
    language writes itself are kept: spelled in letters of its main script, without
    explanations in brackets. They depend on nothing but the language and babel's
    version.

    Args:
        lang: Code of espeak-ng's, such as ``pt-br`` or ``hu``.

    Returns:
        Names, each once, sorted by code point.

    Raises:
        UserError: CLDR has too few names.
    """
    from babel import Locale
    from babel.core import UnknownLocaleError

    try:
        locale = Locale.parse(lang, sep="-")
    except (UnknownLocaleError, ValueError):
        spelled: list[str] = []
    else:
        spelled = spelled_in_letters(_every_name(locale))
    script = main_script(spelled)
    names = sorted({name for name in spelled if scripts(name) == {script}})
    if len(names) < MIN_NAMES:
        raise UserError(
            f"The package babel has {len(names)} names in the language {lang!r}, too "
            f"few for prompts of the kind 'names' ({MIN_NAMES}): leave the language "
            "out."
        )
    return tuple(names)


def _every_name(locale: Any) -> list[str]:
    names: list[str] = []
    for table in (
        locale.territories,
        locale.languages,
        locale.scripts,
        locale.currencies,
        locale.months["format"]["wide"],
        locale.days["format"]["wide"],
    ):
        names += table.values()
    names += [zone["city"] for zone in locale.time_zones.values() if "city" in zone]
    return names


def spelled_in_letters(names: list[str]) -> list[str]:
    """Return names without what stands in brackets, those that are letters alone."""
    bare = (_BRACKETS.sub("", name).strip() for name in names)
    # Marks and format characters join the letters of Arabic and Indic scripts. Modifier
    # letters (Lm) stand in foreign names, which espeak-ng reads in another language.
    letters = {"Lu", "Ll", "Lt", "Lo", "Mn", "Mc", "Cf", "Zs"}
    return [
        name
        for name in bare
        if len(name) > 1
        and all(
            unicodedata.category(character) in letters or character in _JOINERS
            for character in name
        )
    ]


def main_script(names: list[str]) -> str | None:
    """Name the script that most letters of names are of; None where there are none."""
    counts = Counter(script for name in names for script in scripts(name))
    return max(counts, key=lambda script: (counts[script], script), default=None)


def scripts(name: str) -> set[str]:
    """Name the scripts of a name's letters; Japanese writes with three."""
    scripts = {
        unicodedata.name(character, "?").split()[0]
        for character in name
        if unicodedata.category(character)[0] == "L"
    } - {"IDEOGRAPHIC", "KATAKANA-HIRAGANA"}
    return {"CJK" if one in ("HIRAGANA", "KATAKANA") else one for one in scripts}
