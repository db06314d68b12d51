"""One recording to 16 kHz mono 16-bit samples, or the reason why not.

Takes what a ``wav.scp`` holds: a path, ``file.ark:offset`` (a WAV or an encoded file
inside a kaldi ark), either with a range ``[first:last]`` of samples, or a pipe
``command |``; and, where Kaldi's ``segments`` cut recordings, the seconds to take.
Whatever libsndfile decodes is decoded, of any rate, channel count and bit depth:
channels are averaged, soxr (HQ) resamples, values are rounded to the nearest 16-bit
step, without dither. The same file always gives the same samples, and audio that is
16 kHz mono 16-bit already stays as it is. Each recording's file is read into memory;
no more of it is decoded than the longest utterance allowed.
"""

import errno
import io
import os
import re
import stat
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from espnet2_cltm.corpus.audio_places import AudioPlace, parse_audio
from espnet2_cltm.corpus.mp3 import complete_mp3
from espnet2_cltm.corpus.pipes import CommandFailed, is_pipe, read_pipe
from espnet2_cltm.corpus.truncation import (
    announces_too_much,
    close_wav_header,
    declared_flac_samples,
    identify_format,
    is_truncated,
    name_foreign,
)
from espnet2_cltm.errors import UserError

SAMPLE_RATE = 16_000
"""Samples per second of everything in the store."""

SAMPLE_BYTES = 2
"""Bytes of a sample in the store."""

MIN_SAMPLES = 400
"""The shortest audio from which HuBERT's CNN makes one frame (25 ms)."""

SILENCE_DBFS = -60.0
"""A recording whose highest peak stays below this level holds no speech."""

MAX_SECONDS = 600.0
"""The longest audio, in seconds, that is decoded where no other bound is given."""

MAX_BYTES = 1 << 31
"""The largest file of a recording, all of which is held in memory."""

OVERSHOOT = 2.0
"""The highest peak that is clipped: lossy encoders and mixing overshoot a little, other
scales are 2**15 times as loud."""

CLIPPED_SHARE = 1e-3
"""From this share of samples at full scale on a recording counts as clipped."""

MIDDLE_HERTZ, ABOVE_HERTZ, NARROW_SHARE = (2_000, 3_400), 4_200, 1e-4
"""Audio has the telephone's band where its energy above 4.2 kHz is at most this share
of its energy between 2 and 3.4 kHz."""

TELEPHONE_BAND = "nothing above 4 kHz"
"""The remark about such audio."""

_INT16_STEPS = 32_768
_BLOCK_FRAMES = 1 << 18
# Any other rate is damage, and would be resampled to gigabytes.
_PLAUSIBLE_RATES = range(1_000, 1_000_001)
# Kaldi, too, forgives a segment that ends a little after its recording.
_OVERHANG_SECONDS = 0.5
_HEAD_BYTES = 1 << 17


class RejectedAudio(Exception):
    """A recording that cannot be used.

    Attributes:
        reason: A few words, the same for all recordings of that kind.
        detail: What is particular to this one; may be empty.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Recording:
    """What was decoded.

    Attributes:
        samples: int16 [n_samples] at 16 kHz.
        remarks: What is to be known of it, each a few words.
    """

    samples: np.ndarray
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenRecording:
    """A recording's file, in memory, of which parts can be decoded.

    Attributes:
        place: What ``wav.scp`` says of it.
        file: Its bytes, ready for libsndfile.
        format: As :func:`.identify_format` names it; None where libsndfile may know.
        remarks: What its header says wrongly.
    """

    place: AudioPlace
    file: bytes
    format: str | None = None
    remarks: tuple[str, ...] = ()


def load_audio(location: str) -> np.ndarray:
    """Read one recording, usually from the audio store.

    Args:
        location: What ``wav.scp`` holds: ``file.ark:offset`` or a path.

    Returns:
        float32 [n_samples] in [-1, 1) at 16 kHz, exact multiples of 2**-15.

    Raises:
        UserError: The audio at that place cannot be decoded, or is not what stage 2
            wrote there.
    """
    try:
        return read_audio(location)
    except RejectedAudio as error:
        raise UserError(
            f"{location} cannot be used as audio ({error}): run stage 2 again, or "
            "replace the recording."
        ) from error


def read_audio(location: str, allow_pipes: bool = False) -> np.ndarray:
    """Read one recording of the audio store, or of a user's list.

    Args:
        location: What ``wav.scp`` holds.
        allow_pipes: Whether it may be a command.

    Returns:
        As :func:`load_audio`.

    Raises:
        RejectedAudio: The audio cannot be used.
        UserError: As :func:`decode_recording`; or it is not what stage 2 wrote.
    """
    samples = decode_recording(location, allow_pipes=allow_pipes).samples
    _check_stored(location, samples)
    return samples.astype(np.float32) / _INT16_STEPS


def decode_recording(
    location: str, max_seconds: float = MAX_SECONDS, allow_pipes: bool = True
) -> Recording:
    """Decode one recording.

    Args:
        location: What ``wav.scp`` holds: a path, ``file.ark:offset`` or a pipe.
        max_seconds: The longest utterance that is decoded.
        allow_pipes: Whether commands are run.

    Raises:
        RejectedAudio: The audio cannot be used.
        UserError: The file system refuses to give the file, or the command of a
            pipe was killed, is not found, takes too long or is not allowed.
    """
    if not allow_pipes and is_pipe(location):
        raise UserError(
            f"The audio '{location}' is a command, and commands are run in stage 2 "
            "only: run stages 2 and 3 again, after which all audio is file.ark:offset."
        )
    return decode_part(open_recording(location), max_seconds=max_seconds)


def open_recording(location: str) -> OpenRecording:
    """Read a recording's file, and say what it is.

    Args:
        location: What ``wav.scp`` holds.

    Raises:
        RejectedAudio: It is missing, not a file, empty, too large, not audio or
            truncated, its format is not supported, or the command failed.
        UserError: As :func:`decode_recording`.
    """
    place = parse_audio(location)
    if "\0" in location:
        raise RejectedAudio("missing", "a NUL character in its name")
    file = _read(place)
    file_format = identify_format(file)
    if file_format is None:
        if name := name_foreign(file):
            raise RejectedAudio("format not supported", name)
        return OpenRecording(place, file)
    if is_truncated(file):
        raise RejectedAudio("truncated")
    remarks = ("a header that announces too much",) if announces_too_much(file) else ()
    if file_format == "wav":
        file = close_wav_header(file)
    elif file_format == "mp3":
        file = complete_mp3(file)
    return OpenRecording(place, file, file_format, remarks)


def decode_part(
    recording: OpenRecording,
    seconds: tuple[float, float] | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Recording:
    """Decode a recording, or a segment of it.

    Args:
        recording: The open recording.
        seconds: Start and end of a segment; an end of -1 is that of the recording.
        max_seconds: The longest utterance that is decoded.

    Raises:
        RejectedAudio: undecodable, truncated, too long, non-finite samples, beyond
            full scale, or the segment ends after the recording.
    """
    samples, rate = _decode(recording, seconds, max_seconds)
    if not np.isfinite(samples).all():
        raise RejectedAudio("non-finite samples")
    peak = float(np.abs(samples).max(initial=0))
    if peak > OVERSHOOT:
        raise RejectedAudio("beyond full scale", f"up to {peak:.4g} instead of 1")
    remarks = recording.remarks
    if rate < SAMPLE_RATE:
        remarks += (f"sampled at {rate} Hz",)
    if rate != SAMPLE_RATE and len(samples):
        samples = soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
    steps = np.rint(samples * _INT16_STEPS)
    clipped = np.clip(steps, -_INT16_STEPS, _INT16_STEPS - 1).astype(np.int16)
    return Recording(clipped, remarks)


def check_content(samples: np.ndarray) -> None:
    """Refuse audio that decodes but holds no speech to learn from.

    Args:
        samples: int16 [n_samples] at 16 kHz.

    Raises:
        RejectedAudio: too short, silent.
    """
    if len(samples) < MIN_SAMPLES:
        raise RejectedAudio("too short")
    peak = np.abs(samples.astype(np.int32)).max()
    if peak < _INT16_STEPS * 10 ** (SILENCE_DBFS / 20):
        raise RejectedAudio("silent")


def describe_content(samples: np.ndarray) -> tuple[str, ...]:
    """Return remarks on usable audio that is unlike other speech, each a few words.

    Args:
        samples: int16 [n_samples] at 16 kHz, at least MIN_SAMPLES of them.
    """
    remarks = []
    loud = np.count_nonzero(np.abs(samples.astype(np.int32)) >= _INT16_STEPS - 1)
    if loud >= CLIPPED_SHARE * len(samples):
        remarks.append("clipped")
    windows = samples[: len(samples) // MIN_SAMPLES * MIN_SAMPLES]
    windows = windows.reshape(-1, MIN_SAMPLES) * np.hanning(MIN_SAMPLES)
    energies = (np.abs(np.fft.rfft(windows)) ** 2).sum(0)
    hertz = np.fft.rfftfreq(MIN_SAMPLES, 1 / SAMPLE_RATE)
    low, high = MIDDLE_HERTZ
    middle = energies[(hertz >= low) & (hertz <= high)].sum()
    # Without energy in the middle, nothing above says little: it may be a tone.
    is_speech = middle > NARROW_SHARE * energies.sum()
    if is_speech and energies[hertz > ABOVE_HERTZ].sum() <= NARROW_SHARE * middle:
        remarks.append(TELEPHONE_BAND)
    return tuple(remarks)


def is_narrow(remark: str) -> bool:
    """Return whether a remark says that the upper part of the band is missing."""
    return remark == TELEPHONE_BAND or remark.startswith("sampled at ")


def _check_stored(location: str, samples: np.ndarray) -> None:
    """Compare an entry of the audio store with the checksum that stage 2 wrote."""
    ark, colon, offset = location.rpartition(":")
    expected = _stored_checksums(ark).get(offset) if colon else None
    if expected is not None and checksum(samples) != expected:
        raise UserError(
            f"{location} does not hold the samples that stage 2 wrote: remove {ark} "
            "and run stage 2 again."
        )


def checksum(samples: np.ndarray) -> str:
    """Return a checksum of samples (CRC-32), as the store's markers hold it."""
    return f"{zlib.crc32(np.ascontiguousarray(samples).data):08x}"


@lru_cache(maxsize=4096)
def _stored_checksums(ark: str) -> dict[str, str]:
    """Read the checksums of a chunk's entries by offset; none of a foreign ark."""
    try:
        marker = Path(ark).with_suffix(".tsv").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    rows = [line.split("\t") for line in marker.splitlines()[1:]]
    return {row[1]: row[3] for row in rows if len(row) > 3 and row[3]}


def _read(place: AudioPlace) -> bytes:
    if place.is_pipe:
        return _read_pipe(place.path)
    path = Path(place.path)
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise RejectedAudio("not a regular file")
        if place.offset is not None:
            return _read_ark_entry(path, place.offset)
        if state.st_size == 0:
            raise RejectedAudio("empty")
        if state.st_size > MAX_BYTES:
            raise RejectedAudio("file too large", f"{state.st_size >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise RejectedAudio("missing") from error
        # Not a fault of the recording: rejecting it would hide a broken set-up.
        raise UserError(
            f"{path} cannot be read ({error.strerror}): put that right and run the "
            "same command again."
        ) from error


def _read_pipe(command: str) -> bytes:
    blocks: list[bytes] = []
    size = 0
    is_known = False
    try:
        for block in read_pipe(command):
            blocks.append(block)
            size += len(block)
            if size > MAX_BYTES:
                raise RejectedAudio("file too large", f"over {MAX_BYTES >> 20} MiB")
            if size > _HEAD_BYTES and not is_known:
                # What never ends, such as zeros, is not waited for.
                blocks = [b"".join(blocks)]
                is_known = identify_format(blocks[0]) is not None
                if not is_known and not _libsndfile_knows(blocks[0]):
                    raise RejectedAudio("not audio", name_foreign(blocks[0]) or "")
    except CommandFailed as error:
        raise RejectedAudio("command failed", str(error)) from error
    return b"".join(blocks)


def _libsndfile_knows(content: bytes) -> bool:
    try:
        soundfile.SoundFile(io.BytesIO(content)).close()
    except (soundfile.SoundFileError, ValueError, TypeError):
        return False
    return True


def _read_ark_entry(ark: Path, offset: int) -> bytes:
    """Read one entry's audio file out of an ark, as kaldiio writes them.

    Either a plain WAV; or the mark ``AUDIO``, the number of bytes of a length, that
    length, and an encoded file; or a FLAC file that is the last entry.
    """
    with ark.open("rb") as entries:
        if offset > os.fstat(entries.fileno()).st_size:
            raise RejectedAudio("truncated")
        entries.seek(offset)
        head = entries.read(8)
        if head[:4] == b"RIFF":
            size = int.from_bytes(head[4:], "little")
            if size > MAX_BYTES:
                raise RejectedAudio("truncated", "no size in the header")
            return head + entries.read(size)
        if head[:4] == b"fLaC":
            return head + entries.read(MAX_BYTES)
        if head[:5] == b"AUDIO" and len(head) > 5:
            entries.seek(offset + 6)
            size = int.from_bytes(entries.read(head[5]), "little")
            content = entries.read(min(size, MAX_BYTES))
            if len(content) < size:
                raise RejectedAudio("truncated")
            return content
    if head[:2] == b"\0B":
        raise RejectedAudio("not audio", "a matrix, which states no sampling rate")
    raise RejectedAudio("not audio" if head else "truncated")


def _decode(
    opened: OpenRecording, seconds: tuple[float, float] | None, max_seconds: float
) -> tuple[np.ndarray, int]:
    """Decode a part to float32 [n_samples], the mean of channels, and its rate."""
    blocks: list[np.ndarray] = []
    n_decoded = start = rate = 0
    n_wanted, end, failure = 1, None, ""
    try:
        with soundfile.SoundFile(io.BytesIO(opened.file)) as recording:
            if opened.format is None and not _is_known(recording, opened.file):
                raise RejectedAudio("not audio")
            rate = recording.samplerate
            if rate not in _PLAUSIBLE_RATES:
                raise RejectedAudio("undecodable", f"{rate} Hz")
            channels = opened.place.channels
            if not range(recording.channels)[channels]:
                raise RejectedAudio("no such channel", f"of {recording.channels}")
            start, end = _bounds(opened.place, seconds, rate)
            if start:
                recording.seek(min(start, recording.frames))
            n_wanted = int(max_seconds * rate) + 1
            if end is not None:
                n_wanted = min(n_wanted, max(0, end - start))
            # In blocks, because a damaged header may promise any length.
            while n_decoded < n_wanted:
                size = min(_BLOCK_FRAMES, n_wanted - n_decoded)
                block = recording.read(size, dtype="float32", always_2d=True)
                if not len(block):
                    break
                n_decoded += len(block)
                taken = block[:, channels]
                blocks.append(taken[:, 0] if taken.shape[1] == 1 else taken.mean(1))
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        failure = str(error)
    if n_decoded < n_wanted:
        _check_end(opened, start + n_decoded, failure, rate)
        lacking = n_wanted - n_decoded if seconds and end is not None else 0
        if lacking > _OVERHANG_SECONDS * rate:
            raise RejectedAudio("segment ends after its recording")
    elif n_decoded > max_seconds * rate:
        raise RejectedAudio(f"longer than {max_seconds:g} s")
    if len(blocks) == 1:
        return blocks[0], rate
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), rate


def _is_known(recording: soundfile.SoundFile, file: bytes) -> bool:
    """Return whether libsndfile has not just found a few bytes like an MP3's."""
    is_layer_3 = recording.subtype == "MPEG_LAYER_III"
    return recording.format != "MP3" or (file[:1] == b"\xff" and not is_layer_3)


def _bounds(
    place: AudioPlace, seconds: tuple[float, float] | None, rate: int
) -> tuple[int, int | None]:
    """Return the first sample of a part and the first behind it, as kaldiio does."""
    start, end = place.first, None if place.last is None else place.last + 1
    if seconds is None:
        return start, end
    first, last = (int(second * rate) for second in seconds)
    if seconds[1] >= 0:
        end = start + last if end is None else min(end, start + last)
    return start + first, end


def _check_end(opened: OpenRecording, n_frames: int, failure: str, rate: int) -> None:
    """Refuse a recording that ended too early."""
    if opened.format == "flac" and n_frames < (declared_flac_samples(opened.file) or 0):
        raise RejectedAudio("truncated")
    if not failure:
        return
    if opened.format is None and not rate:
        raise RejectedAudio("not audio")
    if opened.format != "ogg" and re.search("unknown format|unimplemented", failure):
        raise RejectedAudio("format not supported", f"a codec within {opened.format}")
    raise RejectedAudio("undecodable")
