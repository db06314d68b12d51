"""Which cells of a matrix are there, and many matrices with the same cells.

Rows are targets, columns donors. A layout is fixed by the estimates; every resample of
the matrix has the same cells, so that a summary number means the same in all of them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

LEAST_OF_SQUARE = 0.5  # share of the languages with a row that stands for them all


@dataclass(frozen=True)
class MatrixLayout:
    """Cells that are there.

    Attributes:
        there: (n, n) bool, diagonal included.
        family_pairs: (n, n) bool, languages of one family; the diagonal is False.
    """

    there: np.ndarray
    family_pairs: np.ndarray

    @cached_property
    def off_diagonal(self) -> np.ndarray:
        """(n, n) bool: cells there off the diagonal."""
        return self.there & ~np.eye(len(self.there), dtype=bool)

    @cached_property
    def square(self) -> np.ndarray:
        """Positions of the complete square's languages (:func:`complete_square`)."""
        return complete_square(self.there)

    @cached_property
    def both_ways(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions i < j of the pairs whose two cells are there."""
        first, second = np.nonzero(np.triu(self.off_diagonal & self.off_diagonal.T))
        return first, second


@dataclass(frozen=True)
class MatrixBatch:
    """One or many matrices of the same layout.

    Attributes:
        layout: Cells that are there.
        values: (m, n, n), finite where cells are there, 0 elsewhere.
    """

    layout: MatrixLayout
    values: np.ndarray

    @cached_property
    def cells(self) -> np.ndarray:
        """(m, k): the off-diagonal cells, row by row."""
        return self.values[:, self.layout.off_diagonal]

    @cached_property
    def positive(self) -> np.ndarray:
        """(m, n, n): the positive part of the off-diagonal cells, 0 elsewhere."""
        return np.maximum(self.values, 0.0) * self.layout.off_diagonal

    @cached_property
    def square(self) -> np.ndarray:
        """(m, q, q): the complete square, diagonal included."""
        chosen = self.layout.square
        if len(chosen) == self.values.shape[-1]:
            return self.values
        return self.values[:, chosen[:, None], chosen]


def layout_of(matrix: np.ndarray, family_pairs: np.ndarray) -> MatrixLayout:
    """Return the layout of the finite cells of an (n, n) matrix."""
    return MatrixLayout(np.isfinite(matrix), family_pairs)


def batch_of(matrix: np.ndarray, layout: MatrixLayout) -> MatrixBatch:
    """Return a batch of one matrix."""
    return MatrixBatch(layout, np.where(layout.there, matrix, 0.0)[None])


def complete_square(there: np.ndarray) -> np.ndarray:
    """Choose languages all of whose cells with each other are there.

    Among the languages that have a row, the one that lacks most cells with the others
    goes first, the last in order where several do, until nothing is missing.

    Args:
        there: (n, n) bool.

    Returns:
        Their positions, ascending; empty where fewer than two are left, or less than
        half of the languages with a row.
    """
    with_row = np.flatnonzero(there.any(axis=1))
    chosen = with_row
    while len(chosen):
        lacking = ~there[np.ix_(chosen, chosen)]
        count = lacking.sum(axis=0) + lacking.sum(axis=1)
        if not count.any():
            break
        chosen = np.delete(chosen, np.flatnonzero(count == count.max())[-1])
    enough = len(chosen) >= max(2, LEAST_OF_SQUARE * len(with_row))
    return chosen if enough else chosen[:0]
