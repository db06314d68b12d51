"""Ratios of ABX errors, and how sure they are.

The relative gap of a multilingual encoder to a monolingual one in a language is
``(E_multi - E_mono) / E_mono = exp(d) - 1`` with ``d = log E_multi - log E_mono``, each
E being a mean over seeds. Its interval is that of d, by Student's t: speakers vary by a
bootstrap in which a speaker counts the same for both encoders, seeds by the spread of
their own d, and both variances add up, with the degrees of freedom of Welch and
Satterthwaite. A mean over languages adds up the variances of their speakers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from espnet2_cltm.abx.averaging import FEWEST_SPEAKERS, LEVEL


@dataclass(frozen=True)
class Errors:
    """ABX errors of encoders that differ in their seeds, in one language.

    Attributes:
        by_seed: (seeds,) errors above 0.
        drawn: (draws,) mean over seeds in each draw of speakers.
        speakers: Number of speakers.
    """

    by_seed: np.ndarray
    drawn: np.ndarray
    speakers: int


@dataclass(frozen=True)
class Estimate:
    """A ratio less one, such as a relative gap, and its interval.

    Attributes:
        relative: The estimate.
        low: Lower limit, nan where there are too few seeds or speakers for one.
        high: Upper limit.
        seeds: Number of seeds.
        speakers: Number of speakers, of all languages.
    """

    relative: float
    low: float
    high: float
    seeds: int
    speakers: int


def estimate(
    languages: Sequence[Mapping[str, Errors]], powers: Mapping[str, float]
) -> Estimate:
    """Estimate a product of powers of errors, its geometric mean over languages.

    Args:
        languages: Errors by kind of encoder, of each language; seeds in one order.
        powers: Power of each kind: 1 of one and -1 of another make their ratio.

    Returns:
        The product less one.
    """
    values, seeds, variances, freedoms = [], [], [], []
    for errors in languages:
        taken = [(power, errors[name]) for name, power in powers.items()]
        values.append(sum(p * np.log(e.by_seed.mean()) for p, e in taken))
        seeds.append(sum(p * np.log(e.by_seed) for p, e in taken))
        drawn = sum(p * np.log(e.drawn) for p, e in taken)
        drawn = np.extract(np.isfinite(drawn), drawn)  # too few speakers in others
        speakers = min(e.speakers for _, e in taken)
        enough = speakers >= FEWEST_SPEAKERS and np.size(drawn) > 1
        variances.append(np.var(drawn, ddof=1) if enough else np.nan)
        freedoms.append(speakers - 1)
    value, by_seed = float(np.mean(values)), np.mean(seeds, axis=0)
    n_seeds, n_languages = len(by_seed), len(languages)
    of_seeds = np.var(by_seed, ddof=1) / n_seeds if n_seeds > 1 else np.nan
    parts = np.array([*(v / n_languages**2 for v in variances), of_seeds])
    half = 0.0
    if parts.sum() != 0:  # nan, too
        freedom = parts.sum() ** 2 / (parts**2 / [*freedoms, n_seeds - 1]).sum()
        half = stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt(parts.sum())
    return Estimate(
        float(np.expm1(value)),
        float(np.expm1(value - half)),
        float(np.expm1(value + half)),
        n_seeds,
        sum(freedoms) + n_languages,
    )
