"""The demo corpus's YAML file (``conf/demo.yaml``), read and checked.

Ranges are ``[lowest, highest]``, both ends included. Pitch is in Hz, formants in
percent of espeak-ng's neutral voice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from espnet2_cltm.corpus.allowed_words import GENDERS
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping

Range = tuple[int, int]

MAX_SPEAKERS, MAX_UTTERANCES = 99, 99
"""Per gender and per speaker: ids have two digits."""

PROMPTS = (
    *("number", "date", "times", "digits", "names", "two_names"),
    *("emoji", "known_emoji"),
)
"""Kinds of prompt: a number of five digits; day, month and year; two times of day; six
single digits; eight names; two names; what an emoji shows, in each split other ones;
what one of train's shows, in every split."""


@dataclass(frozen=True)
class VoiceRanges:
    """What a gender's speakers are drawn from.

    Attributes:
        variants: Names of espeak-ng's voice variants, which give the timbre.
        pitch: Hz, the lower end of a speaker's intonation.
        formants: Percent; a shorter vocal tract has higher formants.
    """

    variants: tuple[str, ...]
    pitch: Range
    formants: Range


@dataclass(frozen=True)
class SplitSize:
    """How large a split is.

    Attributes:
        speakers: Number of speakers of each gender.
        utterances: Number of utterances of each speaker.
    """

    speakers: int
    utterances: int


@dataclass(frozen=True)
class DemoConfig:
    """The whole file.

    Attributes:
        languages: Languages made when no others are asked for.
        seed: Seed of every draw.
        splits: Sizes by split name.
        voices: Ranges by gender, ``f`` and ``m``.
        intonation: Percent of the pitch that a speaker's intonation spans.
        moods: Percent of the speaker's pitch that an utterance is spoken at.
        single_formants: Percent by which each formant is moved on its own.
        flutter: espeak-ng's measure of unsteady pitch; 2 is its own choice.
        rate: Words per minute.
        volume: Percent of espeak-ng's own choice.
        prompts: Kinds of prompt (see :data:`PROMPTS`), taken in turn.
    """

    languages: tuple[str, ...]
    seed: int
    splits: dict[str, SplitSize]
    voices: dict[str, VoiceRanges]
    intonation: Range
    moods: Range
    single_formants: Range
    flutter: Range
    rate: Range
    volume: Range
    prompts: tuple[str, ...]


# The widest ranges in which espeak-ng does what it is told.
_LIMITS = {
    "pitch": (40, 400),
    "formants": (70, 150),
    "intonation": (0, 100),
    "moods": (50, 200),
    "single_formants": (80, 120),
    "flutter": (0, 20),
    "rate": (80, 300),
    "volume": (10, 100),
}


def read_config(path: Path | None) -> DemoConfig:
    """Read and check the demo corpus's YAML file.

    Args:
        path: File, usually ``conf/demo.yaml``.

    Raises:
        UserError: No file is given, it cannot be read, or a value is missing,
            unknown or out of range.
    """
    remedy = "give the path of conf/demo.yaml"
    if path is None:
        raise UserError(f"The demo corpus needs its configuration: {remedy}.")
    content = read_mapping(path, "the demo corpus's configuration", remedy)
    top = _Table(f"{path}, ", content, _names_of(DemoConfig))
    ranges = ("intonation", "moods", "single_formants", "flutter", "rate", "volume")
    return DemoConfig(
        languages=top.words("languages"),
        seed=top.whole("seed", 0, 2**31),
        splits={
            split: SplitSize(
                size.whole("speakers", 1, MAX_SPEAKERS),
                size.whole("utterances", 1, MAX_UTTERANCES),
            )
            for split, size in top.tables("splits", SPLITS, SplitSize)
        },
        voices={
            gender: VoiceRanges(
                voice.words("variants"), voice.range("pitch"), voice.range("formants")
            )
            for gender, voice in top.tables("voices", GENDERS, VoiceRanges)
        },
        prompts=top.words("prompts", PROMPTS),
        **{name: top.range(name) for name in ranges},
    )


class _Table:
    """A mapping of the file with the keys it must have.

    Args:
        place: Beginning of every message: the file and the keys above.
        content: The mapping, if it is one.
        keys: Keys, no more and no fewer.
    """

    def __init__(self, place: str, content: Any, keys: Sequence[str]):
        self._place, self._content = place, content
        wanted = f"a mapping with the keys {', '.join(keys)}"
        if not isinstance(content, dict):
            raise self._refusal(wanted)
        for key in [*keys, *content]:
            if key not in content:
                raise self._refusal(f"{wanted} ({key} is missing)")
            if key not in keys:
                raise self._refusal(f"{wanted} ({key} is not known)")

    def tables(
        self, key: str, names: Sequence[str], kind: type
    ) -> list[tuple[str, "_Table"]]:
        """Return the tables, by name, of a table; each has the fields of ``kind``."""
        table = _Table(f"{self._place}{key}: ", self._content[key], names)
        place, content = table._place, table._content
        return [
            (name, _Table(f"{place}{name}: ", content[name], _names_of(kind)))
            for name in names
        ]

    def words(self, key: str, known: Sequence[str] = ()) -> tuple[str, ...]:
        """Return a list of words, all of them known ones if some are given."""
        words = self._content[key]
        if (
            not isinstance(words, list)
            or not words
            or not all(isinstance(word, str) for word in words)
            or (known and not set(words) <= set(known))
        ):
            # YAML reads a bare no, on or off as a truth value: hence the quotes.
            which = (
                f"taken from {', '.join(known)}" if known else "in quotes if need be"
            )
            raise self._refusal(f"a list of names, {which}", key)
        return tuple(words)

    def whole(self, key: str, lowest: int, highest: int) -> int:
        """Return a whole number."""
        number = self._content[key]
        if type(number) is not int or not lowest <= number <= highest:
            raise self._refusal(f"a whole number from {lowest} to {highest}", key)
        return number

    def range(self, key: str) -> Range:
        """Return a range within the limits of its name."""
        lowest, highest = _LIMITS[key]
        ends = self._content[key]
        if (
            not isinstance(ends, list)
            or [type(end) for end in ends] != [int, int]
            or not lowest <= ends[0] <= ends[1] <= highest
        ):
            raise self._refusal(
                f"[lowest, highest] in whole numbers from {lowest} to {highest}", key
            )
        return ends[0], ends[1]

    def _refusal(self, wanted: str, key: str = "") -> UserError:
        place = f"{self._place}{key}".removesuffix(": ").removesuffix(", ")
        return UserError(f"{place}: write {wanted}.")


def _names_of(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]
