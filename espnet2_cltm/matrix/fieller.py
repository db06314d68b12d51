r"""Fieller's confidence set for a ratio of two means.

A ratio g = x / d is in the set where x - g d does not differ from 0 by Student's t:

    (x - g d)^2 <= t^2 (var(x) - 2 g cov(x, d) + g^2 var(d))

which is a quadratic in g (Fieller 1954, doi 10.1111/j.2517-6161.1954.tb00159.x). Under
normal errors it covers exactly, however noisy the denominator; the price is that
the set is unbounded where the denominator does not differ from 0 at that level. Such
sets are given as what they are: everything outside an open interval, a half-line, or
the whole line.
"""

from dataclasses import dataclass

import numpy as np

BOUNDED = "bounded"  # low <= ratio <= high
OUTSIDE = "outside"  # ratio <= low or ratio >= high
HALF_LINE = "half-line"  # one of low and high is infinite
WHOLE_LINE = "whole line"  # nothing can be said; both are infinite


@dataclass(frozen=True)
class RatioSets:
    """Confidence sets of many ratios, arrays of one shape.

    Attributes:
        kind: ``bounded``, ``outside``, ``half-line`` or ``whole line``; empty where
            there is no set.
        low: Lower limit; of ``outside``, where the gap begins.
        high: Upper limit; of ``outside``, where the gap ends.
    """

    kind: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def contains(self, ratio: np.ndarray) -> np.ndarray:
        """Tell which sets hold these ratios; those that are not there hold none."""
        inside = (self.low <= ratio) & (ratio <= self.high)
        outside = (ratio <= self.low) | (ratio >= self.high)
        return np.where(self.kind == OUTSIDE, outside, inside) & (self.kind != "")


def fieller_sets(
    numerator: np.ndarray,
    denominator: np.ndarray,
    numerator_variance: np.ndarray,
    denominator_variance: np.ndarray,
    covariance: np.ndarray,
    critical: np.ndarray,
) -> RatioSets:
    """Compute the set of every ratio; all arguments broadcast.

    Args:
        numerator: Means x.
        denominator: Means d.
        numerator_variance: Variances of these means x.
        denominator_variance: Variances of d.
        covariance: Covariances of x and d.
        critical: Two-sided critical values t.

    Returns:
        No set where an argument is NaN.
    """
    x, d, t2 = numerator, denominator, np.square(critical)
    # The set is a g^2 - 2 b g + c <= 0.
    a, b, c = np.broadcast_arrays(
        d * d - t2 * denominator_variance,
        x * d - t2 * covariance,
        x * x - t2 * numerator_variance,
    )
    known = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    discriminant = b * b - a * c
    with np.errstate(invalid="ignore", divide="ignore"):
        # Never subtracts two nearly equal numbers: the other root is c / (a root).
        sign = np.where(b < 0, -1.0, 1.0)
        root = b + sign * np.sqrt(np.maximum(discriminant, 0.0))
        first, second = root / a, np.where(root == 0, 0.0, c / root)
        edge = c / (2 * b)
    whole = known & np.where(a < 0, discriminant <= 0, (a == 0) & (b == 0) & (c <= 0))
    kinds = (
        (known & (a > 0), BOUNDED),
        (known & (a < 0) & ~whole, OUTSIDE),
        (known & (a == 0) & (b != 0), HALF_LINE),
        (whole, WHOLE_LINE),
    )
    kind = np.select([where for where, _ in kinds], [name for _, name in kinds], "")
    two_roots = (kind == BOUNDED) | (kind == OUTSIDE)
    low = np.where(two_roots, np.minimum(first, second), np.nan)
    high = np.where(two_roots, np.maximum(first, second), np.nan)
    half = kind == HALF_LINE
    low = np.where(half, np.where(b > 0, edge, -np.inf), low)
    high = np.where(half, np.where(b > 0, np.inf, edge), high)
    low[whole], high[whole] = -np.inf, np.inf
    return RatioSets(kind, low, high)
