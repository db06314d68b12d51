"""How far twice the data helps a language: three indices of the gain from N to 2N.

    d = Perf(2N) - Perf(N)
    relative gain   d / (tau Perf(N))
    noise           d / (z SE_d)
    slope           (d / ln 2) / epsilon
    CI_min = the smallest of the three; 0 where d <= 0

(arXiv:2603.08231, section on the dynamic regime.) An index of 1 is just enough: a
gain of tau of the score, of z standard errors, of epsilon for every factor e in N.
SE_d is the standard error of the mean of d over seeds, which are paired: a seed's
smaller training set is in its larger one.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.regime_input import LearningCurves
from espnet2_cltm.matrix.scores import mean_over_seeds

INDICES = ("relative_gain", "noise", "slope")


@dataclass(frozen=True)
class IndexSettings:
    """What a gain must reach.

    Attributes:
        tau: Of Perf(N), a share.
        z: Of its standard error, a multiple.
        epsilon: Of Perf for every factor e in N.
    """

    tau: float = 0.05
    z: float = 1.3
    epsilon: float = 0.05


@dataclass(frozen=True)
class GainIndices:
    """The gain from N to 2N of every language, and its indices.

    All arrays are (n, m), languages by N; NaN where not available.

    Attributes:
        budgets: The m values of N whose double was measured too, ascending.
        n_seeds: Number of seeds with both.
        perf: Mean Perf(N) over those seeds.
        gain: Mean d.
        gain_se: Its standard error; NaN with one seed.
        relative_gain: First index.
        noise: Second index; NaN with one seed, infinite where all seeds gain the
            same.
        slope: Third index.
        ci_min: The smallest index that is available.
    """

    budgets: tuple[int, ...]
    n_seeds: np.ndarray
    perf: np.ndarray
    gain: np.ndarray
    gain_se: np.ndarray
    relative_gain: np.ndarray
    noise: np.ndarray
    slope: np.ndarray
    ci_min: np.ndarray


def gain_indices(curves: LearningCurves, settings: IndexSettings) -> GainIndices:
    """Compute all gains and indices."""
    smaller, larger = _paired(curves)
    difference = larger - smaller
    budgets = [n for n in curves.sizes if 2 * n in curves.sizes]
    kept = np.isfinite(difference).any(axis=(0, 2))
    budgets = tuple(n for n, keep in zip(budgets, kept, strict=True) if keep)
    smaller, difference = smaller[:, kept], difference[:, kept]
    n_seeds = np.isfinite(difference).sum(axis=-1)
    perf = mean_over_seeds(np.where(np.isfinite(difference), smaller, np.nan))
    gain = mean_over_seeds(difference)
    gain_se = standard_error(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        indices = {
            "relative_gain": gain / (settings.tau * perf),
            "noise": gain / (settings.z * gain_se),
            "slope": (gain / np.log(2)) / settings.epsilon,
        }
    # Of a score of 0 or less (1 - WER may be) any gain is large.
    indices["relative_gain"] = np.where(
        (perf <= 0) & (gain > 0), np.inf, indices["relative_gain"]
    )
    # 0/0: no gain is none, however small its error or its score.
    for name, unknown in (
        ("relative_gain", np.isnan(perf)),
        ("noise", np.isnan(gain_se)),
    ):
        indices[name] = np.where((gain == 0) & ~unknown, 0.0, indices[name])
    stacked = np.stack([indices[name] for name in INDICES])
    ci_min = np.where(np.isnan(stacked), np.inf, stacked).min(axis=0)
    ci_min = np.where(gain <= 0, 0.0, ci_min)
    ci_min[n_seeds == 0] = np.nan
    return GainIndices(
        budgets=budgets,
        n_seeds=n_seeds,
        perf=perf,
        gain=gain,
        gain_se=gain_se,
        ci_min=ci_min,
        **indices,
    )


def standard_error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the last axis, without NaN; NaN below two."""
    there = np.isfinite(values)
    count = there.sum(axis=-1)
    deviations = np.where(there, values - mean_over_seeds(values)[..., None], 0.0)
    # Equal seeds give a mean off by rounding; that is no error of measurement.
    deviations[np.abs(deviations) < 1e-12] = 0.0
    variance = (deviations**2).sum(axis=-1) / np.maximum(count - 1, 1)
    return np.where(count > 1, np.sqrt(variance / np.maximum(count, 1)), np.nan)


def _paired(curves: LearningCurves) -> tuple[np.ndarray, np.ndarray]:
    """Give Perf(N) and Perf(2N) of every N with its double, each (n, m, s)."""
    at = {size: k for k, size in enumerate(curves.sizes)}
    lower = [k for size, k in at.items() if 2 * size in at]
    upper = [at[2 * curves.sizes[k]] for k in lower]
    return curves.perf[:, lower], curves.perf[:, upper]
