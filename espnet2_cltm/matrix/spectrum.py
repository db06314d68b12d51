"""Summary numbers of a matrix as a linear map, diagonal of ones included.

Taken over the complete square of :mod:`espnet2_cltm.matrix.matrix_layout`; each gives
one number a matrix, NaN where it is not defined.
"""

import numpy as np

from espnet2_cltm.matrix.matrix_layout import MatrixBatch

SHARE_OF_VARIANCE = 0.8
# Of the largest singular value: a matrix below it is singular in double precision.
SINGULAR = np.finfo(float).eps


def mean_row_cosine(batch: MatrixBatch) -> np.ndarray:
    """Average the cosine between two different rows: do targets take alike?"""
    rows = batch.square
    with np.errstate(invalid="ignore"):
        unit = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    n = rows.shape[-1]
    # The sum over all pairs of unit rows u, v of u . v is the square of their sum.
    total = (unit.sum(axis=1) ** 2).sum(axis=-1)
    return (total - n) / (n * (n - 1))


def components_for_80_percent(batch: MatrixBatch) -> np.ndarray:
    """Count the principal components of the rows for 80% of their variance.

    Rows are observations, columns are centred and not scaled; 0 where all rows are the
    same.
    """
    rows = batch.square - batch.square.mean(axis=1, keepdims=True)
    variances = np.linalg.eigvalsh(rows @ np.swapaxes(rows, -1, -2))[:, ::-1]
    variances = np.maximum(variances, 0.0)
    total = variances.sum(axis=-1)
    # Rounding must not ask for one component more.
    enough = SHARE_OF_VARIANCE * total * (1 - 1e-12)
    short = variances.cumsum(axis=-1) < enough[:, None]
    return np.where(total > 1e-24, short.sum(axis=-1) + 1.0, 0.0)


def spectral_radius(batch: MatrixBatch) -> np.ndarray:
    """Give the largest absolute eigenvalue."""
    return np.abs(np.linalg.eigvals(batch.square)).max(axis=-1)


def condition_number(batch: MatrixBatch) -> np.ndarray:
    """Divide the largest by the smallest singular value; NaN where it is singular."""
    singular = np.linalg.svd(batch.square, compute_uv=False)
    largest, smallest = singular[:, 0], singular[:, -1]
    size = batch.square.shape[-1]
    regular = smallest > size * SINGULAR * largest
    return np.divide(
        largest, smallest, where=regular, out=np.full(len(largest), np.nan)
    )
