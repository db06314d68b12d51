"""Bootstrap intervals of the cells: seeds are drawn with replacement, all runs alike.

A resample draws as many seeds as there are, and one draw serves the whole matrix, so
that runs of one seed stay together. A cell takes of it the seeds that it has, as its
estimate does.

The interval is Hesterberg's expanded percentile interval (arXiv:1411.5279): a plain
percentile interval is too narrow with few seeds, by sqrt((s - 1) / s) and by the
normal quantile in place of Student's. Its limits are taken at the tail level that makes
up for both. Where the self-gain of a resample is not positive its ratio means
nothing: it counts as below and as above every limit, and a limit that such resamples
reach is infinite.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from espnet2_cltm.matrix.scores import SeedScores
from espnet2_cltm.matrix.significance import critical_value


@dataclass(frozen=True)
class BootstrapLimits:
    """Limits of every cell's interval, (n, n).

    Attributes:
        low: Infinite where unbounded, NaN where there is no interval.
        high: The same.
    """

    low: np.ndarray
    high: np.ndarray


def draw_weights(n_seeds: int, resamples: int, seed: int) -> np.ndarray:
    """Draw how often each seed is in each resample.

    Returns:
        (resamples, n_seeds), rows sum to ``n_seeds``.
    """
    generator = np.random.default_rng(seed)
    equal = np.full(n_seeds, 1 / n_seeds)
    return generator.multinomial(n_seeds, equal, size=resamples).astype(float)


def tail_level(level: float, n_seeds: np.ndarray) -> np.ndarray:
    """Give the share of resamples outside of either limit; NaN with one seed.

    With s seeds it is Phi(-t sqrt(s / (s - 1))), t Student's quantile with s - 1
    degrees of freedom.
    """
    n_seeds = np.asarray(n_seeds, dtype=float)
    t = critical_value(level, n_seeds - 1)
    return ndtr(-t * np.sqrt(n_seeds / np.maximum(n_seeds - 1, 1)))


def bootstrap_limits(
    scores: SeedScores, level: float, resamples: int, seed: int
) -> BootstrapLimits:
    """Compute every off-diagonal cell's interval.

    Args:
        scores: Of every run, seed by seed.
        level: Of confidence, such as 0.95.
        resamples: How many to draw.
        seed: Of the draws.

    Returns:
        No interval on the diagonal, with one seed or where a run is missing.
    """
    n = len(scores.languages)
    if not scores.seeds:  # the metric is undefined in every run
        return BootstrapLimits(np.full((n, n), np.nan), np.full((n, n), np.nan))
    weights = draw_weights(len(scores.seeds), resamples, seed)
    low, high = np.full((n, n), np.nan), np.full((n, n), np.nan)
    for target in range(n):  # a row at a time: 54 cells of 10,000 are 4 MiB
        self_gain = scores.double[target] - scores.single[target]
        cross_gain = scores.pair[target] - scores.single[target]
        there = np.isfinite(self_gain) & np.isfinite(cross_gain)
        there[target] = False
        tails = tail_level(level, there.sum(axis=-1))
        denominators = _resample(self_gain, there, weights)
        numerators = _resample(cross_gain, there, weights)
        for donor in np.flatnonzero(np.isfinite(tails)):
            low[target, donor], high[target, donor] = _limits(
                numerators[donor], denominators[donor], tails[donor]
            )
    return BootstrapLimits(low, high)


def _resample(gain: np.ndarray, there: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum gains (n, s) or (s,) over the seeds there (n, s): (n, resamples).

    Sums, not means: the number of seeds cancels in the ratio of two of them.
    """
    return np.where(there, gain, 0.0) @ weights.T


def _limits(
    numerator: np.ndarray, denominator: np.ndarray, tail: float
) -> tuple[float, float]:
    valid = denominator > 0
    ratio = np.divide(numerator, denominator, where=valid, out=np.empty_like(numerator))
    n = len(ratio)
    # As many resamples lie beyond each limit: all that mean nothing, and more.
    beyond = int(tail * n)
    rank = beyond - (n - int(valid.sum()))
    if rank < 0:
        return -np.inf, np.inf
    ratio = ratio[valid]
    ends = (rank, len(ratio) - 1 - rank)
    if ends[0] > ends[1]:
        return -np.inf, np.inf
    ratio.partition(ends)
    return float(ratio[ends[0]]), float(ratio[ends[1]])
