"""Untranscribed recordings of languages: which there are, which are heard, how.

A language's recordings are whatever lies in its directory: a split of the audio store
or a Kaldi directory (``train/wav.scp``, or ``wav.scp`` itself), or else audio files, at
any depth. Files have no speakers; an utterance's id is then its path.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from espnet2_cltm.corpus.audio import (
    SAMPLE_RATE,
    RejectedAudio,
    check_content,
    decode_part,
    open_recording,
)
from espnet2_cltm.corpus.common_voice_layouts import AUDIO_SUFFIXES
from espnet2_cltm.corpus.datadir import Utterance, read_data_dir
from espnet2_cltm.corpus.language import languages_below
from espnet2_cltm.errors import UserError
from espnet2_cltm.language_codes import is_language_code
from espnet2_cltm.subsets import random_order

_SHOWN = 3  # rejected recordings that a message names


def find_languages(directory: Path, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the languages that have recordings below a directory.

    Args:
        directory: Directory with a directory for each language.
        wanted: Language codes; empty for all that are there.

    Raises:
        UserError: There are none, or not all that are wanted.
    """
    return languages_below(
        *(directory, wanted, _has_recordings, "recordings"),
        "give a directory that has one for each language, with audio files, a Kaldi "
        "directory, or what stage 2 left in --dumpdir",
    )


def _has_recordings(directory: Path) -> bool:
    if not (is_language_code(directory.name) and directory.is_dir()):
        return False
    return _tables(directory) is not None or any(_audio_files(directory))


def _tables(directory: Path) -> Path | None:
    for place in (directory / "train", directory):
        if (place / "wav.scp").exists():
            return place
    return None


def _audio_files(directory: Path) -> Iterator[Path]:
    # Hidden ones, such as ._a.mp3, are what macOS writes beside a file.
    visible = (path for path in directory.rglob("*") if path.name[0] != ".")
    return (path for path in visible if path.suffix.lower() in AUDIO_SUFFIXES)


def list_recordings(directory: Path) -> list[Utterance]:
    """List a language's utterances.

    Args:
        directory: The language's own directory.

    Raises:
        UserError: There are none, or a Kaldi directory is malformed.
    """
    tables = _tables(directory)
    if tables is not None:
        found = read_data_dir(tables)
    else:
        found = [
            Utterance(str(path.relative_to(directory)), "", str(path))
            for path in sorted(_audio_files(directory))
        ]
    if not found:
        raise UserError(
            f"{directory} holds no recordings: give a directory of audio files "
            f"({' '.join(suffix[1:] for suffix in AUDIO_SUFFIXES)}) or a Kaldi "
            "directory."
        )
    return found


def choose_recordings(
    utterances: Sequence[Utterance], most: int, seed: int
) -> list[Utterance]:
    """Choose utterances at random, of as many speakers as there are.

    Each speaker gives one before any gives another.

    Args:
        utterances: All there are.
        most: Number to choose, or all where there are fewer.
        seed: Seed; the choice depends on it and the ids alone.
    """
    by_id = {utterance.id: utterance for utterance in utterances}
    turns: Counter[str] = Counter()
    ranked = []
    for place, utt in enumerate(random_order(by_id, seed, "profile")):
        utterance = by_id[utt]
        ranked.append((turns[utterance.speaker], place, utterance))
        turns[utterance.speaker] += 1
    return [utterance for *_, utterance in sorted(ranked, key=lambda one: one[:2])][
        :most
    ]


@dataclass
class Rejected:
    """What could not be used of some recordings.

    Attributes:
        reasons: Number of recordings by reason.
        examples: A few of them, each with its reason.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, utterance: Utterance, error: RejectedAudio) -> None:
        """Count one."""
        self.reasons[error.reason] += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(f"{utterance.audio} ({error})")

    def sentence(self, n_chosen: int) -> str:
        """Return how many were left out, and why; empty where none was."""
        if not self.reasons:
            return ""
        why = ", ".join(f"{n} {reason}" for reason, n in self.reasons.most_common())
        return f"{self.reasons.total()} of {n_chosen} recordings are left out: {why}"


def read_waveform(utterance: Utterance, max_seconds: float) -> np.ndarray:
    """Read the beginning of an utterance.

    Args:
        utterance: The utterance.
        max_seconds: Longest beginning.

    Returns:
        (samples,) float32 in [-1, 1) at 16 kHz.

    Raises:
        RejectedAudio: The audio cannot be used.
        UserError: The file system refuses to give the file.
    """
    segment = utterance.segment
    seconds = None if segment is None else (segment.start, segment.end)
    opened = open_recording(utterance.audio)
    try:
        samples = decode_part(opened, seconds).samples
    except RejectedAudio as error:
        if not error.reason.startswith("longer than"):
            raise
        start = 0.0 if segment is None else segment.start
        samples = decode_part(opened, (start, start + max_seconds)).samples
    samples = samples[: int(max_seconds * SAMPLE_RATE)]
    check_content(samples)
    return samples.astype(np.float32) / (1 << 15)
