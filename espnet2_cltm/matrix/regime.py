"""The dynamic regime: the N at which twice the data helps most languages.

An N of the grid is in the regime where the median over languages of CI_min reaches the
threshold. The medians, interpolated linearly over log N and smoothed by a Gaussian,
give the curve that is drawn, and the suggestion: of the N in the regime, the one where
the curve is highest.

Settings and steps are those of arXiv:2603.08231 and the authors' repository, where the
N nearest to the highest point of the curve is taken. Two things differ. There an N is
suggested even where none reaches the threshold; here it is not. There an N is dropped
whose median lies beyond Q3 + 1.5 IQR of all medians; here only from a grid with at
least :data:`FEWEST_FOR_OUTLIERS` N that have their double, because quartiles of a few
numbers would drop the best N.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter1d

from espnet2_cltm.matrix.regime_indices import (
    INDICES,
    GainIndices,
    IndexSettings,
    gain_indices,
)
from espnet2_cltm.matrix.regime_input import LearningCurves

CURVE_POINTS = 200
OUTLIER_FACTOR = 1.5  # interquartile ranges
FEWEST_FOR_OUTLIERS = 8
NO_SMOOTHING = 1e-3  # points: a narrower Gaussian changes nothing, and underflows
NO_GAIN = "no_gain"


@dataclass(frozen=True)
class RegimeSettings:
    """How a regime is found.

    Attributes:
        indices: What a gain must reach.
        threshold: Of the median of CI_min.
        smoothing: Standard deviation of the Gaussian in points of the curve, which
            has 200 from the smallest N to the largest; 0 for none.
        drop_outliers: Whether an N that stands out is dropped.
    """

    indices: IndexSettings = field(default_factory=IndexSettings)
    threshold: float = 1.0
    smoothing: float = 5.0
    drop_outliers: bool = True


@dataclass(frozen=True)
class Regime:
    """Which N are in the dynamic regime.

    Arrays over N are (m,), in the order of ``indices.budgets``.

    Attributes:
        settings: How it was found.
        indices: Of every language.
        median: Median of CI_min over the languages that were measured.
        n_languages: Number of those.
        n_reaching: How many of them reach the threshold.
        is_outlier: Dropped from curve, regime and suggestion.
        is_in_regime: Whether the median reaches the threshold.
        curve_n: (p,) N of the smoothed curve, ascending; one point where there is one
            N, else 200.
        curve: (p,) the smoothed curve.
        spans: First and last N of every stretch where the curve reaches the
            threshold.
        suggested: The N to take; None where no N is in the regime.
        best: The N with the highest median, which may be too low.
    """

    settings: RegimeSettings
    indices: GainIndices
    median: np.ndarray
    n_languages: np.ndarray
    n_reaching: np.ndarray
    is_outlier: np.ndarray
    is_in_regime: np.ndarray
    curve_n: np.ndarray
    curve: np.ndarray
    spans: tuple[tuple[float, float], ...]
    suggested: int | None
    best: int


def find_regime(curves: LearningCurves, settings: RegimeSettings) -> Regime:
    """Find the dynamic regime of learning curves."""
    indices = gain_indices(curves, settings.indices)
    ci_min = indices.ci_min
    budgets = np.array(indices.budgets)
    median = np.nanmedian(ci_min, axis=0)
    is_outlier = _outliers(median) & settings.drop_outliers
    kept = ~is_outlier
    curve_n, curve = smoothed_curve(budgets[kept], median[kept], settings.smoothing)
    is_in_regime = (median >= settings.threshold) & kept
    height = np.interp(np.log(budgets), np.log(curve_n), curve)
    highest = np.where(is_in_regime, height, -np.inf).argmax()
    return Regime(
        settings=settings,
        indices=indices,
        median=median,
        n_languages=np.isfinite(ci_min).sum(axis=0),
        n_reaching=(ci_min >= settings.threshold).sum(axis=0),
        is_outlier=is_outlier,
        is_in_regime=is_in_regime,
        curve_n=curve_n,
        curve=curve,
        spans=_spans(curve_n, curve >= settings.threshold),
        suggested=int(budgets[highest]) if is_in_regime.any() else None,
        best=int(budgets[np.where(kept, median, -np.inf).argmax()]),
    )


def smoothed_curve(
    budgets: np.ndarray, median: np.ndarray, smoothing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate over log N and smooth.

    Args:
        budgets: (m,) N, ascending.
        median: (m,) values.
        smoothing: Standard deviation in points of the curve.

    Returns:
        N and values of 200 points; the one point there is where there is one.
    """
    if len(budgets) == 1:
        return budgets.astype(float), median.astype(float)
    log_n = np.log(budgets)
    at = np.linspace(log_n[0], log_n[-1], CURVE_POINTS)
    values = np.interp(at, log_n, median)
    if smoothing > NO_SMOOTHING:
        values = gaussian_filter1d(values, smoothing)
    curve_n = np.exp(at)
    curve_n[[0, -1]] = budgets[[0, -1]]  # exp(log) is off in the last bit
    return curve_n, values


def limiting_index(indices: GainIndices, threshold: float) -> np.ndarray:
    """Name what keeps a language's CI_min below the threshold.

    Returns:
        (n, m) text: one of :data:`INDICES`, ``no_gain``, or empty where the threshold
        is reached or nothing was measured.
    """
    values = np.stack([getattr(indices, name) for name in INDICES])
    smallest = np.where(np.isnan(values), np.inf, values).argmin(axis=0)
    names = np.array(INDICES, dtype=object)[smallest]
    names = np.where(indices.gain <= 0, NO_GAIN, names)
    return np.where(indices.ci_min < threshold, names, "")


def _outliers(median: np.ndarray) -> np.ndarray:
    """Mark the N whose median lies far above the others'; (m,) bool."""
    if len(median) < FEWEST_FOR_OUTLIERS:
        return np.zeros(len(median), dtype=bool)
    lower, upper = np.quantile(median, [0.25, 0.75])
    return median > upper + OUTLIER_FACTOR * (upper - lower)


def _spans(curve_n: np.ndarray, reaches: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Give first and last N of every stretch of points that reach the threshold."""
    edges = np.diff(np.concatenate([[0], reaches.astype(int), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return tuple(
        (float(curve_n[start]), float(curve_n[end]))
        for start, end in zip(starts, ends, strict=True)
    )
