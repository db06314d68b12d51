"""Targets of masked prediction: the k-means cluster of every frame of a corpus.

Takes the audio store of stage 2 and leaves, beside what all targets have
(:mod:`.target_files`; here an int32 vector an utterance),

* ``kmeans.npy``: (clusters, size) float32, fitted on frames of ``train``;
* ``{train,dev}/{target.scp,wav.scp,utt2num_samples}``: what a training takes, of the
  utterances that are as long as a crop, with the languages mixed; ``other_target.scp``
  and ``other_wav.scp`` have under an utterance's id another utterance of its speaker,
  or itself where there is none; ``utt2lang``, and ``utt2spk`` with numbers in place of
  names. ``wav.scp`` comes last: a split that has one is complete.

Clusters depend on the audio, the settings and the seed, not on the number of
processes.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import kaldiio
import numpy as np
from sklearn.cluster import MiniBatchKMeans

from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing, write_text
from espnet2_cltm.pretraining.crops import FRAME_LENGTH, count_frames
from espnet2_cltm.pretraining.features import (
    FrameFeatures,
    HiddenLayer,
    Mfcc,
    check_frames,
)
from espnet2_cltm.pretraining.target_files import (
    SPLITS,
    claim,
    piece,
    read_audio,
    write_ark,
)
from espnet2_cltm.progress import progress

FEATURES = ("mfcc", "layer")

BATCH_FRAMES = 10_000
"""Frames in each step of mini-batch k-means."""


@dataclass(frozen=True)
class TargetSettings:
    """What targets are made from.

    Attributes:
        dump: The audio store of a corpus.
        langs: Languages.
        features: ``mfcc`` or ``layer``.
        model: HuBERT whose layer is clustered, else empty.
        layer: That layer, from 1, else 0.
        num_clusters: Clusters.
        fit_frames: Frames that k-means is fitted on, drawn by whole utterances.
        min_seconds: Shortest utterance that is trained on.
        seed: Draws the utterances and the first centroids.
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

    def build_features(self) -> FrameFeatures:
        """Build what gives the vectors to be clustered."""
        if self.features == "layer":
            return HiddenLayer(self.model, self.layer)
        return Mfcc()


def make_targets(settings: TargetSettings, outdir: Path, nj: int) -> list[str]:
    """Make what is missing of a corpus's targets.

    Args:
        settings: See there.
        outdir: See the module.
        nj: Number of processes.

    Returns:
        What was done or skipped, a line each.

    Raises:
        UserError: ``outdir`` holds other targets, audio is missing or too short, or
            there are fewer frames than clusters.
    """
    claim(asdict(settings), outdir)
    if all((outdir / split / "wav.scp").exists() for split in SPLITS):
        return [f"{outdir}: all targets were made before, skipped"]
    done = []
    with DecodingPool(nj) as pool:
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
        with progress(
            description="assigning clusters",
            total=len(SPLITS) * len(settings.langs),
            initial=len(SPLITS) * len(settings.langs) - len(missing),
            unit="part",
        ) as bar:
            pool.run(
                [(_assign, *arguments) for arguments in missing],
                lambda index: bar.update(),
            )
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
    with progress(
        description="frames for k-means",
        total=len(parts),
        initial=len(parts) - len(calls),
        unit="part",
    ) as bar:
        pool.run(calls, lambda index: bar.update())
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
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, kmeans.cluster_centers_.astype(np.float32))
    for file in files:
        file.unlink()
    files[0].parent.rmdir()
    return len(frames), 1 - float(nearest.var(axis=0).sum() / frames.var(axis=0).sum())


def _draw_sample(settings: TargetSettings) -> list[tuple[str, str]]:
    """Draw utterances, ids with audio locations, until there are frames enough."""
    candidates = []
    for lang in settings.langs:
        directory = Path(settings.dump) / lang / "train"
        lengths = _read_lengths(directory)
        candidates += [
            (_draw_key(settings.seed, utt), utt, audio, lengths[utt])
            for utt, audio in read_table(directory / "wav.scp").items()
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
    """Write the frames of some utterances, one after the other."""
    features = _features(settings)
    frames = [_frames(features, utt, audio) for utt, audio in utterances]
    with replacing(file) as temporary, temporary.open("wb") as opened:
        np.save(opened, np.concatenate(frames))


def _assign(settings: TargetSettings, outdir: Path, lang: str, split: str) -> None:
    """Write the clusters of a language's split."""
    features = _features(settings)
    centroids = np.load(outdir / "kmeans.npy")
    directory = Path(settings.dump) / lang / split
    write_ark(
        piece(outdir, lang, split),
        (
            (utt, nearest_centroids(_frames(features, utt, audio), centroids))
            for utt, audio in read_audio(directory).items()
        ),
    )


def nearest_centroids(frames: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Give the nearest centroid of each frame.

    Args:
        frames: (frames, size) float32.
        centroids: (clusters, size) float32.

    Returns:
        (frames,) int32; the first of those that are equally near.
    """
    # |f - c|^2 without |f|^2, which is the same for all centroids.
    distances = (centroids**2).sum(axis=1) - 2 * frames @ centroids.T
    return distances.argmin(axis=1).astype(np.int32)


def _merge(settings: TargetSettings, outdir: Path, split: str) -> str:
    """Write what a training takes, and tell what it is."""
    rows = []
    short = 0
    for lang in settings.langs:
        directory = Path(settings.dump) / lang / split
        if not (directory / "wav.scp").exists():
            continue
        audio = read_audio(directory)
        lengths = _read_lengths(directory)
        speakers = read_table(directory / "utt2spk")
        for utt, location in read_table(piece(outdir, lang, split)).items():
            if lengths[utt] < max(settings.min_seconds * 16000, FRAME_LENGTH):
                short += 1
                continue
            speaker = (lang, speakers[utt])
            rows.append((utt, audio[utt], location, lengths[utt], speaker))
    if not rows:
        raise UserError(
            f"{settings.dump} has no utterance of {settings.min_seconds} s or more in "
            f"{split}: training needs some there."
        )
    rows.sort()
    duplicate = next((a for (a, *_), (b, *_) in itertools.pairwise(rows) if a == b), "")
    if duplicate:
        raise UserError(
            f"The utterance {duplicate} is in two languages of {settings.dump}: make "
            "ids unique, for instance with the language in front."
        )
    # ESPnet makes batches of neighbours: neighbours must not be one speaker's.
    mixed = sorted(rows, key=lambda row: _draw_key(settings.seed, row[0]))
    other = _others(rows)
    speakers = sorted({row[4] for row in rows})
    numbers = {speaker: number for number, speaker in enumerate(speakers)}
    directory = outdir / split
    tables: dict[str, Callable[[tuple], object]] = {
        "other_target.scp": lambda row: other[row[0]][2],
        "other_wav.scp": lambda row: other[row[0]][1],
        "target.scp": lambda row: row[2],
        "utt2lang": lambda row: row[4][0],
        "utt2spk": lambda row: numbers[row[4]],
        "utt2num_samples": lambda row: row[3],
        "wav.scp": lambda row: row[1],
    }
    for name, value in tables.items():
        ordered = mixed if name == "utt2num_samples" else rows
        write_text(
            directory / name, "".join(f"{row[0]} {value(row)}\n" for row in ordered)
        )
    hours = sum(row[3] for row in rows) / 16000 / 3600
    return f"{directory}: {len(rows)} utterances, {hours:.2f} hours" + (
        f"; {short} shorter than {settings.min_seconds} s left out" if short else ""
    )


def _others(rows: list[tuple]) -> dict[str, tuple]:
    """Give for each utterance the next of its speaker's, after the last the first."""
    of_speaker: dict[tuple, list[tuple]] = {}
    for row in rows:
        of_speaker.setdefault(row[4], []).append(row)
    return {
        row[0]: group[(place + 1) % len(group)]
        for group in of_speaker.values()
        for place, row in enumerate(group)
    }


def _read_lengths(directory: Path) -> dict[str, int]:
    path = directory / "utt2num_samples"
    table = read_table(path)
    bad = next((utt for utt, value in table.items() if not value.isdecimal()), None)
    if bad is not None:
        raise UserError(f"{path}: {bad} has no number of samples: run stage 2 again.")
    return {utt: int(value) for utt, value in table.items()}


def _frames(features: FrameFeatures, utt: str, audio: str) -> np.ndarray:
    waveform = load_audio(audio)
    frames = features(waveform)
    check_frames(utt, frames, len(waveform))
    return frames


@cache
def _features(settings: TargetSettings) -> FrameFeatures:
    """Build the features once a process."""
    return settings.build_features()


def _draw_key(seed: int, utt: str) -> bytes:
    return hashlib.blake2b(f"{seed} {utt}".encode(), digest_size=8).digest()


def read_num_clusters(outdir: Path) -> int:
    """Read how many clusters a directory's targets have.

    Raises:
        UserError: There are no complete targets.
    """
    path = outdir / "kmeans.npy"
    try:
        return len(np.load(path))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): run the stage that makes targets."
        ) from error


def iterate_targets(scp: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Give the utterances of a ``target.scp`` with their (frames,) int32 clusters."""
    yield from kaldiio.load_scp_sequential(str(scp))
