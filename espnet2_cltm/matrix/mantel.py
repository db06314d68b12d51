"""Mantel's permutation test, for matrices that need not be symmetric.

Cells of a matrix are not independent: a row has one target, a column one donor. So
languages are permuted, not cells: the same permutation reorders rows and columns of one
matrix, and its diagonal stays a diagonal. The statistic runs over all off-diagonal
cells available in both, (i, j) and (j, i) being two of them. Two-sided. Source: Mantel,
Cancer Research 27 (1967), 209-220.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations as all_orders

import numpy as np

TOLERANCE = 1e-12  # rounding between sums in another order
CHUNK_CELLS = 500_000


@dataclass(frozen=True)
class LanguagePermutations:
    """Orders of n languages.

    Attributes:
        orders: (count, n) positions.
        exact: They are all n! orders, the original one included; else drawn.
    """

    orders: np.ndarray
    exact: bool

    def p_value(self, extreme: int) -> float:
        """P-value where ``extreme`` of the orders are as extreme as the original."""
        if self.exact:
            return extreme / len(self.orders)
        # The original order is one of those possible under the null hypothesis.
        return (extreme + 1) / (len(self.orders) + 1)

    def reorder(self, matrix: np.ndarray) -> Iterator[np.ndarray]:
        """Give the matrix in every order, some (k, n, n) at a time."""
        n = self.orders.shape[1]
        step = max(CHUNK_CELLS // n**2, 1)
        for start in range(0, len(self.orders), step):
            order = self.orders[start : start + step]
            yield matrix[order[:, :, None], order[:, None, :]]


def permute_languages(n: int, count: int, seed: int) -> LanguagePermutations:
    """Draw orders, or list all of them where there are no more than ``count``.

    Args:
        n: Number of languages.
        count: How many orders are drawn.
        seed: Seed of the generator.
    """
    if math.factorial(n) <= count:
        return LanguagePermutations(np.array(list(all_orders(range(n)))), exact=True)
    generator = np.random.default_rng(seed)
    orders = generator.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
    return LanguagePermutations(orders, exact=False)


def mantel_p_value(
    a: np.ndarray, b: np.ndarray, permutations: LanguagePermutations
) -> float | None:
    """Two-sided p-value of Pearson's correlation between off-diagonal cells.

    Args:
        a: (n, n), NaN where not available; the diagonal does not count.
        b: (n, n), the matrix whose languages are permuted.
        permutations: Orders of the n languages.

    Returns:
        None where the correlation is not defined.
    """
    a, b = (_standardised(matrix) for matrix in (a, b))
    if a is None or b is None:
        return None
    observed = _correlations(a, b[None])[0]
    if not np.isfinite(observed):
        return None
    extreme = 0
    for reordered in permutations.reorder(b):
        found = np.abs(_correlations(a, reordered))
        # An order that leaves no correlation counts as extreme: p is never too small.
        extreme += int((~(found < abs(observed) - TOLERANCE)).sum())
    return permutations.p_value(extreme)


def _standardised(matrix: np.ndarray) -> np.ndarray | None:
    """Bring cells to mean 0 and deviation 1, so that sums of squares are accurate."""
    matrix = matrix.astype(float)
    np.fill_diagonal(matrix, np.nan)
    cells = matrix[np.isfinite(matrix)]
    if len(cells) < 3 or not np.ptp(cells) > 0:
        return None
    return (matrix - cells.mean()) / cells.std()


def _correlations(a: np.ndarray, reordered: np.ndarray) -> np.ndarray:
    """Pearson's r of (n, n) with each of (k, n, n), over cells available in both."""
    a = a.ravel()
    b = reordered.reshape(len(reordered), -1)
    in_a, in_b = np.isfinite(a).astype(float), np.isfinite(b).astype(float)
    a, b = np.where(in_a, a, 0.0), np.where(in_b, b, 0.0)
    count, sum_a, sum_aa = (in_b @ np.stack([in_a, a, a * a], axis=1)).T
    sum_b, sum_ab = (b @ np.stack([in_a, a], axis=1)).T
    sum_bb = (b * b) @ in_a
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = sum_ab - sum_a * sum_b / count
        var_a = sum_aa - sum_a**2 / count
        var_b = sum_bb - sum_b**2 / count
        defined = (count >= 3) & (np.minimum(var_a, var_b) > TOLERANCE * count)
        return np.where(defined, covariance / np.sqrt(var_a * var_b), np.nan)
