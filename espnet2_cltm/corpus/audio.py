"""One recording to 16 kHz mono 16-bit samples, or the reason why not.

Takes what a ``wav.scp`` holds: a path, ``file.ark:offset`` (a WAV or an encoded file
inside a kaldi ark), or a pipe ``command |``. WAV, FLAC, OGG (Vorbis, Opus) and MP3 of
any rate, channel count and bit depth are decoded by libsndfile; channels are
averaged, soxr (HQ) resamples, values are rounded to the nearest 16-bit step and
clipped, without dither. The same file always gives the same samples, and audio that
is 16 kHz mono 16-bit already stays as it is. Each recording is read into memory.
"""

import errno
import io
import signal
import subprocess
from pathlib import Path

import numpy as np
import soundfile
import soxr

from espnet2_cltm.corpus.datadir import audio_file
from espnet2_cltm.corpus.truncation import (
    close_wav_header,
    declared_flac_samples,
    identify_format,
    is_truncated,
)
from espnet2_cltm.errors import UserError

SAMPLE_RATE = 16_000
"""Samples per second of everything in the store."""

MIN_SAMPLES = 400
"""The shortest audio from which HuBERT's CNN makes one frame (25 ms)."""

SILENCE_DBFS = -60.0
"""A recording whose highest peak stays below this level holds no speech."""

_INT16_STEPS = 32_768
_BLOCK_FRAMES = 1 << 18
# Any other rate is damage, and would be resampled to gigabytes.
_PLAUSIBLE_RATES = range(1_000, 1_000_001)
# Signals that say nothing about a recording: Ctrl-C, scancel, no memory left.
_FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)


class RejectedAudio(Exception):
    """A recording that cannot be used.

    Attributes:
        reason: A few words, the same for all recordings of that kind.
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def load_audio(location: str) -> np.ndarray:
    """Read one recording, usually from the audio store.

    Args:
        location: What ``wav.scp`` holds: a path, ``file.ark:offset`` or a pipe.

    Returns:
        float32 [n_samples] in [-1, 1) at 16 kHz, exact multiples of 2**-15.

    Raises:
        UserError: There is no decodable audio at that place.
    """
    try:
        samples = decode(location)
    except RejectedAudio as error:
        raise UserError(
            f"{location} cannot be used as audio ({error.reason}): run stage 2 again, "
            "or replace the recording."
        ) from error
    return samples.astype(np.float32) / _INT16_STEPS


def decode(location: str) -> np.ndarray:
    """Decode one recording.

    Args:
        location: What ``wav.scp`` holds: a path, ``file.ark:offset`` or a pipe.

    Returns:
        int16 [n_samples] at 16 kHz.

    Raises:
        RejectedAudio: missing, command failed, empty, not audio, truncated,
            undecodable, non-finite samples.
        UserError: The file system refuses to give the file, or the command of a
            pipe was killed.
    """
    content = _read(location)
    if not content:
        raise RejectedAudio("empty")
    file_format = identify_format(content)
    if file_format is None:
        raise RejectedAudio("not audio")
    if is_truncated(content):
        raise RejectedAudio("truncated")
    if file_format == "wav":
        content = close_wav_header(content)
    samples, rate = _decode_whole(content, file_format)
    if not np.isfinite(samples).all():
        raise RejectedAudio("non-finite samples")
    if rate != SAMPLE_RATE and len(samples):
        samples = soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
    steps = np.rint(samples * _INT16_STEPS)
    return np.clip(steps, -_INT16_STEPS, _INT16_STEPS - 1).astype(np.int16)


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


def _read(location: str) -> bytes:
    path = audio_file(location)
    if path is None:
        return _run_pipe(location)
    try:
        if path == location:
            return Path(path).read_bytes()
        return _read_ark_entry(Path(path), location.removeprefix(f"{path}:"))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise RejectedAudio("missing") from error
        if error.errno == errno.EISDIR:
            raise RejectedAudio("not audio") from error
        # Not a fault of the recording: rejecting it would hide a broken set-up.
        raise UserError(
            f"{path} cannot be read ({error.strerror}): put that right and run the "
            "same command again."
        ) from error


def _run_pipe(location: str) -> bytes:
    command = location.rstrip()[:-1]
    finished = subprocess.run(
        command,
        shell=True,  # a pipe in wav.scp is a shell command, by Kaldi's definition
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    # The shell reports a program that was killed as 128 + the signal.
    killed_by = (
        -finished.returncode if finished.returncode < 0 else (finished.returncode - 128)
    )
    if killed_by in _FROM_OUTSIDE:
        raise UserError(
            f"The command '{command.strip()}' was killed by signal {killed_by}: run "
            "the same command again, with a smaller --nj if memory ran out."
        )
    if finished.returncode != 0:
        raise RejectedAudio("command failed")
    return finished.stdout


def _read_ark_entry(ark: Path, place: str) -> bytes:
    """Read one entry's audio file out of an ark, as kaldiio writes them.

    Either a plain WAV, or the mark ``AUDIO``, the number of bytes of a length, that
    length, and an encoded file.
    """
    if not place.isdecimal():
        raise RejectedAudio("a range of an ark's entry")
    offset = int(place)
    with ark.open("rb") as entries:
        entries.seek(offset)
        head = entries.read(8)
        if head[:4] == b"RIFF":
            size = int.from_bytes(head[4:], "little")
            return head + entries.read(size)
        if head[:5] == b"AUDIO" and len(head) > 5:
            entries.seek(offset + 6)
            size = int.from_bytes(entries.read(head[5]), "little")
            content = entries.read(size)
            if len(content) < size:
                raise RejectedAudio("truncated")
            return content
    raise RejectedAudio("not audio" if head else "truncated")


def _decode_whole(content: bytes, file_format: str) -> tuple[np.ndarray, int]:
    """Decode to float32 [n_samples], the mean of all channels, and the rate in Hz."""
    blocks = []
    n_decoded = 0
    failed = False
    rate = 0
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as recording:
            rate = recording.samplerate
            # In blocks, because a damaged header may promise any length.
            while True:
                block = recording.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
                if not len(block):
                    break
                n_decoded += len(block)
                blocks.append(block[:, 0] if block.shape[1] == 1 else block.mean(1))
    except soundfile.SoundFileError:
        failed = True
    if file_format == "flac" and n_decoded < (declared_flac_samples(content) or 0):
        raise RejectedAudio("truncated")
    if failed or rate not in _PLAUSIBLE_RATES:
        raise RejectedAudio("undecodable")
    if len(blocks) == 1:
        return blocks[0], rate
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), rate
