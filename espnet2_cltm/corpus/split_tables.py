"""What the audio store writes of a split when its chunks are decoded.

A data directory of what was kept, ``utt2num_samples``, ``rejected.tsv`` (utt, audio,
reason) and ``remarks.tsv`` (utt, remark: what was clipped, sampled at less than 16 kHz
or has a telephone's band). ``wav.scp`` comes last but for ``.fingerprint``, whose
checksums tell later readers which tables were changed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.audio_chunks import Chunk, Outcome
from espnet2_cltm.corpus.datadir import Utterance, write_data_dir
from espnet2_cltm.corpus.phones import read_phones
from espnet2_cltm.corpus.stored import FINGERPRINT, checksums_of_tables, write_undecoded
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_rows, write_text


@dataclass(frozen=True)
class Split:
    """One split: where it goes, what it is made of.

    Attributes:
        directory: The split in the store.
        utterances: All that it may hold, sorted by id.
        done: Chunks that are there.
        missing: Chunks to be decoded.
        fingerprint: Hash of what the tables are made from.
        phones: Times of phones in the data directory.
    """

    directory: Path
    utterances: list[Utterance]
    done: list[Chunk]
    missing: list[Chunk]
    fingerprint: str
    phones: Path

    @property
    def chunks(self) -> list[Chunk]:
        """All chunks."""
        return [*self.done, *self.missing]


def is_complete(split: Split) -> bool:
    """Return whether every table of a split is as it was written."""
    wav_scp = split.directory / "wav.scp"
    try:
        text = (split.directory / FINGERPRINT).read_text(encoding="utf-8")
        fingerprint, *tables = text.splitlines()
        is_whole = set(tables) <= set(checksums_of_tables(split.directory))
        return is_whole and wav_scp.exists() and fingerprint == split.fingerprint
    except (OSError, ValueError):
        return False


def mark_incomplete(directory: Path) -> None:
    """Make a split of the store one that is to be written again."""
    (directory / "wav.scp").unlink(missing_ok=True)


def write_split(split: Split, outcomes: list[Outcome]) -> None:
    """Write a split's tables, if they are not as they should be.

    Args:
        split: The split, its chunks decoded.
        outcomes: What became of its utterances, sorted by id.

    Raises:
        UserError: A phone's time is beyond its audio, or the file system refuses.
    """
    if is_complete(split):
        return
    kept = [outcome for outcome in outcomes if not outcome.reason]
    _write_rejected(split.directory, outcomes)
    remarks = [(one.utterance.id, remark) for one in kept for remark in one.remarks]
    write_rows(split.directory / "remarks.tsv", [("utt", "remark"), *remarks])
    lengths = "".join(f"{one.utterance.id} {one.n_samples}\n" for one in kept)
    write_text(split.directory / "utt2num_samples", lengths)
    decoded = {one.utterance.id for one in outcomes}
    left = [u for u in split.utterances if u.id not in decoded]
    write_undecoded(split.directory, left)
    utterances = [
        replace(
            one.utterance,
            audio=one.location,
            segment=None,
            duration=one.n_samples / SAMPLE_RATE,
        )
        for one in kept
    ]
    phones = read_phones(
        split.phones,
        {utterance.id for utterance in split.utterances},
        {one.utterance.id: one.n_samples / SAMPLE_RATE for one in kept},
    )
    write_data_dir(split.directory, utterances, phones)
    if left and not utterances:
        for name in ("utt2spk", "wav.scp"):
            write_text(split.directory / name, "")
    lines = [split.fingerprint, *checksums_of_tables(split.directory)]
    write_text(split.directory / FINGERPRINT, "\n".join(lines) + "\n")


def refuse_losses(
    lang: str,
    outcomes: Mapping[Path, list[Outcome]],
    rejected: Counter[str],
    allowed: float,
) -> NoReturn:
    """Leave ``rejected.tsv`` of each split, and no ``wav.scp``, and say what is lost.

    Args:
        lang: The language.
        outcomes: What became of its utterances, by the split's directory.
        rejected: Number of utterances left out, by reason.
        allowed: Share that may be rejected.

    Raises:
        UserError: Always.
    """
    for directory, of_split in outcomes.items():
        mark_incomplete(directory)
        _write_rejected(directory, of_split)
    lost, total = rejected.total(), sum(map(len, outcomes.values()))
    reason, n_reason = max(rejected.items(), key=lambda item: (item[1], item[0]))
    example = next(o for of in outcomes.values() for o in of if o.reason == reason)
    worst = max(
        outcomes, key=lambda split: sum(bool(o.reason) for o in outcomes[split])
    )
    raise UserError(
        f"{lang}: {lost} of {total} utterances ({lost / total:.1%}) cannot be used, "
        f"most often because '{_why(example)}' ({n_reason}), and no more than "
        f"{allowed:.1%} may be lost: look at {worst / 'rejected.tsv'} and put the "
        "recordings right, or allow it with --max_rejected."
    )


def _write_rejected(directory: Path, outcomes: list[Outcome]) -> None:
    rejected = (
        (o.utterance.id, o.utterance.audio, _why(o)) for o in outcomes if o.reason
    )
    write_rows(directory / "rejected.tsv", [("utt", "audio", "reason"), *rejected])


def _why(outcome: Outcome) -> str:
    return f"{outcome.reason} ({outcome.detail})" if outcome.detail else outcome.reason
