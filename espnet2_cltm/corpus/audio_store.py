"""The audio store: every recording of a language decoded once, into kaldi arks.

Takes ``data/<corpus>/<lang>/{train,dev,test}`` and writes the same data directories
under ``dump``, with ``wav.scp`` pointing into arks of 16 kHz mono 16-bit WAV, whole
recordings and segments alike, ``utt2num_samples``, all labels of what was kept
(``utt2dur`` as measured) and the times of its phones, ``rejected.tsv`` (utt, audio,
reason) and ``remarks.tsv`` (utt, remark: what was clipped, sampled at less than 16 kHz
or has a telephone's band). ``wav.scp`` is written last: a split that has one is
complete.

The work is cut into chunks of utterances. A chunk's name is a hash of its ids, audio
locations, the files' sizes and times, and what commands in ``wav.scp`` give, which are
run every time to learn it; ``arks/<name>.ark`` is followed by ``arks/<name>.tsv``,
whose presence says that the chunk is done. So nothing is decoded twice, whatever kills
the program, and a recording that changes is decoded again. The samples depend on
nothing but the input: not on the number of processes, not on order. Checksums in the
marker and in ``.fingerprint`` tell later readers which files were changed afterwards,
and these are decoded again.

A part of ``train`` may be asked for. What was decoded before stays, what is missing
comes in chunks of its own, and ``undecoded.tsv`` lists the others.
"""

import hashlib
import io
import itertools
import os
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import kaldiio

from espnet2_cltm.corpus.audio import (
    SAMPLE_RATE,
    OpenRecording,
    Recording,
    RejectedAudio,
    check_content,
    checksum,
    decode_part,
    describe_content,
    open_recording,
)
from espnet2_cltm.corpus.datadir import (
    SPLITS,
    Utterance,
    parse_audio,
    read_data_dir,
    write_data_dir,
)
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.corpus.phones import CTM, read_phones
from espnet2_cltm.corpus.pipes import is_pipe, pipe_state
from espnet2_cltm.corpus.stored import (
    FINGERPRINT,
    checksum_of_file,
    checksums_of_tables,
    write_undecoded,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import alone_in, replacing, write_text
from espnet2_cltm.progress import progress

CHUNK_SIZE = 200
"""Utterances a chunk: the most work that a kill can cost each process."""

# Part of every chunk's name: raise it when decoding gives other samples than before.
_DECODING_VERSION = 2


@dataclass(frozen=True)
class LanguageAudio:
    """What the store holds of one language.

    Attributes:
        n_kept: Number of utterances in the store.
        seconds: Seconds of their audio.
        rejected: Number of utterances left out, by reason.
        n_decoded: Number of utterances that this call decoded; the others were there
            before.
        remarks: Number of utterances kept, by what is to be known of them.
        commands: Commands in ``wav.scp``, which were run.
        n_undecoded: Number of utterances of which nothing was asked.
    """

    n_kept: int
    seconds: float
    rejected: Counter[str]
    n_decoded: int
    remarks: Counter[str] = field(default_factory=Counter)
    commands: Sequence[str] = ()
    n_undecoded: int = 0


@dataclass(frozen=True)
class _Chunk:
    """Some utterances and the files that hold them when they are done."""

    utterances: list[Utterance]
    ark: Path
    marker: Path


@dataclass(frozen=True)
class _Split:
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
    done: list[_Chunk]
    missing: list[_Chunk]
    fingerprint: str
    phones: Path

    @property
    def chunks(self) -> list[_Chunk]:
        """All chunks."""
        return [*self.done, *self.missing]


@dataclass(frozen=True)
class _Outcome:
    """What became of one utterance: where it is and its length, or a reason."""

    utterance: Utterance
    location: str
    n_samples: int
    reason: str
    detail: str
    remarks: list[str]


def dump_language(
    data: Path,
    dump: Path,
    pool: DecodingPool,
    max_rejected: float = 0.05,
    max_seconds: float = 60.0,
    allow_pipes: bool = True,
    train: Collection[str] | None = None,
) -> LanguageAudio:
    """Bring one language's audio store up to date with its data directories.

    Args:
        data: Directory that holds one or more of ``train``, ``dev``, ``test``.
        dump: Store of that language; made if it is missing.
        pool: Processes that decode.
        max_rejected: Share of the language's utterances, in [0, 1], that may be
            rejected.
        max_seconds: The longest utterance.
        allow_pipes: Whether commands in ``wav.scp`` are run.
        train: Ids of the utterances of ``train`` that are needed, besides those that
            are decoded already; None for all.

    Returns:
        What the store now holds.

    Raises:
        UserError: A data directory is malformed, a phone's time is beyond its audio,
            too much is rejected (then
            ``rejected.tsv`` is there to look at, but no ``wav.scp``), a command is not
            allowed or not found, a process was killed, or the file system refuses.
    """
    lang = data.name
    with alone_in(dump):
        found = {
            name: read_data_dir(data / name)
            for name in SPLITS
            if (data / name).is_dir()
        }
        if not found:
            raise UserError(
                f"{data} holds none of {', '.join(SPLITS)}: run stage 1 for {lang}, or "
                "correct --datadir."
            )
        there = {name: _read_markers(dump / name / "arks") for name in found}
        needed = {
            name: utterances
            if name != "train" or train is None
            else _among(utterances, {*train}.union(*there[name].values()))
            for name, utterances in found.items()
        }
        commands = _find_commands(data, needed, allow_pipes)
        states = _run_commands(commands, pool, lang)
        splits = [
            _plan_split(
                *(utterances, needed[name], there[name], data / name, dump / name),
                *(max_seconds, states),
            )
            for name, utterances in found.items()
        ]
        _remove_leftovers(dump, splits)
        n_decoded = _decode_missing(splits, pool, lang, max_seconds)
        outcomes = {split.directory: _read_outcomes(split) for split in splits}
        every = [outcome for of_split in outcomes.values() for outcome in of_split]
        rejected = Counter(outcome.reason for outcome in every if outcome.reason)
        n_utterances = sum(map(len, found.values()))
        if rejected.total() > max_rejected * n_utterances:
            for directory, of_split in outcomes.items():
                _mark_incomplete(directory)
                write_text(directory / "rejected.tsv", _rejected_table(of_split))
            raise _too_many_rejected(lang, outcomes, rejected, max_rejected)
        for split in splits:
            _write_split(split, outcomes[split.directory])
    return LanguageAudio(
        n_kept=len(every) - rejected.total(),
        seconds=sum(outcome.n_samples for outcome in every) / SAMPLE_RATE,
        rejected=rejected,
        n_decoded=n_decoded,
        remarks=Counter(remark for outcome in every for remark in outcome.remarks),
        commands=commands,
        n_undecoded=n_utterances - len(every),
    )


def decode_chunk(
    utterances: list[Utterance], ark: Path, marker: Path, max_seconds: float
) -> None:
    """Decode some utterances into one ark.

    Args:
        utterances: Utterances in the order that they have in the ark.
        ark: File that becomes a kaldi ark of 16 kHz mono 16-bit WAV.
        marker: File written last. Its first line holds the size of the ark in bytes and
            its CRC-32, the others one utterance each: id, offset, number of samples,
            CRC-32 of the samples, reason and its detail, remarks.
        max_seconds: The longest utterance.

    Raises:
        UserError: The file system refuses to give or take a file.
    """
    lines = []
    checksum_of_ark = 0
    opened: OpenRecording | None = None  # kept for the next segment
    with replacing(ark) as temporary:
        with temporary.open("wb") as entries:
            for utterance in utterances:
                try:
                    if opened is None or opened.place != parse_audio(utterance.audio):
                        opened = None
                        opened = open_recording(utterance.audio)
                    recording = _decode_utterance(utterance, opened, max_seconds)
                except RejectedAudio as error:
                    fields = [utterance.id, "0", "0", "", error.reason, error.detail]
                    lines.append("\t".join([*fields, ""]))
                    continue
                except MemoryError:
                    raise UserError(
                        f"Memory ran out while {utterance.audio} was decoded: use a "
                        "smaller --nj, or cut that recording into shorter ones."
                    ) from None
                if utterance.segment is None:
                    opened = None
                samples = recording.samples
                offset = entries.tell() + len(f"{utterance.id} ".encode())
                entry = io.BytesIO()  # kaldiio meets a full disk with a trace
                kaldiio.save_ark(entry, {utterance.id: (SAMPLE_RATE, samples)})
                entries.write(entry.getbuffer())
                checksum_of_ark = zlib.crc32(entry.getbuffer(), checksum_of_ark)
                fields = [utterance.id, str(offset), str(len(samples))]
                fields += [checksum(samples), "", "", "; ".join(recording.remarks)]
                lines.append("\t".join(fields))
        size = temporary.stat().st_size
    lines.insert(0, f"{size} {checksum_of_ark:08x}")
    write_text(marker, "".join(f"{line}\n" for line in lines))


def _decode_utterance(
    utterance: Utterance, opened: OpenRecording, max_seconds: float
) -> Recording:
    segment = utterance.segment
    seconds = None if segment is None else (segment.start, segment.end)
    recording = decode_part(opened, seconds, max_seconds)
    check_content(recording.samples)
    remarks = (*recording.remarks, *describe_content(recording.samples))
    return Recording(recording.samples, remarks)


def _find_commands(
    data: Path, found: Mapping[str, list[Utterance]], allow_pipes: bool
) -> list[str]:
    """List the commands among the audio, each once."""
    commands: dict[str, str] = {}
    for name, utterances in found.items():
        for utterance in utterances:
            if is_pipe(utterance.audio):
                where = f"{data / name / 'wav.scp'}: the audio of {utterance.id}"
                commands.setdefault(utterance.audio, where)
    if commands and not allow_pipes:
        command, where = next(iter(commands.items()))
        raise UserError(
            f"{where} is a command ({command[:200]}), one of {len(commands)}, and "
            "--allow_pipes is false: give audio files in wav.scp, or allow commands."
        )
    return list(commands)


def _run_commands(
    commands: Sequence[str], pool: DecodingPool, lang: str
) -> dict[str, str]:
    """Run commands, and return the state of what each gives."""
    if not commands:
        return {}
    with progress(
        description=f"{lang}: commands in wav.scp", total=len(commands), unit="command"
    ) as bar:
        states = pool.run(
            [(pipe_state, command) for command in commands], lambda _: bar.update()
        )
    return dict(zip(commands, states, strict=True))


def _read_markers(arks: Path) -> dict[Path, list[str]]:
    """Return the ids that each marker names, without asking whether it is right."""
    markers = {}
    for marker in sorted(arks.glob("*.tsv")):
        try:
            _, *lines = marker.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        markers[marker] = [line.partition("\t")[0] for line in lines]
    return markers


def _among(utterances: Iterable[Utterance], utts: Collection[str]) -> list[Utterance]:
    return [utterance for utterance in utterances if utterance.id in utts]


def _plan_split(
    utterances: list[Utterance],
    needed: list[Utterance],
    there: Mapping[Path, list[str]],
    data: Path,
    directory: Path,
    max_seconds: float,
    states: Mapping[str, str],
) -> _Split:
    rows = {}
    for row in needed:
        state = states.get(row.audio) or _file_state(row.audio)
        segment = row.segment or ""
        rows[row.id] = f"{row.id}\t{row.audio}\t{segment}\t{state}\n"
    by_id = {utterance.id: utterance for utterance in needed}
    limit = f"{max_seconds}\n"

    def cut(some: list[Utterance]) -> list[_Chunk]:
        chunks = []
        for start in range(0, len(some), CHUNK_SIZE):
            of_chunk = some[start : start + CHUNK_SIZE]
            name = _hash([limit], (rows[utterance.id] for utterance in of_chunk))
            ark = directory / "arks" / f"{name}.ark"
            chunks.append(_Chunk(of_chunk, ark, ark.with_suffix(".tsv")))
        return chunks

    done: list[_Chunk] = []
    left = dict(by_id)
    for marker, utts in there.items():
        if not utts or not all(utt in left for utt in utts):
            continue
        of_chunk = [by_id[utt] for utt in utts]
        chunk = _Chunk(of_chunk, marker.with_suffix(".ark"), marker)
        is_same = _hash([limit], (rows[utt] for utt in utts)) == marker.stem
        if is_same and _is_done(chunk):
            done.append(chunk)
            for utt in utts:
                del left[utt]
    missing = cut(list(left.values()))
    # Labels are part of it, and so is the directory's name, which wav.scp holds.
    phones = data / CTM
    times = [f"{checksum_of_file(phones)}\n"] if phones.exists() else []
    first = [f"{directory}\n", limit, *times, *rows.values()]
    names = [f"{chunk.ark.name}\n" for chunk in (*done, *missing)]
    if {*names} != {f"{chunk.ark.name}\n" for chunk in cut(needed)}:
        first += sorted(names)  # wav.scp holds them, and they do not follow from rows
    fingerprint = _hash(first, map(repr, utterances))
    return _Split(directory, utterances, done, missing, fingerprint, phones)


def _file_state(location: str) -> str:
    try:
        state = os.stat(parse_audio(location).path)
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"


def _hash(*parts: Iterable[str]) -> str:
    digest = hashlib.sha256(f"{_DECODING_VERSION}\n".encode())
    for line in itertools.chain(*parts):
        digest.update(line.encode())
    return digest.hexdigest()[:20]


def _is_done(chunk: _Chunk) -> bool:
    """Return whether a chunk's ark is as its marker says.

    The ark is older than its marker, unless something changed it or copied both: then
    it is read to compare its checksum.
    """
    try:
        first, *lines = chunk.marker.read_text(encoding="utf-8").splitlines()
        size, expected = first.split(" ")
        ark, marker = chunk.ark.stat(), chunk.marker.stat()
        if ark.st_size != int(size) or _parse_outcomes(chunk, lines) is None:
            return False
        if ark.st_mtime_ns <= marker.st_mtime_ns:
            return True
        return checksum_of_file(chunk.ark) == expected
    except (OSError, ValueError):
        return False


def _parse_outcomes(chunk: _Chunk, lines: Sequence[str]) -> list[_Outcome] | None:
    """Parse the lines of a marker but the first; None where they are damaged."""
    if len(lines) != len(chunk.utterances):
        return None
    outcomes = []
    for utterance, line in zip(chunk.utterances, lines, strict=True):
        fields = line.split("\t")
        if len(fields) != 7 or fields[0] != utterance.id:
            return None
        _, offset, n_samples, _, reason, detail, remarks = fields
        if not (offset.isdecimal() and n_samples.isdecimal()):
            return None
        location = "" if reason else f"{chunk.ark}:{offset}"
        known = remarks.split("; ") if remarks else []
        outcomes.append(
            _Outcome(utterance, location, int(n_samples), reason, detail, known)
        )
    return outcomes


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


def _decode_missing(
    splits: list[_Split], pool: DecodingPool, lang: str, max_seconds: float
) -> int:
    """Decode the chunks that are not there; return their number of utterances."""
    missing = []
    for split in splits:
        if split.missing:
            _mark_incomplete(split.directory)
        missing += split.missing
    if not missing:
        return 0
    n_all = sum(len(c.utterances) for split in splits for c in split.chunks)
    n_missing = sum(len(chunk.utterances) for chunk in missing)
    with progress(
        description=lang, total=n_all, initial=n_all - n_missing, unit="utt"
    ) as bar:
        calls = [
            (decode_chunk, c.utterances, c.ark, c.marker, max_seconds) for c in missing
        ]
        pool.run(calls, lambda index: bar.update(len(missing[index].utterances)))
    return n_missing


def _read_outcomes(split: _Split) -> list[_Outcome]:
    """Read the markers: one outcome a decoded utterance, in the split's order."""
    outcomes = []
    for chunk in split.chunks:
        _, *lines = chunk.marker.read_text(encoding="utf-8").splitlines()
        of_chunk = _parse_outcomes(chunk, lines)
        assert of_chunk is not None  # it is done
        outcomes += of_chunk
    return sorted(outcomes, key=lambda outcome: outcome.utterance.id)


def _write_split(split: _Split, outcomes: list[_Outcome]) -> None:
    if _is_complete(split):
        return
    kept = [outcome for outcome in outcomes if not outcome.reason]
    tables = {
        "rejected.tsv": _rejected_table(outcomes),
        "remarks.tsv": "utt\tremark\n"
        + "".join(
            f"{one.utterance.id}\t{remark}\n" for one in kept for remark in one.remarks
        ),
        "utt2num_samples": "".join(
            f"{one.utterance.id} {one.n_samples}\n" for one in kept
        ),
    }
    for name, text in tables.items():
        write_text(split.directory / name, text)
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


def _rejected_table(outcomes: list[_Outcome]) -> str:
    lines = [
        f"{one.utterance.id}\t{one.utterance.audio}\t{_why(one)}\n"
        for one in outcomes
        if one.reason
    ]
    return "utt\taudio\treason\n" + "".join(lines)


def _why(outcome: _Outcome) -> str:
    return f"{outcome.reason} ({outcome.detail})" if outcome.detail else outcome.reason


def _is_complete(split: _Split) -> bool:
    """Return whether every table of a split is as it was written."""
    wav_scp = split.directory / "wav.scp"
    try:
        text = (split.directory / FINGERPRINT).read_text(encoding="utf-8")
        fingerprint, *tables = text.splitlines()
        is_whole = set(tables) <= set(checksums_of_tables(split.directory))
        return is_whole and wav_scp.exists() and fingerprint == split.fingerprint
    except (OSError, ValueError):
        return False


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
    example = next(o for of in outcomes.values() for o in of if o.reason == reason)
    worst = max(
        outcomes, key=lambda split: sum(bool(o.reason) for o in outcomes[split])
    )
    return UserError(
        f"{lang}: {lost} of {total} utterances ({lost / total:.1%}) cannot be used, "
        f"most often because '{_why(example)}' ({n_reason}), and no more than "
        f"{allowed:.1%} may be lost: look at {worst / 'rejected.tsv'} and put the "
        "recordings right, or allow it with --max_rejected."
    )
