"""Summary numbers of a transfer matrix, as the method's authors define them.

Each takes a :class:`~espnet2_cltm.matrix.layout.MatrixBatch`, one matrix or many
resamples of it, and gives one number a matrix, NaN where it is not defined. Numbers of
cells run over the off-diagonal cells that are there; those of a square (asymmetry, row
cosine, components, spectral radius, condition number; diagonal of ones included) over
the languages of the layout's complete square. The positive part of a cell is
max(cell, 0). With cells missing, RFD = ||M - 1||_F / n becomes the same root mean
square over what is there.

The strengths give one number a language, (m, n): how much it takes as a target and
gives as a donor. Sums of positive cells are the method's authors' strengths. They grow
with the number of cells that are there; means of all cells, negative ones included, can
be compared between languages that lack different cells.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.layout import MatrixBatch, MatrixLayout

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


CELLS, PAIRS, FAMILIES, SQUARE = "cells", "pairs", "families", "square"


@dataclass(frozen=True)
class Property:
    """A summary number.

    Attributes:
        label: For people.
        compute: Gives (m,) numbers of m matrices, NaN where not defined.
        needs: What of the layout it runs over: ``CELLS``, ``PAIRS`` measured both
            ways, pairs inside ``FAMILIES``, or the complete ``SQUARE``.
        least: Smallest value that it can have.
        most: Largest.
        is_share: Whether people read it in percent.
        is_count: Whether it is a whole number.
    """

    label: str
    compute: Callable[[MatrixBatch], np.ndarray]
    needs: str = CELLS
    least: float = -np.inf
    most: float = np.inf
    is_share: bool = False
    is_count: bool = False


def mean_off_diagonal(batch: MatrixBatch) -> np.ndarray:
    """Average the off-diagonal cells."""
    return batch.cells.mean(axis=-1)


def rfd(batch: MatrixBatch) -> np.ndarray:
    """RFD = ||M - 1||_F / n, diagonal included; 0 is a fully agnostic task."""
    # With all n * n cells there, the root mean square is the norm divided by n.
    squares = ((batch.cells - 1) ** 2).sum(axis=-1)
    return np.sqrt(squares / batch.layout.there.sum())


def relative_asymmetry(batch: MatrixBatch) -> np.ndarray:
    """||M - M^T||_F / ||M||_F over the square, diagonal included."""
    square = batch.square
    difference = np.linalg.norm(square - np.swapaxes(square, -1, -2), axis=(-2, -1))
    norm = np.linalg.norm(square, axis=(-2, -1))
    return np.divide(difference, norm, where=norm > 0, out=np.full(len(norm), np.nan))


def share_positive(batch: MatrixBatch) -> np.ndarray:
    """Give the share of off-diagonal cells above 0."""
    return (batch.cells > 0).mean(axis=-1)


def share_negative(batch: MatrixBatch) -> np.ndarray:
    """Give the share of off-diagonal cells below 0."""
    return (batch.cells < 0).mean(axis=-1)


def share_above_one(batch: MatrixBatch) -> np.ndarray:
    """Give the share of off-diagonal cells above 1."""
    return (batch.cells > 1).mean(axis=-1)


def minimum(batch: MatrixBatch) -> np.ndarray:
    """Give the smallest off-diagonal cell."""
    return batch.cells.min(axis=-1)


def maximum(batch: MatrixBatch) -> np.ndarray:
    """Give the largest off-diagonal cell."""
    return batch.cells.max(axis=-1)


def reciprocity(batch: MatrixBatch) -> np.ndarray:
    """Give the share of unordered pairs that are positive both ways.

    Of the pairs whose two cells are there.
    """
    i, j = batch.layout.both_ways
    return ((batch.values[:, i, j] > 0) & (batch.values[:, j, i] > 0)).mean(axis=-1)


def mean_row_entropy(batch: MatrixBatch) -> np.ndarray:
    """Average over targets the entropy of what donors give, see :func:`entropy`."""
    return _mean_defined(entropy(batch, axis=2))


def mean_column_entropy(batch: MatrixBatch) -> np.ndarray:
    """Average over donors the entropy of what targets take, see :func:`entropy`."""
    return _mean_defined(entropy(batch, axis=1))


def mean_row_gini(batch: MatrixBatch) -> np.ndarray:
    """Average over targets the Gini coefficient of their cells, see :func:`gini`."""
    return _mean_defined(gini(batch, axis=2))


def mean_column_gini(batch: MatrixBatch) -> np.ndarray:
    """Average over donors the Gini coefficient of their cells, see :func:`gini`."""
    return _mean_defined(gini(batch, axis=1))


def family_share(batch: MatrixBatch) -> np.ndarray:
    """Give the share of the positive mass that lies between languages of a family."""
    total = batch.positive.sum(axis=(1, 2))
    inside = batch.positive[:, batch.layout.family_pairs].sum(axis=-1)
    return np.divide(inside, total, where=total > 0, out=np.full(len(total), np.nan))


def expected_family_share(layout: MatrixLayout) -> float:
    """Give that share for a mass spread evenly over the off-diagonal cells there."""
    inside = (layout.family_pairs & layout.off_diagonal).sum()
    return float(inside / layout.off_diagonal.sum())


def entropy(batch: MatrixBatch, axis: int) -> np.ndarray:
    """Shannon entropy -sum p ln p, in nats, of the positive off-diagonal part.

    k equal cells have ln k, a single positive one 0; it grows with the number of cells
    that are there.

    Args:
        batch: Of m matrices.
        axis: 2 for rows (targets), 1 for columns (donors).

    Returns:
        (m, n); NaN without any positive cell.
    """
    mass = batch.positive
    total = mass.sum(axis=axis)
    logarithm = np.log(mass, where=mass > 0, out=np.zeros_like(mass))
    # With p = mass / total, -sum p ln p = ln total - sum mass ln mass / total.
    within = np.multiply(mass, logarithm, out=logarithm).sum(axis=axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.log(total) - within / total
    return np.where(total > 0, np.maximum(result, 0.0), np.nan)


def gini(batch: MatrixBatch, axis: int) -> np.ndarray:
    """Gini coefficient of the off-diagonal cells there, negative ones counted as 0.

    0 where all are equal, 1 - 1/k where one of k cells has all. The diagonal is no cell
    of it: counted as one without transfer, it would raise every coefficient.

    Args:
        batch: Of m matrices.
        axis: 2 for rows (targets), 1 for columns (donors).

    Returns:
        (m, n); NaN without any positive cell.
    """
    mass, there = batch.positive, batch.layout.off_diagonal
    if axis == 1:
        mass, there = np.swapaxes(mass, 1, 2), there.T
    # Cells that are not there are 0 and come first: ranks then start among the others.
    mass = np.sort(mass, axis=-1)
    count = there.sum(axis=-1)
    n = mass.shape[-1]
    rank = np.arange(1, n + 1) - (n - count)[:, None]
    weighted = np.einsum("mij,ij->mi", mass, np.maximum(rank, 0).astype(float))
    total = mass.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        result = 2 * weighted / (count * total) - (count + 1) / count
    return np.where(total > 0, result, np.nan)


def _mean_defined(values: np.ndarray) -> np.ndarray:
    defined = np.isfinite(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return np.divide(total, count, where=count > 0, out=np.full(len(total), np.nan))


PROPERTIES = {
    "mean_off_diagonal": Property("mean", mean_off_diagonal),
    "rfd": Property("RFD", rfd, least=0),
    "relative_asymmetry": Property(
        "relative asymmetry", relative_asymmetry, SQUARE, least=0, most=2
    ),
    "share_positive": Property(
        "positive", share_positive, least=0, most=1, is_share=True
    ),
    "share_negative": Property(
        "negative", share_negative, least=0, most=1, is_share=True
    ),
    "share_above_one": Property(
        "above 1", share_above_one, least=0, most=1, is_share=True
    ),
    "minimum": Property("smallest", minimum),
    "maximum": Property("largest", maximum),
    "reciprocity": Property(
        "pairs positive both ways", reciprocity, PAIRS, least=0, most=1, is_share=True
    ),
    "mean_row_entropy": Property("entropy of rows", mean_row_entropy, least=0),
    "mean_column_entropy": Property("entropy of columns", mean_column_entropy, least=0),
    "mean_row_gini": Property("Gini of rows", mean_row_gini, least=0, most=1),
    "mean_column_gini": Property("Gini of columns", mean_column_gini, least=0, most=1),
    "family_share": Property(
        "positive mass inside families",
        family_share,
        FAMILIES,
        least=0,
        most=1,
        is_share=True,
    ),
    "mean_row_cosine": Property(
        "cosine between rows", mean_row_cosine, SQUARE, least=-1, most=1
    ),
    "components_for_80_percent": Property(
        "components for 80% of variance",
        components_for_80_percent,
        SQUARE,
        least=0,
        is_count=True,
    ),
    "spectral_radius": Property("spectral radius", spectral_radius, SQUARE, least=0),
    "condition_number": Property("condition number", condition_number, SQUARE, least=1),
}


def why_not_available(name: str, layout: MatrixLayout) -> str:
    """Say why a property has no value for such a matrix; else give nothing."""
    if not layout.off_diagonal.any():
        return "no cell"
    needs = PROPERTIES[name].needs
    if needs == PAIRS and not len(layout.both_ways[0]):
        return "no pair has both of its cells"
    if needs == FAMILIES and not (layout.family_pairs & layout.off_diagonal).any():
        return "no cell between two languages of one family"
    if needs == SQUARE and not len(layout.square):
        return (
            "too many cells are missing: less than two languages, or half of those "
            "with a row, have all cells with each other"
        )
    return ""


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
