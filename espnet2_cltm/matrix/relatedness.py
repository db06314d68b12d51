"""Whether transfer goes with the relatedness of languages: Mantel tests.

Each test correlates the off-diagonal cells of a transfer matrix with what is known of
a pair of languages: the same family or not, or a distance. Two statistics:

- *of cells*: Pearson's r of the cells themselves. Targets and donors differ so much
  that this is as much about which languages are targets that gain and donors that give.
- *of pair effects*: Pearson's r of what an additive fit of targets and donors leaves
  of the cells, with what the same fit leaves of the distances: the part that is of the
  pair, not of either language.

P-values are two-sided, by permuting languages (see ``mantel.py``), one set of orders
for all tests; q-values (Benjamini-Hochberg) run over all tests of a matrix.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from espnet2_cltm.matrix.decomposition import fit_additive
from espnet2_cltm.matrix.mantel import (
    FEWEST_CELLS,
    LanguagePermutations,
    mantel_tests,
    off_diagonal,
)
from espnet2_cltm.matrix.significance import benjamini_hochberg

OF_CELLS = "of_cells"
OF_PAIR_EFFECTS = "of_pair_effects"
NOTHING_LEFT = 1e-9  # of the deviation, what a fit leaves of cells that it explains


@dataclass(frozen=True)
class RelatednessTest:
    """One correlation and its test.

    Attributes:
        relation: What the cells are correlated with: ``same_family`` or a distance. A
            distance has a negative r where near languages help each other more.
        statistic: ``of_cells`` or ``of_pair_effects``.
        n_cells: Cells available in both.
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
    names = list(relations)
    known = [off_diagonal(relations[name]) for name in names]
    tests = [
        *_test(OF_CELLS, names, off_diagonal(matrix), known, permutations),
        *_test(
            OF_PAIR_EFFECTS,
            names,
            pair_effects(matrix),
            [pair_effects(relation) for relation in known],
            permutations,
        ),
    ]
    p = np.array([np.nan if test.p is None else test.p for test in tests])
    return tuple(
        replace(test, q=None if test.p is None else float(value))
        for test, value in zip(tests, benjamini_hochberg(p), strict=True)
    )


def pair_effects(matrix: np.ndarray) -> np.ndarray:
    """Give what the additive fit of targets and donors leaves of each cell.

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


def _test(
    statistic: str,
    names: list[str],
    cells: np.ndarray,
    relations: list[np.ndarray],
    permutations: LanguagePermutations,
) -> list[RelatednessTest]:
    r, p, count = mantel_tests(cells, np.array(relations), permutations)
    return [
        RelatednessTest(
            relation=name,
            statistic=statistic,
            n_cells=int(n_cells),
            r=float(correlation) if np.isfinite(correlation) else None,
            p=float(p_value) if np.isfinite(correlation) else None,
            q=None,
            reason=(
                "" if np.isfinite(correlation) else _reason(statistic, cells, relation)
            ),
        )
        for name, relation, correlation, p_value, n_cells in zip(
            names, relations, r, p, count, strict=True
        )
    ]


def _reason(statistic: str, cells: np.ndarray, relation: np.ndarray) -> str:
    """Say why there is no correlation, in words that go after the relation's name."""
    both = np.isfinite(cells) & np.isfinite(relation)
    if both.sum() < FEWEST_CELLS:
        return f"known for {both.sum()} cells, fewer than {FEWEST_CELLS}"
    if statistic == OF_PAIR_EFFECTS:
        return "targets and donors explain all of it, or all of the cells"
    return "no difference between these pairs of languages, or between the cells"
