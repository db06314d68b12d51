"""The audio store: every recording of a language decoded once, into kaldi arks.

Takes ``data/<corpus>/<lang>/{train,dev,test}`` and gives the same data directories
under ``dump``, with ``wav.scp`` pointing into arks of 16 kHz mono 16-bit WAV,
``utt2num_samples``, the label files of what was kept (``utt2dur`` as measured) and
``rejected.tsv`` (utt, audio, reason). ``wav.scp`` is written last: a split that has
one is complete.

The work is cut into chunks of utterances. A chunk's name is a hash of its ids, audio
locations and the files' sizes and times; ``arks/<name>.ark`` is followed by
``arks/<name>.tsv``, whose presence says that the chunk is done. So nothing is decoded
twice, whatever kills the program, and a recording that changes is decoded again. The
bytes depend on nothing but the input: not on the number of processes, not on order.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import kaldiio

from espnet2_cltm.corpus.audio import (
    SAMPLE_RATE,
    RejectedAudio,
    check_content,
    decode,
)
from espnet2_cltm.corpus.datadir import (
    SPLITS,
    Utterance,
    audio_file,
    read_data_dir,
    write_data_dir,
)
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import cannot_write, replacing, write_text
from espnet2_cltm.progress import progress

CHUNK_SIZE = 200
"""Utterances a chunk: the most work that a kill can cost each process."""

# Part of every chunk's name: raise it when decoding gives other samples than before.
_DECODING_VERSION = 1

_FINGERPRINT = ".fingerprint"


@dataclass(frozen=True)
class LanguageAudio:
    """What the store holds of one language.

    Attributes:
        n_kept: Utterances in the store.
        seconds: Their audio.
        rejected: Utterances left out, by reason.
        n_decoded: Utterances that this call decoded; the others were there before.
    """

    n_kept: int
    seconds: float
    rejected: Counter[str]
    n_decoded: int


@dataclass(frozen=True)
class _Chunk:
    """Some utterances and the files that hold them when they are done."""

    utterances: list[Utterance]
    ark: Path
    marker: Path


@dataclass(frozen=True)
class _Split:
    """One split: where it goes, what it is made of."""

    directory: Path
    utterances: list[Utterance]
    chunks: list[_Chunk]
    fingerprint: str


@dataclass(frozen=True)
class _Outcome:
    """What became of one utterance: where it is and its length, or a reason."""

    location: str
    n_samples: int
    reason: str


def dump_language(
    data: Path, dump: Path, pool: DecodingPool, max_rejected: float = 0.05
) -> LanguageAudio:
    """Bring one language's audio store up to date with its data directories.

    Args:
        data: Holds one or more of ``train``, ``dev``, ``test``.
        dump: The store of that language; made if it is missing.
        pool: Processes that decode.
        max_rejected: Share of the language's utterances, in [0, 1], that may be
            rejected.

    Returns:
        What the store now holds.

    Raises:
        UserError: A data directory is malformed, too much is rejected (then
            ``rejected.tsv`` is there to look at, but no ``wav.scp``), a process was
            killed, or the file system refuses.
    """
    lang = data.name
    with _alone_in(dump, lang):
        splits = [
            _plan_split(data / name, dump / name)
            for name in SPLITS
            if (data / name).is_dir()
        ]
        if not splits:
            raise UserError(
                f"{data} holds none of {', '.join(SPLITS)}: run stage 1 for {lang}, or "
                "correct --datadir."
            )
        _remove_leftovers(dump, splits)
        n_decoded = _decode_missing(splits, pool, lang)
        outcomes = [_read_outcomes(split) for split in splits]
        rejected = Counter(
            outcome.reason
            for split_outcomes in outcomes
            for outcome in split_outcomes
            if outcome.reason
        )
        n_utterances = sum(len(split.utterances) for split in splits)
        if rejected.total() > max_rejected * n_utterances:
            for split, split_outcomes in zip(splits, outcomes, strict=True):
                _mark_incomplete(split.directory)
                _write_rejected(split, split_outcomes)
            raise _too_many_rejected(lang, splits, outcomes, max_rejected)
        for split, split_outcomes in zip(splits, outcomes, strict=True):
            _write_split(split, split_outcomes)
    return LanguageAudio(
        n_kept=n_utterances - rejected.total(),
        seconds=sum(
            outcome.n_samples
            for split_outcomes in outcomes
            for outcome in split_outcomes
        )
        / SAMPLE_RATE,
        rejected=rejected,
        n_decoded=n_decoded,
    )


def decode_chunk(utterances: list[Utterance], ark: Path, marker: Path) -> None:
    """Decode some utterances into one ark.

    Args:
        utterances: In the order they shall have in the ark.
        ark: Becomes a kaldi ark of 16 kHz mono 16-bit WAV.
        marker: Written last. Its first line holds the size of the ark in bytes, the
            others one utterance each: id, offset, number of samples, reason.

    Raises:
        UserError: The file system refuses to give or take a file.
    """
    lines = []
    with replacing(ark) as temporary:
        with temporary.open("wb") as entries:
            for utterance in utterances:
                try:
                    samples = decode(utterance.audio)
                    check_content(samples)
                except RejectedAudio as error:
                    lines.append(f"{utterance.id}\t0\t0\t{error.reason}\n")
                    continue
                except MemoryError:
                    raise UserError(
                        f"Memory ran out while {utterance.audio} was decoded: use a "
                        "smaller --nj, or cut that recording into shorter ones."
                    ) from None
                offset = entries.tell() + len(f"{utterance.id} ".encode())
                entry = io.BytesIO()  # kaldiio meets a full disk with a trace
                kaldiio.save_ark(entry, {utterance.id: (SAMPLE_RATE, samples)})
                entries.write(entry.getbuffer())
                lines.append(f"{utterance.id}\t{offset}\t{len(samples)}\t\n")
        size = temporary.stat().st_size
    write_text(marker, f"{size}\n" + "".join(lines))


@contextlib.contextmanager
def _alone_in(dump: Path, lang: str) -> Iterator[None]:
    """Wait until no other process works on the same language."""
    path = dump / ".lock"
    try:
        dump.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise cannot_write(path, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{lang}: another process is decoding it; waiting.", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            # Some cluster file systems have no locks; renaming still keeps every
            # file whole.
            print(
                f"{lang}: {dump} cannot be locked ({error.strerror}); do not start a "
                "second process on it.",
                file=sys.stderr,
            )
        yield


def _plan_split(data: Path, directory: Path) -> _Split:
    utterances = read_data_dir(data)
    rows = [f"{row.id}\t{row.audio}\t{_file_state(row.audio)}\n" for row in utterances]
    chunks = []
    for start in range(0, len(utterances), CHUNK_SIZE):
        name = _hash(rows[start : start + CHUNK_SIZE])
        chunks.append(
            _Chunk(
                utterances[start : start + CHUNK_SIZE],
                directory / "arks" / f"{name}.ark",
                directory / "arks" / f"{name}.tsv",
            )
        )
    # Labels are part of it, and so is the directory's name, which wav.scp holds.
    fingerprint = _hash([f"{directory}\n", *rows], map(repr, utterances))
    return _Split(directory, utterances, chunks, fingerprint)


def _file_state(location: str) -> str:
    path = audio_file(location)
    if path is None:
        return "pipe"
    try:
        state = os.stat(path)
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"


def _hash(*parts: Iterable[str]) -> str:
    digest = hashlib.sha256(f"{_DECODING_VERSION}\n".encode())
    for line in itertools.chain(*parts):
        digest.update(line.encode())
    return digest.hexdigest()[:20]


def _is_done(chunk: _Chunk) -> bool:
    try:
        with chunk.marker.open(encoding="utf-8") as lines:
            size = int(next(lines))
        return chunk.ark.stat().st_size == size
    except (OSError, ValueError, StopIteration):
        return False


def _remove_leftovers(dump: Path, splits: list[_Split]) -> None:
    """Remove chunks of an earlier input, and what a killed process left behind."""
    for name in SPLITS:
        if (dump / name).is_dir() and all(
            split.directory != dump / name for split in splits
        ):
            _mark_incomplete(dump / name)
    for split in splits:
        if not _is_complete(split):
            _mark_incomplete(split.directory)
        wanted = {path for chunk in split.chunks for path in (chunk.ark, chunk.marker)}
        for path in (split.directory / "arks").glob("*"):
            if path not in wanted:
                path.unlink()
        for path in split.directory.glob(".*.tmp*"):
            path.unlink()


def _decode_missing(splits: list[_Split], pool: DecodingPool, lang: str) -> int:
    """Decode the chunks that are not there; return their number of utterances."""
    missing = []
    for split in splits:
        of_split = [chunk for chunk in split.chunks if not _is_done(chunk)]
        if of_split:
            _mark_incomplete(split.directory)
        missing += of_split
    if not missing:
        return 0
    n_all = sum(len(split.utterances) for split in splits)
    n_missing = sum(len(chunk.utterances) for chunk in missing)
    with progress(
        description=lang, total=n_all, initial=n_all - n_missing, unit="utt"
    ) as bar:
        pool.run(
            [
                (decode_chunk, chunk.utterances, chunk.ark, chunk.marker)
                for chunk in missing
            ],
            lambda index: bar.update(len(missing[index].utterances)),
        )
    return n_missing


def _read_outcomes(split: _Split) -> list[_Outcome]:
    """Read the markers: one outcome an utterance, in the split's order."""
    outcomes = []
    for chunk in split.chunks:
        with chunk.marker.open(encoding="utf-8") as lines:
            next(lines)
            for line in lines:
                _, offset, n_samples, reason = line.rstrip("\n").split("\t")
                location = "" if reason else f"{chunk.ark}:{offset}"
                outcomes.append(_Outcome(location, int(n_samples), reason))
    return outcomes


def _write_split(split: _Split, outcomes: list[_Outcome]) -> None:
    if _is_complete(split):
        return
    kept = [
        (utterance, outcome)
        for utterance, outcome in zip(split.utterances, outcomes, strict=True)
        if not outcome.reason
    ]
    _write_rejected(split, outcomes)
    write_text(
        split.directory / "utt2num_samples",
        "".join(f"{utterance.id} {outcome.n_samples}\n" for utterance, outcome in kept),
    )
    write_text(split.directory / _FINGERPRINT, f"{split.fingerprint}\n")
    write_data_dir(
        split.directory,
        [
            dataclasses.replace(
                utterance,
                audio=outcome.location,
                duration=outcome.n_samples / SAMPLE_RATE,
            )
            for utterance, outcome in kept
        ],
    )


def _write_rejected(split: _Split, outcomes: list[_Outcome]) -> None:
    lines = [
        f"{utterance.id}\t{utterance.audio}\t{outcome.reason}\n"
        for utterance, outcome in zip(split.utterances, outcomes, strict=True)
        if outcome.reason
    ]
    write_text(
        split.directory / "rejected.tsv", "utt\taudio\treason\n" + "".join(lines)
    )


def _is_complete(split: _Split) -> bool:
    path = split.directory / _FINGERPRINT
    if not (path.exists() and (split.directory / "wav.scp").exists()):
        return False
    return path.read_text(encoding="utf-8").strip() == split.fingerprint


def _mark_incomplete(directory: Path) -> None:
    (directory / "wav.scp").unlink(missing_ok=True)


def _too_many_rejected(
    lang: str, splits: list[_Split], outcomes: list[list[_Outcome]], allowed: float
) -> UserError:
    by_split = [
        Counter(outcome.reason for outcome in of_split if outcome.reason)
        for of_split in outcomes
    ]
    rejected = sum(by_split, Counter())
    n_utterances = sum(len(split.utterances) for split in splits)
    reason, n_reason = max(rejected.items(), key=lambda item: (item[1], item[0]))
    worst = max(range(len(splits)), key=lambda index: by_split[index].total())
    return UserError(
        f"{lang}: {rejected.total()} of {n_utterances} utterances "
        f"({rejected.total() / n_utterances:.1%}) cannot be used, most often because "
        f"'{reason}' ({n_reason}), and no more than {allowed:.1%} may be lost: look at "
        f"{splits[worst].directory / 'rejected.tsv'} and put the recordings right, or "
        "allow it with --max_rejected."
    )
