"""Summary numbers of a transfer matrix, as the method's authors define them.

A matrix is an (n, n) array, rows targets and columns donors, NaN where a cell is not
available. Numbers run over the cells that are there; where rows or cells are missing,
RFD = ||M - 1||_F / n becomes the same root mean square over what is there.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MatrixProperties:
    """Summary numbers; None where nothing or not enough is there.

    Attributes:
        n_cells: Off-diagonal cells available.
        mean_off_diagonal: Their mean.
        share_positive: Share of them above 0.
        share_above_one: Share of them above 1.
        minimum: Smallest of them.
        maximum: Largest of them.
        rfd: Distance from full language independence, diagonal included.
        relative_asymmetry: ||M - M^T||_F / ||M||_F over the languages with a row, if
            all cells among them are there.
    """

    n_cells: int
    mean_off_diagonal: float | None
    share_positive: float | None
    share_above_one: float | None
    minimum: float | None
    maximum: float | None
    rfd: float | None
    relative_asymmetry: float | None


def matrix_properties(matrix: np.ndarray) -> MatrixProperties:
    """Compute the summary numbers of an (n, n) matrix."""
    cells = off_diagonal(matrix)
    if not len(cells):
        return MatrixProperties(0, *[None] * 7)
    return MatrixProperties(
        n_cells=len(cells),
        mean_off_diagonal=float(cells.mean()),
        share_positive=float((cells > 0).mean()),
        share_above_one=float((cells > 1).mean()),
        minimum=float(cells.min()),
        maximum=float(cells.max()),
        rfd=rfd(matrix),
        relative_asymmetry=relative_asymmetry(matrix),
    )


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    """Give the available off-diagonal cells, row by row."""
    there = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    return matrix[there]


def rfd(matrix: np.ndarray) -> float | None:
    """RFD = ||M - 1||_F / n; 0 is a fully language-agnostic task."""
    cells = matrix[np.isfinite(matrix)]
    if not len(cells):
        return None
    # With all n * n cells there, the root mean square is the norm divided by n.
    return float(np.sqrt(np.mean((cells - 1) ** 2)))


def relative_asymmetry(matrix: np.ndarray) -> float | None:
    """||M - M^T||_F / ||M||_F over languages that have a row; None if incomplete."""
    rows = np.isfinite(matrix).any(axis=1)
    square = matrix[np.ix_(rows, rows)]
    if len(square) < 2 or not np.isfinite(square).all():
        return None
    norm = np.linalg.norm(square)
    return float(np.linalg.norm(square - square.T) / norm) if norm > 0 else None
