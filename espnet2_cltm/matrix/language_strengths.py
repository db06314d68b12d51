"""How much every language takes as a target and gives as a donor.

Sums of positive cells are the method's authors' strengths. They grow with the number of
cells that are there; means of all cells, negative ones included, can be compared
between languages that lack different cells. Each function takes a
:class:`~espnet2_cltm.matrix.matrix_layout.MatrixBatch` of m matrices and gives (m, n);
NaN for a language without a cell.
"""

from collections.abc import Callable

import numpy as np

from espnet2_cltm.matrix.matrix_layout import MatrixBatch

ROWS, COLUMNS = 1, 0  # axes along which an (n, n) matrix is summed


def incoming_sum(batch: MatrixBatch) -> np.ndarray:
    """Sum the positive off-diagonal cells of each target's row."""
    return _where_any(batch, batch.positive.sum(axis=1 + ROWS), ROWS)


def outgoing_sum(batch: MatrixBatch) -> np.ndarray:
    """Sum the positive off-diagonal cells of each donor's column."""
    return _where_any(batch, batch.positive.sum(axis=1 + COLUMNS), COLUMNS)


def incoming_mean(batch: MatrixBatch) -> np.ndarray:
    """Average the off-diagonal cells of each target's row."""
    return _mean(batch, ROWS)


def outgoing_mean(batch: MatrixBatch) -> np.ndarray:
    """Average the off-diagonal cells of each donor's column."""
    return _mean(batch, COLUMNS)


def _mean(batch: MatrixBatch, axis: int) -> np.ndarray:
    there = batch.layout.off_diagonal
    subscripts = "mij,ij->mi" if axis == ROWS else "mij,ij->mj"
    total = np.einsum(subscripts, batch.values, there.astype(float))
    return _where_any(batch, total / np.maximum(there.sum(axis=axis), 1), axis)


def _where_any(batch: MatrixBatch, values: np.ndarray, axis: int) -> np.ndarray:
    return np.where(batch.layout.off_diagonal.any(axis=axis), values, np.nan)


STRENGTHS: dict[str, Callable[[MatrixBatch], np.ndarray]] = {
    "incoming_sum": incoming_sum,
    "outgoing_sum": outgoing_sum,
    "incoming_mean": incoming_mean,
    "outgoing_mean": outgoing_mean,
}


def ranks(strengths: np.ndarray) -> np.ndarray:
    """Rank languages, 1 for the strongest; equal ones share the mean of their ranks.

    Args:
        strengths: (..., n), NaN for languages that are not ranked.

    Returns:
        (..., n), NaN where ``strengths`` is.
    """
    higher = (strengths[..., None, :] > strengths[..., :, None]).sum(axis=-1)
    equal = (strengths[..., None, :] == strengths[..., :, None]).sum(axis=-1)
    return np.where(np.isnan(strengths), np.nan, higher + (equal + 1) / 2)
