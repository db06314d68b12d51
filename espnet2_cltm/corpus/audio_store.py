"""The audio store: every recording of a language decoded once, into kaldi arks.

Takes ``data/<corpus>/<lang>/{train,dev,test}`` and writes the same data directories
under ``dump``, with ``wav.scp`` pointing into arks of 16 kHz mono 16-bit WAV,
``utt2num_samples``, all labels of what was kept (``utt2dur`` as measured) and
``rejected.tsv`` (utt, audio, reason). ``wav.scp`` is written last: a split that has
one is complete.

The work is cut into chunks of utterances. A chunk's name is a hash of its ids, audio
locations and the files' sizes and times; ``arks/<name>.ark`` is followed by
``arks/<name>.tsv``, whose presence says that the chunk is done. So nothing is decoded
twice, whatever kills the program, and a recording that changes is decoded again. The
bytes depend on nothing but the input: not on the number of processes, not on order.
"""

import hashlib
import io
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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
from espnet2_cltm.files import alone_in, replacing, write_text
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
        n_kept: Number of utterances in the store.
        seconds: Seconds of their audio.
        rejected: Number of utterances left out, by reason.
        n_decoded: Number of utterances that this call decoded; the others were there
            before.
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

    utterance: Utterance
    location: str
    n_samples: int
    reason: str


def dump_language(
    data: Path, dump: Path, pool: DecodingPool, max_rejected: float = 0.05
) -> LanguageAudio:
    """Bring one language's audio store up to date with its data directories.

    Args:
        data: Directory that holds one or more of ``train``, ``dev``, ``test``.
        dump: Store of that language; made if it is missing.
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
    with alone_in(dump):
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
        outcomes = {split.directory: _read_outcomes(split) for split in splits}
        every = [outcome for of_split in outcomes.values() for outcome in of_split]
        rejected = Counter(outcome.reason for outcome in every if outcome.reason)
        if rejected.total() > max_rejected * len(every):
            for directory, of_split in outcomes.items():
                _mark_incomplete(directory)
                _write_rejected(directory, of_split)
            raise _too_many_rejected(lang, outcomes, rejected, max_rejected)
        for split in splits:
            _write_split(split, outcomes[split.directory])
    return LanguageAudio(
        n_kept=len(every) - rejected.total(),
        seconds=sum(outcome.n_samples for outcome in every) / SAMPLE_RATE,
        rejected=rejected,
        n_decoded=n_decoded,
    )


def decode_chunk(utterances: list[Utterance], ark: Path, marker: Path) -> None:
    """Decode some utterances into one ark.

    Args:
        utterances: Utterances in the order that they have in the ark.
        ark: File that becomes a kaldi ark of 16 kHz mono 16-bit WAV.
        marker: File written last. Its first line holds the size of the ark in bytes,
            the others one utterance each: id, offset, number of samples, reason.

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


def _plan_split(data: Path, directory: Path) -> _Split:
    utterances = read_data_dir(data)
    rows = [f"{row.id}\t{row.audio}\t{_file_state(row.audio)}\n" for row in utterances]
    chunks = []
    for start in range(0, len(utterances), CHUNK_SIZE):
        of_chunk = slice(start, start + CHUNK_SIZE)
        ark = directory / "arks" / f"{_hash(rows[of_chunk])}.ark"
        chunks.append(_Chunk(utterances[of_chunk], ark, ark.with_suffix(".tsv")))
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
        if all(split.directory != dump / name for split in splits):
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
        calls = [(decode_chunk, c.utterances, c.ark, c.marker) for c in missing]
        pool.run(calls, lambda index: bar.update(len(missing[index].utterances)))
    return n_missing


def _read_outcomes(split: _Split) -> list[_Outcome]:
    """Read the markers: one outcome an utterance, in the split's order."""
    outcomes = []
    for chunk in split.chunks:
        _, *lines = chunk.marker.read_text(encoding="utf-8").splitlines()
        for utterance, line in zip(chunk.utterances, lines, strict=True):
            _, offset, n_samples, reason = line.split("\t")
            location = "" if reason else f"{chunk.ark}:{offset}"
            outcomes.append(_Outcome(utterance, location, int(n_samples), reason))
    return outcomes


def _write_split(split: _Split, outcomes: list[_Outcome]) -> None:
    if _is_complete(split):
        return
    _write_rejected(split.directory, outcomes)
    kept = [outcome for outcome in outcomes if not outcome.reason]
    lengths = "".join(f"{one.utterance.id} {one.n_samples}\n" for one in kept)
    write_text(split.directory / "utt2num_samples", lengths)
    write_text(split.directory / _FINGERPRINT, f"{split.fingerprint}\n")
    utterances = [
        replace(one.utterance, audio=one.location, duration=one.n_samples / SAMPLE_RATE)
        for one in kept
    ]
    write_data_dir(split.directory, utterances)


def _write_rejected(directory: Path, outcomes: list[_Outcome]) -> None:
    lines = [
        f"{one.utterance.id}\t{one.utterance.audio}\t{one.reason}\n"
        for one in outcomes
        if one.reason
    ]
    write_text(directory / "rejected.tsv", "utt\taudio\treason\n" + "".join(lines))


def _is_complete(split: _Split) -> bool:
    path = split.directory / _FINGERPRINT
    if not (path.exists() and (split.directory / "wav.scp").exists()):
        return False
    return path.read_text(encoding="utf-8").strip() == split.fingerprint


def _mark_incomplete(directory: Path) -> None:
    (directory / "wav.scp").unlink(missing_ok=True)


def _too_many_rejected(
    lang: str,
    outcomes: Mapping[Path, list[_Outcome]],
    rejected: Counter[str],
    allowed: float,
) -> UserError:
    lost, total = rejected.total(), sum(map(len, outcomes.values()))
    reason, n_reason = max(rejected.items(), key=lambda item: (item[1], item[0]))
    worst = max(
        outcomes, key=lambda split: sum(bool(o.reason) for o in outcomes[split])
    )
    return UserError(
        f"{lang}: {lost} of {total} utterances ({lost / total:.1%}) cannot be used, "
        f"most often because '{reason}' ({n_reason}), and no more than {allowed:.1%} "
        f"may be lost: look at {worst / 'rejected.tsv'} and put the recordings right, "
        "or allow it with --max_rejected."
    )
