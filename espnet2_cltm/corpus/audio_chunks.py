"""Chunks of the audio store: utterances that are decoded together, into one kaldi ark.

A chunk's name is a hash of its ids, audio locations, the files' sizes and times, and
what commands in ``wav.scp`` give, which are run every time to learn it;
``arks/<name>.ark`` is followed by ``arks/<name>.tsv``, its marker, whose presence says
that the chunk is done. So nothing is decoded twice, whatever kills the program, and a
recording that changes is decoded again. The samples depend on nothing but the input:
not on the number of processes, not on order. Checksums in the marker tell later readers
which arks were changed afterwards, and these are decoded again.
"""

import hashlib
import io
import itertools
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from espnet2_cltm.corpus.audio_places import parse_audio
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.stored import checksum_of_file
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing, write_rows

CHUNK_SIZE = 200
"""Utterances a chunk: the most work that a kill can cost each process."""

# Part of every chunk's name: raise it when decoding gives other samples than before.
_DECODING_VERSION = 2


@dataclass(frozen=True)
class Chunk:
    """Some utterances and the files that hold them when they are done."""

    utterances: list[Utterance]
    ark: Path
    marker: Path


@dataclass(frozen=True)
class Outcome:
    """What became of one utterance: where it is and its length, or a reason."""

    utterance: Utterance
    location: str
    n_samples: int
    reason: str
    detail: str
    remarks: list[str]


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
    rows: list[tuple[object, ...]] = []
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
                    rows.append(
                        (utterance.id, 0, 0, "", error.reason, error.detail, "")
                    )
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
                place = (utterance.id, offset, len(samples), checksum(samples))
                rows.append((*place, "", "", "; ".join(recording.remarks)))
        size = temporary.stat().st_size
    write_rows(marker, [(f"{size} {checksum_of_ark:08x}",), *rows])


def _decode_utterance(
    utterance: Utterance, opened: OpenRecording, max_seconds: float
) -> Recording:
    segment = utterance.segment
    seconds = None if segment is None else (segment.start, segment.end)
    recording = decode_part(opened, seconds, max_seconds)
    check_content(recording.samples)
    remarks = (*recording.remarks, *describe_content(recording.samples))
    return Recording(recording.samples, remarks)


def read_markers(arks: Path) -> dict[Path, list[str]]:
    """Return the ids that each marker names, without asking whether it is right."""
    markers = {}
    for marker in sorted(arks.glob("*.tsv")):
        try:
            _, *lines = marker.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        markers[marker] = [line.partition("\t")[0] for line in lines]
    return markers


def find_done(
    utterances: Iterable[Utterance],
    markers: Mapping[Path, Sequence[str]],
    rows: Mapping[str, str],
    limit: str,
) -> tuple[list[Chunk], list[Utterance]]:
    """Find the chunks that are there.

    Args:
        utterances: Utterances that are needed.
        markers: Ids in each marker.
        rows: What each utterance is decoded from, on a line.
        limit: The longest utterance, on a line.

    Returns:
        Chunks that are done, and the utterances in none of them.
    """
    done: list[Chunk] = []
    left = {utterance.id: utterance for utterance in utterances}
    for marker, utts in markers.items():
        if not utts or not all(utt in left for utt in utts):
            continue
        chunk = Chunk([left[utt] for utt in utts], marker.with_suffix(".ark"), marker)
        is_same = hash_of([limit], (rows[utt] for utt in utts)) == marker.stem
        if is_same and _is_done(chunk):
            done.append(chunk)
            for utt in utts:
                del left[utt]
    return done, list(left.values())


def cut_chunks(
    utterances: list[Utterance], arks: Path, rows: Mapping[str, str], limit: str
) -> list[Chunk]:
    """Cut utterances into chunks of :data:`CHUNK_SIZE`.

    Args:
        utterances: Utterances in the order that they have in the arks.
        arks: Directory of the arks.
        rows: What each utterance is decoded from, on a line.
        limit: The longest utterance, on a line.
    """
    chunks = []
    for start in range(0, len(utterances), CHUNK_SIZE):
        of_chunk = utterances[start : start + CHUNK_SIZE]
        name = hash_of([limit], (rows[utterance.id] for utterance in of_chunk))
        ark = arks / f"{name}.ark"
        chunks.append(Chunk(of_chunk, ark, ark.with_suffix(".tsv")))
    return chunks


def read_outcomes(chunks: Iterable[Chunk]) -> list[Outcome]:
    """Read the markers of chunks that are done: one outcome an utterance, by id."""
    outcomes = []
    for chunk in chunks:
        _, *lines = chunk.marker.read_text(encoding="utf-8").splitlines()
        of_chunk = _parse_outcomes(chunk, lines)
        assert of_chunk is not None  # it is done
        outcomes += of_chunk
    return sorted(outcomes, key=lambda outcome: outcome.utterance.id)


def hash_of(*parts: Iterable[str]) -> str:
    """Return a hash of lines and of the version of decoding."""
    digest = hashlib.sha256(f"{_DECODING_VERSION}\n".encode())
    for line in itertools.chain(*parts):
        digest.update(line.encode())
    return digest.hexdigest()[:20]


def _is_done(chunk: Chunk) -> bool:
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


def _parse_outcomes(chunk: Chunk, lines: Sequence[str]) -> list[Outcome] | None:
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
            Outcome(utterance, location, int(n_samples), reason, detail, known)
        )
    return outcomes
