"""Profiles of languages from their recordings, in a directory of their own.

``settings.json`` says what they are made with; another setting is refused.
``clusters.npz`` holds the k-means clusters, which are fitted once, on frames of the
languages of the first call, as many of each, and serve all languages after. A language
has ``languages/<lang>.npz``, and until that is made ``features/<lang>.npz``: an
interruption costs the language that was being heard. A language whose recordings have
changed is heard again.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from espnet2_cltm.corpus.audio import RejectedAudio
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import claim, read_json, replacing
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.pretraining.features import HiddenLayer, check_frames
from espnet2_cltm.pretraining.targets import BATCH_FRAMES, nearest_centroids
from espnet2_cltm.profiles.profile import (
    Profile,
    read_arrays,
    read_profile,
    write_arrays,
)
from espnet2_cltm.profiles.recordings import (
    Rejected,
    choose_recordings,
    list_recordings,
    read_waveform,
)
from espnet2_cltm.progress import progress
from espnet2_cltm.subsets import random_order

FIT_FRAMES = 200_000
"""Most frames that clusters are fitted on."""

_SETTINGS_REMEDY = "make profiles by local/measure_distances.py"


@dataclass(frozen=True)
class ProfileSettings:
    """What profiles are made with.

    Attributes:
        model: Encoder, by hub id, directory or the name of one that comes along.
        layer: Number of the hidden layer, from 1.
        num_clusters: Number of clusters.
        max_utts: Most utterances of a language that are heard.
        max_seconds: Most seconds of an utterance.
        seed: Seed of the choice of utterances and of the clusters.
    """

    model: str
    layer: int
    num_clusters: int
    max_utts: int
    max_seconds: float
    seed: int


@dataclass(frozen=True)
class Clusters:
    """Clusters of frames.

    Attributes:
        centroids: (clusters, size) float32.
        mean: (size,) mean of the frames that they were fitted on.
        deviation: (size,) standard deviation of these.
    """

    centroids: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def default_layer(model: str) -> int:
    """Return the layer at three quarters of an encoder's depth.

    Acoustic tokens of the middle and upper layers tell languages apart best (San et
    al., arXiv:2402.02302).
    """
    return math.ceil(0.75 * load_hubert(model).model.config.num_hidden_layers)


def make_profiles(
    settings: ProfileSettings, audio: Path, langs: Sequence[str], outdir: Path, nj: int
) -> list[str]:
    """Make the profiles that are missing.

    Args:
        settings: Settings of the profiles.
        audio: Directory with a directory of recordings for each language.
        langs: Languages.
        outdir: Directory of the profiles.
        nj: Number of processes.

    Returns:
        Report of what was done or skipped, in lines.

    Raises:
        UserError: ``outdir`` holds other profiles, a language has no recordings that
            can be used, or there are fewer frames than clusters.
    """
    if not (outdir / "settings.json").exists():
        HiddenLayer(settings.model, settings.layer)  # refused before it is written down
    claim(asdict(settings), outdir, "profiles")
    chosen = {lang: _choose(settings, audio / lang) for lang in langs}
    wanted = [
        lang for lang in langs if not _is_made(outdir, lang, _fingerprint(chosen[lang]))
    ]
    calls = [
        (_hear_language, settings, lang, chosen[lang], _features(outdir, lang))
        for lang in wanted
        if not _is_heard(_features(outdir, lang), _fingerprint(chosen[lang]))
    ]
    n_there = len(langs) - len(calls)
    with (
        progress(
            description="listening", total=len(langs), initial=n_there, unit="language"
        ) as bar,
        DecodingPool(nj, apart=False) as pool,
    ):
        done = list(filter(None, pool.run(calls, lambda _: bar.update())))
    if not (outdir / "clusters.npz").exists():
        _fit(settings, [_features(outdir, lang) for lang in wanted], outdir)
    clusters = read_clusters(outdir)
    for lang in wanted:
        features = read_arrays(_features(outdir, lang))
        profile = make_profile(features, clusters)
        write_arrays(profile_path(outdir, lang), vars(profile))
        _features(outdir, lang).unlink()
    n_there = len(langs) - len(wanted)
    there = f"; {n_there} were made before" if n_there else ""
    return [*done, f"{outdir}: profiles of {len(wanted)} languages made{there}"]


def read_profiles(
    outdir: Path, langs: Sequence[str] = ()
) -> tuple[ProfileSettings, dict[str, Profile]]:
    """Read the profiles of a directory.

    Args:
        outdir: Directory that :func:`make_profiles` filled.
        langs: Languages; empty for all.

    Raises:
        UserError: There are none, or not all that are asked for.
    """
    settings = read_json(outdir / "settings.json", _SETTINGS_REMEDY)
    with foreign(f"{outdir} holds no profiles", _SETTINGS_REMEDY):
        settings = ProfileSettings(**settings)
    there = sorted(path.stem for path in (outdir / "languages").glob("*.npz"))
    missing = [lang for lang in langs if lang not in there]
    if missing or not there:
        raise UserError(
            f"{outdir} has no profile of {' '.join(missing) or 'any language'}: "
            f"{_SETTINGS_REMEDY}."
        )
    return settings, {
        lang: read_profile(profile_path(outdir, lang)) for lang in langs or there
    }


def profile_path(outdir: Path, lang: str) -> Path:
    """Return the file of a language's profile."""
    return outdir / "languages" / f"{lang}.npz"


def read_clusters(outdir: Path) -> Clusters:
    """Read the clusters that all profiles of a directory share.

    Raises:
        UserError: They cannot be read.
    """
    path = outdir / "clusters.npz"
    remedy = f"delete {outdir} and make the profiles again"
    with foreign(f"{path} cannot be read", remedy), np.load(path) as arrays:
        return Clusters(**{name: arrays[name] for name in arrays.files})


def profile_of(
    settings: ProfileSettings, directory: Path, clusters: Clusters
) -> Profile:
    """Make the profile of the recordings in one directory, and keep no file of it.

    Raises:
        UserError: There are no recordings that can be used.
    """
    chosen = _choose(settings, directory)
    shown = progress(chosen, description="listening", unit="recording")
    features, _ = _hear(settings, str(directory), chosen, shown)
    return make_profile(features, clusters)


def make_profile(features: Mapping[str, Any], clusters: Clusters) -> Profile:
    """Make a profile of an encoder's features.

    Args:
        features: As :func:`_hear` gives them.
        clusters: Clusters of such features.
    """
    frames, lengths = features["frames"].astype(np.float32), features["lengths"]
    utterance = np.repeat(np.arange(len(lengths)), lengths)
    tokens = nearest_centroids(frames, clusters.centroids)
    # The first of each run, which ends with its utterance.
    first = np.ones(len(tokens), bool)
    first[1:] = (tokens[1:] != tokens[:-1]) | (utterance[1:] != utterance[:-1])
    half = halves(features["utts"])
    standard = (frames - clusters.mean) / clusters.deviation
    parts = [standard[half[utterance] == which].astype(np.float64) for which in (0, 1)]
    starts = np.r_[0, np.cumsum(lengths)[:-1]]
    return Profile(
        utts=features["utts"],
        half=half,
        tokens=tokens[first],
        lengths=np.bincount(utterance[first], minlength=len(lengths)),
        means=np.add.reduceat(standard, starts) / lengths[:, None],
        counts=np.array([len(part) for part in parts]),
        sums=np.array([part.sum(axis=0) for part in parts]),
        products=np.array([part.T @ part for part in parts]),
        labels=features["labels"],
        made_of=features["made_of"],
    )


def halves(utts: Sequence[str]) -> np.ndarray:
    """Deal utterances out to two halves, in an order that means nothing."""
    order = {utt: place for place, utt in enumerate(random_order(utts, 0, "halves"))}
    return np.array([order[utt] % 2 for utt in utts])


# Listening --------------------------------------------------------------------------


def _choose(settings: ProfileSettings, directory: Path) -> list[Utterance]:
    found = list_recordings(directory)
    return choose_recordings(found, settings.max_utts, settings.seed)


def _fingerprint(chosen: Sequence[Utterance]) -> str:
    text = "\n".join(f"{u.id} {u.audio} {u.segment}" for u in chosen)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _features(outdir: Path, lang: str) -> Path:
    return outdir / "features" / f"{lang}.npz"


def _is_made(outdir: Path, lang: str, fingerprint: str) -> bool:
    path = profile_path(outdir, lang)
    return path.exists() and read_profile(path).made_of == fingerprint


def _is_heard(path: Path, fingerprint: str) -> bool:
    return path.exists() and read_arrays(path)["made_of"] == fingerprint


def _hear_language(
    settings: ProfileSettings, lang: str, chosen: Sequence[Utterance], path: Path
) -> str:
    """Write a language's features, and return a line about what was left out."""
    features, said = _hear(settings, lang, chosen, chosen)
    write_arrays(path, features)
    return f"{lang}: {said}" if said else ""


def _hear(
    settings: ProfileSettings, what: str, chosen: Sequence[Utterance], shown: Any
) -> tuple[dict[str, Any], str]:
    """Encode some utterances.

    Args:
        settings: Settings of the profile.
        what: Language or directory, for messages.
        chosen: The utterances.
        shown: The same, wrapped to show progress.

    Returns:
        ``frames`` (frames, size) float16, ``lengths`` (utterances,) in frames,
        ``utts``, ``labels`` by name and ``made_of``; and what was left out, as a
        sentence.
    """
    encode = HiddenLayer(settings.model, settings.layer)
    rejected = Rejected()
    kept, frames = [], []
    for utterance in shown:
        try:
            waveform = read_waveform(utterance, settings.max_seconds)
        except RejectedAudio as error:
            rejected.add(utterance, error)
            continue
        found = encode(waveform)
        check_frames(utterance.id, found, len(waveform))
        kept.append(utterance)
        frames.append(found.astype(np.float16))
    said = rejected.sentence(len(chosen))
    if not kept:
        raise UserError(
            f"{what} has no recording that can be used ({said}), such as "
            f"{rejected.examples[0]}: replace them."
        )
    names = sorted({name for utterance in kept for name in utterance.labels})
    return {
        "frames": np.concatenate(frames),
        "lengths": np.array([len(found) for found in frames]),
        "utts": np.array([utterance.id for utterance in kept]),
        "labels": {
            name: np.array([utterance.labels.get(name, "") for utterance in kept])
            for name in names
        },
        "made_of": _fingerprint(chosen),
    }, said


def _fit(settings: ProfileSettings, files: Sequence[Path], outdir: Path) -> None:
    """Fit clusters to as many frames of each language."""
    share = math.ceil(FIT_FRAMES / len(files))
    sample = []
    for number, path in enumerate(files):
        frames = read_arrays(path)["frames"]
        generator = np.random.default_rng((settings.seed, number))
        picked = np.sort(generator.permutation(len(frames))[:share])
        sample.append(frames[picked].astype(np.float32))
    frames = np.concatenate(sample)
    if len(frames) < settings.num_clusters:
        raise UserError(
            f"There are {len(frames)} frames to fit {settings.num_clusters} clusters "
            "on: give more audio or fewer clusters."
        )
    kmeans = MiniBatchKMeans(
        n_clusters=settings.num_clusters,
        batch_size=BATCH_FRAMES,
        n_init=1,
        max_iter=20,
        random_state=settings.seed,
        compute_labels=False,
    ).fit(frames)
    deviation = frames.std(axis=0)
    with replacing(outdir / "clusters.npz") as path, path.open("wb") as output:
        np.savez(
            output,
            centroids=kmeans.cluster_centers_.astype(np.float32),
            mean=frames.mean(axis=0),
            deviation=np.where(deviation > 0, deviation, 1.0),
        )
