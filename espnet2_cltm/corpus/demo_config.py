"""The demo corpus's YAML file (``conf/demo.yaml``), read and checked.

Ranges are ``[lowest, highest]``, both ends included. Pitch is in Hz, formants in
percent of espeak-ng's neutral voice.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from espnet2_cltm.corpus.datadir import GENDERS, SPLITS
from espnet2_cltm.corpus.demo_prompts import KINDS
from espnet2_cltm.errors import UserError

Range = tuple[int, int]

MAX_SPEAKERS, MAX_UTTERANCES = 99, 99
"""Per gender and per speaker: ids have two digits."""


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
        speakers: Per gender.
        utterances: Per speaker.
    """

    speakers: int
    utterances: int


@dataclass(frozen=True)
class DemoConfig:
    """The whole file.

    Attributes:
        languages: Made when no others are asked for.
        seed: Of every draw.
        splits: Sizes by split name.
        voices: By gender, ``f`` and ``m``.
        intonation: Percent of the pitch that a speaker's intonation spans.
        moods: Percent of the speaker's pitch that an utterance is spoken at.
        single_formants: Percent by which each formant is moved on its own.
        flutter: espeak-ng's measure of unsteady pitch; 2 is its own choice.
        rate: Words per minute.
        volume: Percent of espeak-ng's own choice.
        prompts: Kinds of prompt, taken in turn.
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
        path: Usually ``conf/demo.yaml``.

    Raises:
        UserError: No file is given, it cannot be read, or a value is missing,
            unknown or out of range.
    """
    if path is None:
        raise UserError(
            "The demo corpus needs its configuration: give the path of conf/demo.yaml."
        )
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give the path of "
            "conf/demo.yaml."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is not a YAML file ({reason}): correct it there."
        ) from error
    return _Reader(Path(path)).config(content)


@dataclass(frozen=True)
class _Reader:
    """Turns parsed YAML into dataclasses; knows the file's name for messages."""

    path: Path

    def config(self, content: Any) -> DemoConfig:
        top = self.table(content, "the file", DemoConfig.__dataclass_fields__)
        splits = self.table(top["splits"], "splits", SPLITS)
        voices = self.table(top["voices"], "voices", GENDERS)
        return DemoConfig(
            languages=self.names(top["languages"], "languages"),
            seed=self.number(top["seed"], "seed", 0, 2**31),
            splits={
                name: self.split_size(splits[name], f"splits: {name}")
                for name in SPLITS
            },
            voices={
                gender: self.voice_ranges(voices[gender], f"voices: {gender}")
                for gender in GENDERS
            },
            prompts=self.names(top["prompts"], "prompts", KINDS),
            **{
                name: self.range(top[name], name, name)
                for name in (
                    "intonation",
                    "moods",
                    "single_formants",
                    "flutter",
                    "rate",
                    "volume",
                )
            },
        )

    def split_size(self, content: Any, place: str) -> SplitSize:
        table = self.table(content, place, SplitSize.__dataclass_fields__)
        return SplitSize(
            speakers=self.number(
                table["speakers"], f"{place}: speakers", 1, MAX_SPEAKERS
            ),
            utterances=self.number(
                table["utterances"], f"{place}: utterances", 1, MAX_UTTERANCES
            ),
        )

    def voice_ranges(self, content: Any, place: str) -> VoiceRanges:
        table = self.table(content, place, VoiceRanges.__dataclass_fields__)
        return VoiceRanges(
            variants=self.names(table["variants"], f"{place}: variants"),
            pitch=self.range(table["pitch"], "pitch", f"{place}: pitch"),
            formants=self.range(table["formants"], "formants", f"{place}: formants"),
        )

    def table(self, content: Any, place: str, keys: Any) -> dict[str, Any]:
        keys = list(keys)
        wanted = f"a mapping with the keys {', '.join(keys)}"
        if not isinstance(content, dict):
            raise self.refusal(place, wanted)
        for key in keys:
            if key not in content:
                raise self.refusal(place, f"{wanted} ({key} is missing)")
        for key in content:
            if key not in keys:
                raise self.refusal(place, f"{wanted} ({key} is not known)")
        return content

    def names(self, content: Any, place: str, known: Any = None) -> tuple[str, ...]:
        valid = isinstance(content, list) and all(
            isinstance(name, str) and (known is None or name in known)
            for name in content
        )
        if not valid or not content:
            # YAML reads a bare no, on or off as a truth value: hence the quotes.
            wanted = (
                f"taken from {', '.join(known)}" if known else "in quotes if need be"
            )
            raise self.refusal(place, f"a list of names, {wanted}")
        return tuple(content)

    def number(self, content: Any, place: str, lowest: int, highest: int) -> int:
        if type(content) is not int or not lowest <= content <= highest:
            raise self.refusal(place, f"a whole number from {lowest} to {highest}")
        return content

    def range(self, content: Any, name: str, place: str) -> Range:
        lowest, highest = _LIMITS[name]
        valid = (
            isinstance(content, list)
            and len(content) == 2
            and all(type(end) is int for end in content)
            and lowest <= content[0] <= content[1] <= highest
        )
        if not valid:
            raise self.refusal(
                place,
                f"[lowest, highest] in whole numbers from {lowest} to {highest}",
            )
        return content[0], content[1]

    def refusal(self, place: str, wanted: str) -> UserError:
        return UserError(f"{self.path}, {place}: write {wanted}.")
