"""Bootstrap intervals of a matrix's summary numbers, over seeds.

The resamples are those of the cells' intervals; which targets are identified stays as
it is. The mean gets the expanded percentile interval of
:mod:`espnet2_cltm.matrix.bootstrap`. RFD and asymmetry are norms: noise makes them
larger, in the estimate once and in the resamples once more, so they get the basic
interval, the percentile interval mirrored at the estimate, and no less than 0.

Shares, minimum and maximum have none: on simulated matrices neither interval held the
true share of positive cells or of cells above 1 in more than 85%.
"""

from collections.abc import Callable

import numpy as np

from espnet2_cltm.matrix.bootstrap import draw_weights, tail_level
from espnet2_cltm.matrix.properties import off_diagonal, relative_asymmetry, rfd
from espnet2_cltm.matrix.scores import SeedScores

AT_ONCE = 200  # resamples of a matrix in memory; 54 languages take 5 MiB


def mean_off_diagonal(matrix: np.ndarray) -> float | None:
    """Average the available off-diagonal cells."""
    cells = off_diagonal(matrix)
    return float(cells.mean()) if len(cells) else None


PROPERTIES: dict[str, Callable[[np.ndarray], float | None]] = {
    "mean_off_diagonal": mean_off_diagonal,
    "rfd": rfd,
    "relative_asymmetry": relative_asymmetry,
}
NORMS = ("rfd", "relative_asymmetry")


def property_intervals(
    scores: SeedScores,
    matrix: np.ndarray,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, tuple[float, float] | None]:
    """Compute the interval of every property that has one.

    Args:
        scores: Of which ``matrix`` was made.
        matrix: (n, n), estimates; NaN cells are left out of all resamples.
        level: Of confidence.
        resamples: How many to draw.
        seed: Of the draws.

    Returns:
        Lower and upper limit by name; None with one seed, or where the property is
        not available.
    """
    n_seeds = len(scores.seeds)
    weights = draw_weights(n_seeds, resamples, seed)
    drawn: dict[str, list[float]] = {name: [] for name in PROPERTIES}
    for start in range(0, resamples, AT_ONCE):
        for resampled in _matrices(scores, matrix, weights[start : start + AT_ONCE]):
            for name, compute in PROPERTIES.items():
                value = compute(resampled)
                drawn[name].append(np.nan if value is None else value)
    tail = float(tail_level(level, np.array(n_seeds)))
    return {
        name: _interval(name, compute(matrix), np.array(drawn[name]), tail)
        for name, compute in PROPERTIES.items()
    }


def _matrices(
    scores: SeedScores, matrix: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Estimate the matrix of every resample: (resamples, n, n)."""
    single, double = scores.single[:, None], scores.double[:, None]
    self_gain = np.broadcast_to(double - single, scores.pair.shape)
    cross_gain = scores.pair - single
    there = np.isfinite(self_gain) & np.isfinite(cross_gain)
    # Sums, not means: the number of seeds cancels in the ratio.
    numerator = np.where(there, cross_gain, 0.0) @ weights.T
    denominator = np.where(there, self_gain, 0.0) @ weights.T
    with np.errstate(divide="ignore", invalid="ignore"):
        cltm = numerator / denominator
    diagonal = np.eye(len(matrix), dtype=bool)
    cltm[diagonal] = 1.0
    cltm[~np.isfinite(cltm) | ~np.isfinite(matrix)[..., None]] = np.nan
    return np.moveaxis(cltm, -1, 0)


def _interval(
    name: str, estimate: float | None, drawn: np.ndarray, tail: float
) -> tuple[float, float] | None:
    drawn = drawn[np.isfinite(drawn)]
    if estimate is None or not np.isfinite(tail) or not len(drawn):
        return None
    low, high = (float(limit) for limit in np.quantile(drawn, [tail, 1 - tail]))
    if name in NORMS:
        low, high = max(2 * estimate - high, 0.0), max(2 * estimate - low, 0.0)
    return low, high
