"""Two-sided p-values by Student's t, and q-values over many of them.

A q-value below 0.05 marks a set of cells among which at most 5% are expected to be
false discoveries (Benjamini and Hochberg 1995). NaN stands for no test.
"""

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats loads slowly

FALSE_DISCOVERY_RATE = 0.05  # a cell or a test is told where its q is below


def critical_value(level: float, degrees_of_freedom: np.ndarray) -> np.ndarray:
    """Give Student's two-sided critical value; NaN without degrees of freedom."""
    df = np.asarray(degrees_of_freedom, dtype=float)
    value = stdtrit(np.where(df > 0, df, 1.0), (1 + level) / 2)
    return np.where(df > 0, value, np.nan)


def two_sided_p(
    difference: np.ndarray, standard_error: np.ndarray, degrees_of_freedom: np.ndarray
) -> np.ndarray:
    """Test that the expectation of ``difference`` is 0.

    Where runs are equal in every seed there is neither difference nor error: p is 1.
    A difference that is the same in every seed has p 0.

    Args:
        difference: Mean differences.
        standard_error: Their standard errors; NaN where unknown.
        degrees_of_freedom: Of the standard errors.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(difference / standard_error)
    t = np.where((difference == 0) & (standard_error == 0), 0.0, t)
    df = np.asarray(degrees_of_freedom, dtype=float)
    p = 2 * stdtr(np.where(df > 0, df, 1.0), -t)
    return np.where(df > 0, p, np.nan)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Turn p-values of any shape into q-values over all that are not NaN."""
    there = np.isfinite(p)
    values = p[there]
    order = np.argsort(values, kind="stable")
    ranked = values[order] * len(values) / np.arange(1, len(values) + 1)
    ranked = np.minimum.accumulate(ranked[::-1])[::-1]
    q = np.full(p.shape, np.nan)
    of_values = np.empty_like(values)
    of_values[order] = np.minimum(ranked, 1.0)
    q[there] = of_values
    return q
