"""The strongest pairs of a matrix: who helps whom most, and who hurts whom most."""

import numpy as np

MOST_PAIRS = 10


def strongest_positive(
    matrix: np.ndarray, most: int = MOST_PAIRS
) -> list[tuple[int, int]]:
    """Give the highest positive off-diagonal cells, the highest first.

    Args:
        matrix: (n, n), NaN where not available.
        most: At most so many; equal cells in the order of targets, then donors.

    Returns:
        (target, donor), positions of row and column.
    """
    return _first(-matrix, most)


def strongest_negative(
    matrix: np.ndarray, most: int = MOST_PAIRS
) -> list[tuple[int, int]]:
    """Give the lowest negative off-diagonal cells, the lowest first.

    Args and Returns as of :func:`strongest_positive`.
    """
    return _first(matrix, most)


def _first(values: np.ndarray, most: int) -> list[tuple[int, int]]:
    with np.errstate(invalid="ignore"):
        rows, columns = np.nonzero((values < 0) & ~np.eye(len(values), dtype=bool))
    order = np.argsort(values[rows, columns], kind="stable")[:most]
    return [(int(rows[k]), int(columns[k])) for k in order]
