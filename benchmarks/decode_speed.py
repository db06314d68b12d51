#!/usr/bin/env python3
"""How fast stage 2 decodes: hours of audio per core-hour, and peak memory.

Decodes real files (``--audio_dir``) or synthesised clips in the formats of corpora,
with the function that the decoding processes of stage 2 run: read, check, decode, mix,
resample, write to an ark. Each format has its own process, whose CPU time is measured.
Exits with status 1 if MP3 is slower than ``--required``.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.audio_store import decode_chunk
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.progress import progress

SYNTHETIC = {
    "MP3 48 kHz": ("mp3", "MPEG_LAYER_III", 48000, 1),
    "MP3 32 kHz": ("mp3", "MPEG_LAYER_III", 32000, 1),
    "MP3 44.1 kHz stereo": ("mp3", "MPEG_LAYER_III", 44100, 2),
    "FLAC 16 kHz": ("flac", "PCM_16", 16000, 1),
    "FLAC 48 kHz 24-bit": ("flac", "PCM_24", 48000, 1),
    "OGG Vorbis 44.1 kHz": ("ogg", "VORBIS", 44100, 1),
    "OGG Opus 48 kHz": ("ogg", "OPUS", 48000, 1),
    "WAV 16 kHz": ("wav", "PCM_16", 16000, 1),
    "WAV 44.1 kHz stereo": ("wav", "PCM_16", 44100, 2),
}
SUFFIXES = (".mp3", ".flac", ".ogg", ".opus", ".wav")


@dataclass(frozen=True)
class Speed:
    """Speed of decoding some files.

    Attributes:
        n_files: Number of files that could be decoded.
        audio_seconds: Seconds of audio in them.
        cpu_seconds: CPU seconds, user and system.
        peak_mib: Peak resident memory of the process in MiB.
    """

    n_files: int
    audio_seconds: float
    cpu_seconds: float
    peak_mib: float

    @property
    def hours_per_core_hour(self) -> float:
        """Hours of audio that one core decodes in an hour."""
        return self.audio_seconds / self.cpu_seconds


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        description="Measure how fast stage 2 decodes, per format.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--audio_dir", type=Path, help="real audio, searched with its subdirectories"
    )
    parser.add_argument(
        "--n_clips", type=int, default=40, help="clips to synthesise per format"
    )
    parser.add_argument("--seconds", type=float, default=5, help="length of a clip")
    parser.add_argument(
        "--required", type=float, default=200, help="hours per core-hour for MP3"
    )
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the benchmark."""
    args = get_parser().parse_args(cmd)
    run_command(lambda: _measure_all(args))


def measure(paths: list[Path]) -> Speed:
    """Decode files as stage 2 does and measure the time.

    Args:
        paths: Audio files.
    """
    utterances = [Utterance(f"s-{index}", "s", str(p)) for index, p in enumerate(paths)]
    with tempfile.TemporaryDirectory() as directory:
        marker = Path(directory) / "chunk.tsv"
        start = time.process_time()
        decode_chunk(utterances, Path(directory) / "chunk.ark", marker)
        cpu_seconds = time.process_time() - start
        rows = [line.split("\t") for line in marker.read_text().splitlines()[1:]]
    lengths = [int(row[2]) for row in rows if int(row[2])]
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Speed(len(lengths), sum(lengths) / SAMPLE_RATE, cpu_seconds, peak_kib / 1024)


def _measure_all(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        if args.audio_dir:
            groups = _find(args.audio_dir)
        else:
            groups = _synthesise(Path(directory), args.n_clips, args.seconds)
        print(f"{'format':22}{'files':>7}{'hours':>8}{'hours/core-hour':>17}{'MiB':>6}")
        speeds = {}
        for name, paths in groups.items():
            # A fresh process, for its own peak memory.
            with multiprocessing.get_context("spawn").Pool(1) as process:
                speeds[name] = speed = process.apply(measure, [paths])
            print(
                f"{name:22}{speed.n_files:7}{speed.audio_seconds / 3600:8.3f}"
                f"{speed.hours_per_core_hour:17.0f}{speed.peak_mib:6.0f}",
                flush=True,
            )
    slow = [
        name
        for name, speed in speeds.items()
        if name.upper().startswith("MP3") and speed.hours_per_core_hour < args.required
    ]
    if slow:
        raise UserError(
            f"{', '.join(slow)} decodes fewer than {args.required:g} hours of audio "
            "per core-hour: run it on an idle machine, or profile decode()."
        )


def _find(directory: Path) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path in sorted(directory.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            groups.setdefault(path.suffix.lower()[1:], []).append(path)
    if not groups:
        raise UserError(
            f"{directory} holds no {', '.join(SUFFIXES)} files: correct --audio_dir."
        )
    return groups


def _synthesise(directory: Path, n_clips: int, seconds: float) -> dict[str, list[Path]]:
    """Write clips with roughly the spectrum and the rhythm of speech."""
    generator = np.random.default_rng(0)
    groups: dict[str, list[Path]] = {name: [] for name in SYNTHETIC}
    jobs = [(name, index) for name in SYNTHETIC for index in range(n_clips)]
    for name, index in progress(jobs, description="synthesise", unit="clip"):
        suffix, subtype, rate, channels = SYNTHETIC[name]
        seconds_axis = np.arange(int(seconds * rate)) / rate
        pitch = generator.uniform(90, 250) * (1 + 0.1 * np.sin(3 * seconds_axis))
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        voice = sum(np.sin(k * phase) / k for k in range(1, 16))
        syllables = np.clip(np.sin(2 * np.pi * 4 * seconds_axis), 0, None)
        breath = generator.normal(0, 0.05, len(phase))
        samples = 0.1 * (voice * syllables + breath)
        path = directory / f"{name.replace(' ', '_')}_{index}.{suffix}"
        soundfile.write(
            path, np.stack([samples] * channels, axis=1), rate, subtype=subtype
        )
        groups[name].append(path)
    return groups


if __name__ == "__main__":
    main(sys.argv[1:])
