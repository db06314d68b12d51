"""Equivalent target utterances: the N of a single run that scores as well.

The learning curve of a target is Perf of its single runs at every N that was measured,
and of its double runs at 2N. More data cannot be worth less: the curve is the isotonic
regression of the means over seeds, linear in log N between the measured N. What scores
below its smallest N is worth less than that, what scores above its largest N more.

The interval comes from resamples of the seeds, in which curve and score are those of
the same seeds. Their deviations from the means are widened by t sqrt(s / (s - 1)) / z,
Student's quantile with s - 1 degrees of freedom over the normal one, as a resample of s
seeds varies too little. One seed gives a value without an interval.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from espnet2_cltm.matrix.scores import mean_over_seeds
from espnet2_cltm.matrix.uncertainty import (
    IntervalSettings,
    critical_value,
    draw_weights,
)

MOST_RESAMPLES = 2000  # of each target, which has a curve of its own
SAME = 1e-12


@dataclass(frozen=True)
class Equivalent:
    """What a score is worth in utterances of the target, in the unit of N.

    Attributes:
        n: The N; 0 below the smallest measured N, infinite above the largest.
        low: Lower limit of its interval, likewise; NaN with one seed.
        high: Upper limit.
        smallest: Smallest N of the curve.
        largest: Largest.
    """

    n: float
    low: float
    high: float
    smallest: int
    largest: int

    @property
    def is_known(self) -> bool:
        """Whether the interval, or without one the value, excludes anything."""
        if math.isnan(self.low):
            return True
        return self.low > 0 or not math.isinf(self.high)

    def limit_text(self, n: float) -> str:
        """Write one number of it, such as ``41`` or ``more than 64``."""
        if n <= 0:
            return f"less than {self.smallest}"
        if math.isinf(n):
            return f"more than {self.largest}"
        return f"{n:.0f}" if n >= 9.95 else f"{n:.2g}"

    @property
    def text(self) -> str:
        """The number with its interval, such as ``41 [30, more than 64]``."""
        value = self.limit_text(self.n)
        low, high = self.limit_text(self.low), self.limit_text(self.high)
        if math.isnan(self.low) or low == high == value:
            return value
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True)
class TargetCurve:
    """The learning curve of a target.

    Attributes:
        sizes: The k measured N, ascending.
        perf: (k, s), by seed; NaN where a run is missing.
    """

    sizes: tuple[int, ...]
    perf: np.ndarray


def isotonic(values: np.ndarray) -> np.ndarray:
    """Return the closest values that never fall along the last axis.

    The k-th is the maximum over i <= k of the minimum over j >= k of the mean of
    values i to j (the max-min formula of isotonic regression, weights equal).

    Args:
        values: (..., k).
    """
    k = values.shape[-1]
    sums = np.concatenate([np.zeros_like(values[..., :1]), values.cumsum(-1)], axis=-1)
    fitted = np.full(values.shape, -np.inf)
    for first in range(k):
        lengths = np.arange(1, k - first + 1)
        means = (sums[..., first + 1 :] - sums[..., first : first + 1]) / lengths
        least = np.minimum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
        fitted[..., first:] = np.maximum(fitted[..., first:], least)
    return fitted


def reached_at(curve: np.ndarray, sizes: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the smallest N at which curves reach scores.

    Args:
        curve: (..., k) isotonic curves.
        sizes: (k,) N, ascending.
        score: (...) scores.

    Returns:
        (...) N; 0 where the score is below the curve, infinite where above.
    """
    reaches = curve >= score[..., None] - SAME
    place = reaches.argmax(axis=-1)
    there = np.take_along_axis(curve, place[..., None], -1)[..., 0]
    before = np.take_along_axis(curve, np.maximum(place - 1, 0)[..., None], -1)[..., 0]
    log_n = np.log(sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((score - before) / (there - before), 0.0, 1.0)
    step = log_n[place] - log_n[np.maximum(place - 1, 0)]
    n = np.exp(log_n[np.maximum(place - 1, 0)] + np.nan_to_num(share) * step)
    is_first = place == 0
    at_first = np.where(np.abs(score - curve[..., 0]) <= SAME, float(sizes[0]), 0.0)
    n = np.where(is_first, at_first, n.round(9))  # exp(log) is off in the last bit
    return np.where(reaches.any(axis=-1), n, np.inf)


def equivalent(
    curve: TargetCurve, score: np.ndarray, settings: IntervalSettings
) -> Equivalent | None:
    """Find what a score is worth in utterances of the target.

    Args:
        curve: The target's learning curve.
        score: (s,) Perf of each seed of the curve; NaN where missing.
        settings: How the interval is made.

    Returns:
        None where the curve has fewer than two N, or none of its seeds has a score.
    """
    used = np.isfinite(score)
    perf = curve.perf[:, used]
    kept = np.isfinite(perf).all(axis=1) if used.any() else np.zeros(len(perf), bool)
    if kept.sum() < 2:
        return None
    sizes = np.array(curve.sizes, dtype=float)[kept]
    values = np.vstack([perf[kept], score[used]])
    means = values.mean(axis=1)
    n = float(reached_at(isotonic(means[:-1]), sizes, means[-1]))
    n_seeds = values.shape[1]
    low = high = np.nan
    if n_seeds > 1:
        resamples = min(settings.resamples, MOST_RESAMPLES)
        weights = draw_weights(n_seeds, resamples, settings.bootstrap_seed) / n_seeds
        level = settings.confidence
        student = critical_value(level, np.array(n_seeds - 1))
        wider = student / ndtri((1 + level) / 2) * np.sqrt(n_seeds / (n_seeds - 1))
        drawn = means + wider * (weights @ (values.T - means))
        found = reached_at(isotonic(drawn[:, :-1]), sizes, drawn[:, -1])
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = map(float, np.quantile(found, tails, method="inverted_cdf"))
    return Equivalent(n, low, high, int(sizes[0]), int(sizes[-1]))


def mean_with_interval(values: np.ndarray, level: float) -> tuple[float, float, float]:
    """Return the mean over seeds and Student's interval, NaN where not known."""
    values = values[np.isfinite(values)]
    mean = float(mean_over_seeds(values))
    if len(values) < 2:
        return mean, np.nan, np.nan
    error = values.std(ddof=1) / np.sqrt(len(values))
    width = float(critical_value(level, np.array(len(values) - 1)) * error)
    return mean, mean - width, mean + width
