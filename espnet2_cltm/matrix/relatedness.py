"""Whether transfer goes with the relatedness of languages: Mantel's tests.

Each test correlates the off-diagonal cells of a transfer matrix with what is known of
a pair of languages: the same family or not, or a distance. Two statistics:

- *of cells*: Pearson's r of the cells themselves. Targets and donors differ so much
  that this is as much about which languages are targets that gain and donors that give.
- *of pair effects*: Pearson's r of what an additive fit of targets and donors leaves
  of the cells, with what the same fit leaves of the distances: the part that is of the
  pair, not of either language.

Cells of a matrix are not independent: a row has one target, a column one donor. So
languages are permuted, not cells: the same permutation reorders rows and columns of one
matrix, and its diagonal stays a diagonal. The statistic runs over all off-diagonal
cells available in both, (i, j) and (j, i) being two of them. P-values are two-sided
(Mantel, Cancer Research 27 (1967), 209-220), one set of orders for all tests; q-values
(Benjamini-Hochberg) run over all tests of a matrix.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations as all_orders

import numpy as np

from espnet2_cltm.files import finite
from espnet2_cltm.matrix.decomposition import fit_additive
from espnet2_cltm.matrix.uncertainty import benjamini_hochberg

FEWEST_FOR_CORRELATION = 3
ROUNDING = 1e-12  # rounding between sums in another order
CELLS_AT_ONCE = 500_000


@dataclass(frozen=True)
class LanguagePermutations:
    """Orders of n languages.

    Attributes:
        orders: (count, n) positions.
        exact: Whether they are all n! orders, the original one included; else drawn.
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
        """Yield the matrix in every order, some (k, n, n) at a time."""
        n = self.orders.shape[1]
        step = max(CELLS_AT_ONCE // n**2, 1)
        for start in range(0, len(self.orders), step):
            order = self.orders[start : start + step]
            yield matrix[order[:, :, None], order[:, None, :]]


def permute_languages(n: int, count: int, seed: int) -> LanguagePermutations:
    """Draw orders, or list all of them where there are no more than ``count``.

    Args:
        n: Number of languages.
        count: Number of orders drawn.
        seed: Seed of their draw.
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
    _, p, _ = mantel_tests(off_diagonal(b), off_diagonal(a)[None], permutations)
    return finite(p[0])


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    """Return a copy with NaN on the diagonal."""
    return np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)


def mantel_tests(
    matrix: np.ndarray, relations: np.ndarray, permutations: LanguagePermutations
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlate one matrix with many, and with each order of its languages.

    Each reordered matrix is made once for all relations.

    Args:
        matrix: (n, n), NaN where not available and on the diagonal; its languages are
            permuted.
        relations: (k, n, n), NaN as above.
        permutations: Orders of the n languages.

    Returns:
        (k,) Pearson's r, NaN where not defined; (k,) p-values; (k,) numbers of cells
        available in both.
    """
    k = len(relations)
    matrix = _standardised(matrix)
    flat = np.array([_standardised(relation) for relation in relations]).reshape(k, -1)
    observed, count = _correlations(matrix[None], flat)
    observed, count = observed[0], count[0]
    extreme = np.zeros(k, dtype=int)
    if np.isfinite(observed).any():
        for reordered in permutations.reorder(matrix):
            found = np.abs(_correlations(reordered, flat)[0])
            # An order that leaves no correlation counts as extreme: p is never too
            # small.
            extreme += (~(found < np.abs(observed) - ROUNDING)).sum(axis=0)
    p = np.array([permutations.p_value(int(number)) for number in extreme])
    return observed, np.where(np.isfinite(observed), p, np.nan), count


def _standardised(matrix: np.ndarray) -> np.ndarray:
    """Bring cells to mean 0 and deviation 1, so that sums of squares are accurate."""
    cells = matrix[np.isfinite(matrix)]
    if not len(cells):
        return matrix
    deviation = cells.std()
    return (matrix - cells.mean()) / (deviation if np.ptp(cells) > 0 else 1.0)


def _correlations(
    matrices: np.ndarray, relations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's r of each of (m, n, n) with each of (k, n * n), and numbers of cells.

    Sums over the cells available in both are products with 0 in the place of NaN.

    Returns:
        (m, k) and (m, k).
    """
    x: np.ndarray = matrices.reshape(len(matrices), -1)
    in_x, in_y = np.isfinite(x).astype(float), np.isfinite(relations).astype(float)
    x, y = np.where(in_x, x, 0.0), np.where(in_y, relations, 0.0)
    k = len(y)
    of_in_x = in_x @ np.concatenate([in_y, y, y * y]).T
    count, sum_y, sum_yy = of_in_x[:, :k], of_in_x[:, k : 2 * k], of_in_x[:, 2 * k :]
    of_x = x @ np.concatenate([in_y, y]).T
    sum_x, sum_xy = of_x[:, :k], of_x[:, k:]
    sum_xx = (x * x) @ in_y.T
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = sum_xy - sum_x * sum_y / count
        var_x = sum_xx - sum_x**2 / count
        var_y = sum_yy - sum_y**2 / count
        varies = np.minimum(var_x, var_y) > ROUNDING * count
        r = covariance / np.sqrt(var_x * var_y)
    return np.where((count >= FEWEST_FOR_CORRELATION) & varies, r, np.nan), count


OF_CELLS = "of_cells"
OF_PAIR_EFFECTS = "of_pair_effects"
NOTHING_LEFT = 1e-9  # of the deviation, what a fit leaves of cells that it explains


@dataclass(frozen=True)
class RelatednessTest:
    """One correlation and its test.

    Attributes:
        relation: Relation that the cells are correlated with: ``same_family`` or a
            distance. A distance has a negative r where near languages help each other
            more.
        statistic: ``of_cells`` or ``of_pair_effects``.
        n_cells: Number of cells available in both.
        r: Pearson's r; None where it is not defined.
        p: Two-sided p-value by Mantel's test; None where r is.
        q: Its q-value over all tests of the matrix.
        reason: Why there is no r; empty where there is.
    """

    relation: str
    statistic: str
    n_cells: int
    r: float | None
    p: float | None
    q: float | None
    reason: str


def relatedness_tests(
    matrix: np.ndarray,
    relations: Mapping[str, np.ndarray],
    permutations: LanguagePermutations,
) -> tuple[RelatednessTest, ...]:
    """Test a transfer matrix against several relations of its languages.

    Args:
        matrix: (n, n), NaN where not available; the diagonal does not count.
        relations: (n, n) symmetric matrices by name, NaN where not known.
        permutations: Orders of the n languages.

    Returns:
        All tests of cells, in the order of ``relations``, then all of pair effects.
    """
    tests = []
    for statistic, part in ((OF_CELLS, off_diagonal), (OF_PAIR_EFFECTS, pair_effects)):
        cells = part(matrix)
        known = {name: part(relation) for name, relation in relations.items()}
        r, p, count = mantel_tests(cells, np.array([*known.values()]), permutations)
        for k, (name, relation) in enumerate(known.items()):
            reason = "" if np.isfinite(r[k]) else _reason(statistic, cells, relation)
            numbers = int(count[k]), finite(r[k]), finite(p[k])
            tests.append(RelatednessTest(name, statistic, *numbers, None, reason))
    p = np.array([np.nan if test.p is None else test.p for test in tests])
    return tuple(
        replace(test, q=finite(value))
        for test, value in zip(tests, benjamini_hochberg(p), strict=True)
    )


def pair_effects(matrix: np.ndarray) -> np.ndarray:
    """Return what the additive fit of targets and donors leaves of each cell.

    Args:
        matrix: (n, n), NaN where not available; the diagonal does not count.

    Returns:
        (n, n), NaN as ``matrix`` and on the diagonal; exactly 0 where the fit explains
        every cell up to rounding.
    """
    cells = off_diagonal(matrix)
    fit = fit_additive(cells)
    if fit is None:
        return cells
    left = cells - fit.fitted
    if not np.nanstd(left) > NOTHING_LEFT * np.nanstd(cells):
        return np.where(np.isfinite(cells), 0.0, np.nan)
    return left


def _reason(statistic: str, cells: np.ndarray, relation: np.ndarray) -> str:
    """Return why there is no correlation, in words that follow the relation's name."""
    both = np.isfinite(cells) & np.isfinite(relation)
    if both.sum() < FEWEST_FOR_CORRELATION:
        return f"known for {both.sum()} cells, fewer than {FEWEST_FOR_CORRELATION}"
    if statistic == OF_PAIR_EFFECTS:
        return "targets and donors explain all of it, or all of the cells"
    return "no difference between these pairs of languages, or between the cells"
