"""Targets of masked prediction: the k-means cluster of every frame of a corpus.

Targets are made language by language from the audio store of stage 2,
``<dump>/<lang>/{train,dev}``, into a directory of their own, which has

* ``settings.json``: what the targets are made from; another setting is refused;
* ``kmeans.npy``: (clusters, size) float32, fitted on frames of ``train``;
* ``languages/<lang>.{train,dev}.ark`` with ``.scp``: an int32 vector an utterance; each
  is whole or absent, so that an interruption costs at most those that were being made;
  for articulatory targets ``<lang>.{train,dev}.segments.ark``, too;
* ``{train,dev}/{target.scp,wav.scp,utt2num_samples}``: what a training takes, of the
  utterances that are as long as a crop, with the languages mixed; ``other_target.scp``
  and ``other_wav.scp`` have under an utterance's id another utterance of its speaker,
  or itself where there is none; ``segment.scp`` and ``other_segment.scp`` for
  articulatory targets; ``utt2lang``, and ``utt2spk`` with numbers in place of
  names. All but ``utt2num_samples`` have captions of pictures that are shorter, too,
  and ``utt2num_samples.captions`` has them all. ``wav.scp`` comes last: a split that
  has one is complete.

Clusters depend on the audio, the settings and the seed, not on the number of
processes.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import kaldiio
import numpy as np
from sklearn.cluster import MiniBatchKMeans

from espnet2_cltm.corpus.audio import SAMPLE_RATE, load_audio
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.corpus.language import languages_below
from espnet2_cltm.corpus.phones import CTM
from espnet2_cltm.corpus.stored import read_lengths
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import claim, replacing, write_text
from espnet2_cltm.pretraining.articulation import (
    languages_without_phones,
    segments_of_split,
)
from espnet2_cltm.pretraining.crops import FRAME_LENGTH, count_frames
from espnet2_cltm.pretraining.features import (
    FrameFeatures,
    HiddenLayer,
    check_frames,
    mfcc,
)
from espnet2_cltm.pretraining.pictures import SPLITS, captions_of, run_parts
from espnet2_cltm.subsets import lasting, random_order

FEATURES = ("mfcc", "layer")
SHORTEST_CAPTION = 0.2
"""Seconds; captions are trained on as a whole."""

BATCH_FRAMES = 10_000
"""Frames in each step of mini-batch k-means."""


@dataclass(frozen=True)
class TargetSettings:
    """What targets are made from.

    Attributes:
        dump: Audio store of a corpus.
        langs: Languages.
        features: Kind of features, ``mfcc`` or ``layer``.
        model: HuBERT whose layer is clustered, else empty.
        layer: Number of that layer, from 1, else 0.
        num_clusters: Number of clusters.
        fit_frames: Number of frames that k-means is fitted on, of whole utterances.
        min_seconds: Shortest utterance that is trained on.
        seed: Seed of the utterances and the first centroids.
        hours: Hours of each language that are trained on; None for all.
        grounding_share: Share of the captions whose pictures are shown; None for all.
            Others are no captions: too short, they are left out.
        segments: Whether there are articulatory targets; None for no.
    """

    dump: str
    langs: tuple[str, ...]
    features: str
    model: str
    layer: int
    num_clusters: int
    fit_frames: int
    min_seconds: float
    seed: int
    hours: float | None = None
    grounding_share: float | None = None
    segments: bool | None = None


def make_targets(settings: TargetSettings, outdir: Path, nj: int) -> list[str]:
    """Make what is missing of a corpus's targets.

    Args:
        settings: Settings of the targets.
        outdir: Directory of the targets.
        nj: Number of processes.

    Returns:
        Report of what was done or skipped, in lines.

    Raises:
        UserError: ``outdir`` holds other targets, audio is missing or too short, times
            of phones are missing or wrong, or there are fewer frames than clusters.
    """
    claim(asdict(settings), outdir, "targets")
    # Those of earlier versions lack the table of captions.
    last = ("utt2num_samples.captions", "wav.scp")
    if all((outdir / split / name).exists() for split in SPLITS for name in last):
        return [f"{outdir}: all targets were made before, skipped"]
    done = []
    if settings.segments:
        without = languages_without_phones(Path(settings.dump), settings.langs)
        if without:
            done.append(f"no {CTM}, so no articulatory targets: {' '.join(without)}")
    with DecodingPool(nj, apart=False) as pool:
        centroids = outdir / "kmeans.npy"
        if centroids.exists():
            done.append(f"{centroids}: fitted before, skipped")
        else:
            frames, spread = _fit(settings, centroids, pool, outdir)
            done.append(
                f"{centroids}: {settings.num_clusters} clusters fitted on {frames} "
                f"frames, which explain {100 * spread:.1f}% of their variance"
            )
        missing = [
            (settings, outdir, lang, split)
            for lang in settings.langs
            for split in SPLITS
            if not piece(outdir, lang, split).exists()
        ]
        calls = [(_assign, *arguments) for arguments in missing]
        run_parts(pool, calls, len(SPLITS) * len(settings.langs), "assigning clusters")
    for split in SPLITS:
        done.append(_merge(settings, outdir, split))
    return done


def _fit(
    settings: TargetSettings, path: Path, pool: DecodingPool, outdir: Path
) -> tuple[int, float]:
    sample = _draw_sample(settings)
    parts = [sample[first : first + 100] for first in range(0, len(sample), 100)]
    files = [outdir / "fit" / f"{number:05d}.npy" for number in range(len(parts))]
    calls = [
        (_extract, settings, part, file)
        for part, file in zip(parts, files, strict=True)
        if not file.exists()
    ]
    run_parts(pool, calls, len(parts), "frames for k-means")
    frames = np.concatenate([np.load(file) for file in files])[: settings.fit_frames]
    if len(frames) < settings.num_clusters:
        raise UserError(
            f"{settings.dump} has {len(frames)} frames to fit "
            f"{settings.num_clusters} clusters on: give more audio or fewer clusters."
        )
    kmeans = MiniBatchKMeans(
        n_clusters=settings.num_clusters,
        batch_size=BATCH_FRAMES,
        n_init=3,
        max_iter=30,
        max_no_improvement=50,
        random_state=settings.seed % 2**32,
        compute_labels=False,
    ).fit(frames)
    nearest = (
        frames
        - kmeans.cluster_centers_[nearest_centroids(frames, kmeans.cluster_centers_)]
    )
    with replacing(path) as temporary, temporary.open("wb") as opened:
        np.save(opened, kmeans.cluster_centers_.astype(np.float32))
    for file in files:
        file.unlink()
    files[0].parent.rmdir()
    return len(frames), 1 - float(nearest.var(axis=0).sum() / frames.var(axis=0).sum())


def _draw_sample(settings: TargetSettings) -> list[tuple[str, str]]:
    """Draw utterances, ids with audio locations, until there are enough frames."""
    candidates = []
    for lang in settings.langs:
        audio_of = chosen_audio(settings, lang, "train")
        lengths = read_lengths(Path(settings.dump) / lang / "train", audio_of)
        candidates += [
            (_draw_key(settings.seed, utt), utt, audio, lengths[utt])
            for utt, audio in audio_of.items()
        ]
    sample, frames = [], 0
    for _, utt, audio, samples in sorted(candidates):
        if frames >= settings.fit_frames:
            break
        frames += count_frames(samples)
        sample.append((utt, audio))
    return sample


def _extract(
    settings: TargetSettings, utterances: list[tuple[str, str]], file: Path
) -> None:
    """Write the frames of some utterances into one array."""
    features = _features(settings)
    frames = [_frames(features, utt, audio) for utt, audio in utterances]
    with replacing(file) as temporary, temporary.open("wb") as opened:
        np.save(opened, np.concatenate(frames))


def _assign(settings: TargetSettings, outdir: Path, lang: str, split: str) -> None:
    """Write the clusters of a language's split, and first its segments."""
    audio_of = chosen_audio(settings, lang, split)
    if settings.segments:
        directory = Path(settings.dump) / lang / split
        write_ark(
            _segments(outdir, lang, split), segments_of_split(directory, audio_of)
        )
    features = _features(settings)
    centroids = np.load(outdir / "kmeans.npy")
    write_ark(
        piece(outdir, lang, split),
        (
            (utt, nearest_centroids(_frames(features, utt, audio), centroids))
            for utt, audio in audio_of.items()
        ),
    )


def nearest_centroids(frames: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the nearest centroid of each frame.

    Args:
        frames: (frames, size) float32.
        centroids: (clusters, size) float32.

    Returns:
        (frames,) int32; the first of those at an equal distance.
    """
    # |f - c|^2 without |f|^2, which is the same for all centroids.
    distances = (centroids**2).sum(axis=1) - 2 * frames @ centroids.T
    return distances.argmin(axis=1).astype(np.int32)


class _Row(NamedTuple):
    """An utterance that is trained on."""

    utt: str
    audio: str
    target: str
    samples: int
    speaker: tuple[str, str]  # language, and name in it
    segment: str  # empty without articulatory targets


def _merge(settings: TargetSettings, outdir: Path, split: str) -> str:
    """Write a training's tables for a split, and return a line about them."""
    rows: list[_Row] = []
    short_captions: list[_Row] = []
    n_short = 0
    shortest = max(settings.min_seconds * SAMPLE_RATE, FRAME_LENGTH)
    for lang in settings.langs:
        directory = Path(settings.dump) / lang / split
        audio = read_audio(directory)
        if not audio:
            continue
        lengths = read_lengths(directory, audio)
        speakers = read_table(directory / "utt2spk")
        captions = captions_of(directory, settings.grounding_share, settings.seed)
        segments = (
            read_table(_segments(outdir, lang, split)) if settings.segments else {}
        )
        for utt, target in read_table(piece(outdir, lang, split)).items():
            speaker, segment = (lang, speakers[utt]), segments.get(utt, "")
            row = _Row(utt, audio[utt], target, lengths[utt], speaker, segment)
            if row.samples >= shortest:
                rows.append(row)
            elif utt in captions and row.samples >= SHORTEST_CAPTION * SAMPLE_RATE:
                short_captions.append(row)
            else:
                n_short += 1
    if not rows:
        raise UserError(
            f"{settings.dump} has no utterance of {settings.min_seconds} s or more in "
            f"{split}: training needs some there."
        )
    rows.sort()
    every = sorted([*rows, *short_captions])
    pairs = itertools.pairwise(every)
    duplicate = next((a.utt for a, b in pairs if a.utt == b.utt), "")
    if duplicate:
        raise UserError(
            f"The utterance {duplicate} is in two languages of {settings.dump}: make "
            "ids unique, for instance with the language in front."
        )
    # ESPnet makes batches of neighbours: neighbours must not be one speaker's.
    mixed = sorted(rows, key=lambda row: _draw_key(settings.seed, row.utt))
    other = {row.utt: row for row in short_captions} | _others(rows)
    numbers = {
        speaker: number
        for number, speaker in enumerate(sorted({row.speaker for row in every}))
    }
    tables: dict[str, Callable[[_Row], object]] = {
        "other_target.scp": lambda row: other[row.utt].target,
        "other_wav.scp": lambda row: other[row.utt].audio,
        "target.scp": lambda row: row.target,
        "utt2lang": lambda row: row.speaker[0],
        "utt2spk": lambda row: numbers[row.speaker],
        "utt2num_samples": lambda row: row.samples,
        "utt2num_samples.captions": lambda row: row.samples,
        "wav.scp": lambda row: row.audio,
    }
    if settings.segments:
        tables = {
            "other_segment.scp": lambda row: other[row.utt].segment,
            "segment.scp": lambda row: row.segment,
            **tables,
        }
    for name, value in tables.items():
        ordered = mixed if name == "utt2num_samples" else every
        lines = [f"{row.utt} {value(row)}\n" for row in ordered]
        write_text(outdir / split / name, "".join(lines))
    hours = sum(row.samples for row in rows) / SAMPLE_RATE / 3600
    line = f"{outdir / split}: {len(rows)} utterances, {hours:.2f} hours"
    if short_captions:
        line += f"; {len(short_captions)} shorter captions of pictures"
    if n_short:
        line += f"; {n_short} shorter than {settings.min_seconds} s left out"
    return line


def _others(rows: Sequence[_Row]) -> dict[str, _Row]:
    """Return for each utterance the next of its speaker, after the last the first."""
    of_speaker: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        of_speaker.setdefault(row.speaker, []).append(row)
    return {
        row.utt: group[(place + 1) % len(group)]
        for group in of_speaker.values()
        for place, row in enumerate(group)
    }


def _frames(features: FrameFeatures, utt: str, audio: str) -> np.ndarray:
    waveform = load_audio(audio)
    frames = features(waveform)
    check_frames(utt, frames, len(waveform))
    return frames


@lru_cache(maxsize=1)
def _features(settings: TargetSettings) -> FrameFeatures:
    """Return what gives the vectors to be clustered, built once a process."""
    if settings.features == "layer":
        return HiddenLayer(settings.model, settings.layer)
    return mfcc


def _draw_key(seed: int, utt: str) -> bytes:
    return hashlib.blake2b(f"{seed} {utt}".encode(), digest_size=8).digest()


def piece(outdir: Path, lang: str, split: str) -> Path:
    """Return the ``.scp`` of a language's split; its ``.ark`` lies beside it."""
    return outdir / "languages" / f"{lang}.{split}.scp"


def _segments(outdir: Path, lang: str, split: str) -> Path:
    """Return the ``.scp`` of the segments of a language's split."""
    return piece(outdir, lang, split).with_suffix(".segments.scp")


def write_ark(scp: Path, rows: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write arrays as Kaldi's ``.ark``, and then the ``.scp`` that locates them.

    Args:
        scp: Path of the ``.scp``.
        rows: Utterance ids with arrays that Kaldi can hold, in the order of ids.
    """
    ark = scp.with_suffix(".ark")
    lines = []
    with replacing(ark) as temporary, temporary.open("wb") as file:
        for utt, array in rows:
            offset = file.tell() + len(utt.encode()) + 1
            kaldiio.save_ark(file, {utt: array})
            lines.append(f"{utt} {ark}:{offset}\n")
    write_text(scp, "".join(lines))


def read_audio(directory: Path) -> dict[str, str]:
    """Return the audio locations of a language's split, by utterance id."""
    path = directory / "wav.scp"
    # A corpus may have no dev utterances of a language, but all have some to train on.
    if directory.name != "train" and not path.exists():
        return {}
    return read_table(path)


def chosen_audio(settings: TargetSettings, lang: str, split: str) -> dict[str, str]:
    """Return the audio locations of what is trained on, by utterance id.

    Where hours are asked for, speakers come in a random order of the seed, each with
    all utterances, until there is enough: fewer hours are the beginning of more.

    Raises:
        UserError: The language has fewer hours.
    """
    directory = Path(settings.dump) / lang / split
    audio = read_audio(directory)
    if settings.hours is None or split != "train":
        return audio
    speakers = read_table(directory / "utt2spk")
    place = {
        speaker: number
        for number, speaker in enumerate(
            random_order({speakers[utt] for utt in audio}, settings.seed, "hours")
        )
    }
    order = sorted(audio, key=lambda utt: (place[speakers[utt]], utt))
    lengths = read_lengths(directory, audio)
    # What is too short to be cropped counts as nothing.
    seconds = [lengths[utt] / SAMPLE_RATE for utt in order]
    seconds = [length if length >= settings.min_seconds else 0.0 for length in seconds]
    wanted = settings.hours * 3600
    if sum(seconds) < wanted:
        raise UserError(
            f"{directory} has {sum(seconds) / 3600:.3f} hours in utterances of "
            f"{settings.min_seconds} s or more: give --hours no more than that."
        )
    chosen = {*order[: lasting(seconds, wanted)]}
    return {utt: location for utt, location in audio.items() if utt in chosen}


def choose_languages(dump: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the languages that targets are made of: those wanted, or all.

    Raises:
        UserError: None, or not all of those wanted, have been decoded.
    """
    return languages_below(
        *(dump, wanted, lambda path: (path / "train" / "wav.scp").exists()),
        *("decoded audio", "run stages 1 and 2, or correct --dump"),
    )
