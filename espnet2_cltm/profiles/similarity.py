"""How alike languages are by their profiles, from 0 to 1.

``atds``
    Acoustic token distribution similarity: the cosine of two languages' counts of
    n-grams of tokens (San et al., *Predicting positive transfer for improved
    low-resource speech recognition using acoustic pseudo-tokens*, arXiv:2402.02302,
    where sub-sequences are those of a subword model).
``covariance``
    trace(A B) / (norm(A) norm(B)) of the covariance matrices of two languages' frames,
    with Frobenius norms: one minus the correlation matrix distance (Herdin et al.,
    *VTC* 2005). It is linear CKA (Kornblith et al., arXiv:1905.00414) with covariances
    in the place of Gram matrices, which need features of the same utterances.
``logme``
    Whether one linear head reads a label off both languages' features: the evidence for
    it beside that for a head of each language (:mod:`.logme`); above 0.5 where one head
    is the better explanation.

Of two halves of one language the similarity is that of a language with itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, vstack

from espnet2_cltm.errors import UserError
from espnet2_cltm.profiles.logme import log_evidence
from espnet2_cltm.profiles.profile import Profile

NOT_ENOUGH = 2  # utterances of each class, fewer than which say nothing of a label


@dataclass(frozen=True)
class MeasureSettings:
    """What similarities depend on besides the profiles.

    Attributes:
        ngram: Length of the n-grams of ``atds``.
        num_clusters: Number of clusters of the profiles.
        label: Name of the label of ``logme``.
    """

    ngram: int
    num_clusters: int
    label: str


Part = tuple[Profile, int | None]
"""A profile, and which half of it; None for all."""


def similarities(
    measure: str, parts: Sequence[Part], settings: MeasureSettings
) -> np.ndarray:
    """Compare every part with every other.

    Args:
        measure: One of :data:`MEASURES`.
        parts: The n parts.
        settings: Settings of the measure.

    Returns:
        (n, n) in [0, 1], symmetric; NaN where not known.
    """
    return _FUNCTIONS[measure](parts, settings)


@dataclass(frozen=True)
class HalvesCheck:
    """Two halves of a language beside the other languages.

    Attributes:
        itself: Similarity of its two halves.
        nearest: Other language that is most like them.
        to_nearest: Mean similarity of its halves with that one's.
    """

    itself: float
    nearest: str
    to_nearest: float

    @property
    def holds(self) -> bool:
        """Whether the language is more like itself than like any other."""
        return self.itself > self.to_nearest


def check_halves(
    measure: str, profiles: Mapping[str, Profile], settings: MeasureSettings
) -> dict[str, HalvesCheck]:
    """Compare each language's halves with each other and with those of the others.

    All parts are halves, so that a small sample lowers all similarities alike.

    Returns:
        By language; those without a value are left out.
    """
    langs = list(profiles)
    parts = [(profiles[lang], half) for lang in langs for half in (0, 1)]
    found = similarities(measure, parts, settings)
    n = len(langs)
    between = found.reshape(n, 2, n, 2).mean(axis=(1, 3))
    checks = {}
    for place, lang in enumerate(langs):
        others = np.delete(between[place], place)
        itself = float(found[2 * place, 2 * place + 1])
        if np.isnan(itself) or np.isnan(others).all():
            continue
        nearest = int(np.nanargmax(others))
        name = langs[nearest + (nearest >= place)]
        checks[lang] = HalvesCheck(itself, name, float(others[nearest]))
    return checks


# Acoustic tokens --------------------------------------------------------------------


def count_ngrams(profile: Profile, n: int, num_clusters: int) -> csr_matrix:
    """Count the n-grams of tokens of each utterance.

    Args:
        profile: Profile with the tokens.
        n: Their length.
        num_clusters: Number of clusters.

    Returns:
        (utterances, num_clusters ** n).
    """
    utterance = np.repeat(np.arange(len(profile.lengths)), profile.lengths)
    last = len(utterance) - n + 1
    if last <= 0:
        return csr_matrix((len(profile.utts), num_clusters**n))
    number = np.zeros(last, np.int64)
    for place in range(n):
        number = number * num_clusters + profile.tokens[place : place + last]
    inside = utterance[:last] == utterance[n - 1 :]
    counted = (np.ones(inside.sum()), (utterance[:last][inside], number[inside]))
    return csr_matrix(counted, shape=(len(profile.utts), num_clusters**n))


def cosines(rows: csr_matrix, others: csr_matrix) -> np.ndarray:
    """Return the cosine of each row with each of the others; NaN with an empty one."""
    norms = [np.sqrt(np.asarray(x.multiply(x).sum(axis=1))) for x in (rows, others)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (rows @ others.T).toarray() / norms[0] / norms[1].T


def token_counts(parts: Sequence[Part], settings: MeasureSettings) -> csr_matrix:
    """Count the n-grams of each part, (parts, num_clusters ** ngram)."""
    return vstack(
        [
            csr_matrix(profile.of_half(half).astype(float))
            @ count_ngrams(profile, settings.ngram, settings.num_clusters)
            for profile, half in parts
        ],
        format="csr",
    )


def resample_atds(
    target: Profile,
    others: Sequence[Profile],
    settings: MeasureSettings,
    draws: int,
    seed: int,
) -> np.ndarray:
    """Find how far the similarity of tokens hangs on which utterances were heard.

    Args:
        target: Language whose utterances are drawn anew, with replacement.
        others: The n languages that it is compared with, as they are.
        settings: Settings of the measure.
        draws: Number of draws.
        seed: Seed of the draws.

    Returns:
        (draws, n), with the mean of all draws moved to the similarity itself: drawing
        adds noise of its own, which lowers every cosine.
    """
    counts = count_ngrams(target, settings.ngram, settings.num_clusters)
    n = len(target.utts)
    generator = np.random.default_rng(seed)
    drawn = csr_matrix(
        generator.multinomial(n, np.full(n, 1 / n), size=draws), dtype=float
    )
    of_others = token_counts([(other, None) for other in others], settings)
    found = cosines(drawn @ counts, of_others)
    observed = cosines(csr_matrix(np.ones((1, n))) @ counts, of_others)
    return observed + found - np.nanmean(found, axis=0)


def _atds(parts: Sequence[Part], settings: MeasureSettings) -> np.ndarray:
    counts = token_counts(parts, settings)
    return np.clip(cosines(counts, counts), 0, 1)


# Moments ----------------------------------------------------------------------------


def covariance(profile: Profile, half: int | None = None) -> np.ndarray:
    """Return the (size, size) covariance of the frames of a half, or of all."""
    which = slice(None) if half is None else [half]
    count = profile.counts[which].sum()
    mean = profile.sums[which].sum(axis=0) / count
    return profile.products[which].sum(axis=0) / count - np.outer(mean, mean)


def _covariances(parts: Sequence[Part], settings: MeasureSettings) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        flat = np.array([covariance(*part).ravel() for part in parts])
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    return np.clip(flat @ flat.T, 0, 1)


# Labels -----------------------------------------------------------------------------


def check_label(profiles: Mapping[str, Profile], label: str) -> None:
    """Refuse a label that fewer than two languages have.

    Raises:
        UserError: So it is.
    """
    having = [lang for lang, of in profiles.items() if _labelled(of, None, label)]
    if len(having) < 2:
        known = sorted({name for of in profiles.values() for name in of.labels})
        raise UserError(
            f"logme needs utterances of two classes of the label '{label}' in at least "
            f"two languages, and {len(having)} of {len(profiles)} have them: name "
            f"another by --label ({', '.join(known) or 'these have none'}), or leave "
            "logme out of --measures."
        )


def _labelled(
    profile: Profile, half: int | None, label: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return features and classes of what is labelled; None without two classes."""
    if label not in profile.labels:
        return None
    values = profile.labels[label]
    kept = profile.of_half(half) & (values != "")
    names, counts = np.unique(values[kept], return_counts=True)
    kept &= np.isin(values, names[counts >= NOT_ENOUGH])
    if len(np.unique(values[kept])) < 2:
        return None
    return profile.means[kept].astype(np.float64), values[kept]


def _shared_heads(parts: Sequence[Part], settings: MeasureSettings) -> np.ndarray:
    items = [_labelled(*part, settings.label) for part in parts]
    alone: dict[tuple[int, tuple[str, ...]], float] = {}
    n = len(parts)
    result = np.full((n, n), np.nan)
    for i, one in enumerate(items):
        for j, other in enumerate(items[:i]):
            if one is None or other is None:
                continue
            classes = tuple(sorted({*one[1]} & {*other[1]}))
            if len(classes) < 2:
                continue
            pair = [_of_classes(item, classes) for item in (one, other)]
            for place, item in zip((i, j), pair, strict=True):
                if (place, classes) not in alone:
                    alone[place, classes] = log_evidence(*item)
            both = [np.concatenate(arrays) for arrays in zip(*pair, strict=True)]
            gain = log_evidence(*both) - alone[i, classes] - alone[j, classes]
            result[i, j] = result[j, i] = 1 / (1 + np.exp(-gain / len(both[1])))
    return result


def _of_classes(
    item: tuple[np.ndarray, np.ndarray], classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    kept = np.isin(item[1], classes)
    return item[0][kept], item[1][kept]


_FUNCTIONS: dict[str, Callable[[Sequence[Part], MeasureSettings], np.ndarray]] = {
    "atds": _atds,
    "covariance": _covariances,
    "logme": _shared_heads,
}
MEASURES = tuple(_FUNCTIONS)
