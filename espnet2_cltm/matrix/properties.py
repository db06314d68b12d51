"""Summary numbers of a transfer matrix, as the method's authors define them.

Each takes a :class:`~espnet2_cltm.matrix.layout.MatrixBatch`, one matrix or many
resamples of it, and returns one number a matrix, NaN where it is not defined. Numbers
of cells run over the off-diagonal cells that are there; those of a square (asymmetry,
row cosine, components, spectral radius, condition number; diagonal of ones included)
over the languages of the layout's complete square. The positive part of a cell is
max(cell, 0). With cells missing, RFD = ||M - 1||_F / n becomes the same root mean
square over what is there.

The strengths are one number a language, (m, n): how much it takes as a target and
gives as a donor. Sums of positive cells are the method's authors' strengths. They grow
with the number of cells that are there; means of all cells, negative ones included, can
be compared between languages that lack different cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from espnet2_cltm.matrix.layout import MatrixBatch, MatrixLayout

CELLS, PAIRS, FAMILIES, SQUARE = "cells", "pairs", "families", "square"
SHARE_OF_VARIANCE = 0.8
# Relative to the largest singular value: below it a matrix is singular in double
# precision.
SINGULAR = np.finfo(float).eps
ROWS, COLUMNS = 2, 1  # axes along which a batch of (m, n, n) is summed


@dataclass(frozen=True)
class Property:
    """A summary number.

    Attributes:
        label: Name for people.
        compute: Function that returns (m,) numbers of m matrices, NaN where not
            defined.
        needs: Part of the layout it runs over: ``CELLS``, ``PAIRS`` measured both
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


def rfd(batch: MatrixBatch) -> np.ndarray:
    """RFD = ||M - 1||_F / n, diagonal included; 0 is a fully agnostic task."""
    # With all n * n cells there, the root mean square is the norm divided by n.
    squares = ((batch.cells - 1) ** 2).sum(axis=-1)
    return np.sqrt(squares / batch.layout.there.sum())


def relative_asymmetry(batch: MatrixBatch) -> np.ndarray:
    """||M - M^T||_F / ||M||_F over the square, diagonal included."""
    square = batch.square
    difference = np.linalg.norm(square - np.swapaxes(square, -1, -2), axis=(-2, -1))
    return _ratio(difference, np.linalg.norm(square, axis=(-2, -1)))


def reciprocity(batch: MatrixBatch) -> np.ndarray:
    """Share of unordered pairs that are positive both ways, of those with two cells."""
    i, j = batch.layout.both_ways
    return ((batch.values[:, i, j] > 0) & (batch.values[:, j, i] > 0)).mean(axis=-1)


def family_share(batch: MatrixBatch) -> np.ndarray:
    """Share of the positive mass that lies between languages of a family."""
    inside = batch.positive[:, batch.layout.family_pairs].sum(axis=-1)
    return _ratio(inside, batch.positive.sum(axis=(1, 2)))


def expected_family_share(layout: MatrixLayout) -> float:
    """Return that share for a mass spread evenly over the off-diagonal cells there."""
    inside = (layout.family_pairs & layout.off_diagonal).sum()
    return float(inside / layout.off_diagonal.sum())


def entropy(batch: MatrixBatch, axis: int) -> np.ndarray:
    """Shannon entropy -sum p ln p, in nats, of the positive off-diagonal part.

    k equal cells have ln k, a single positive one 0; it grows with the number of cells
    that are there.

    Args:
        batch: The m matrices.
        axis: ``ROWS`` (targets) or ``COLUMNS`` (donors).

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

    0 where all are equal, 1 - 1/k where one of k cells has all. The diagonal is not one
    of the cells: counted as one without transfer, it would raise every coefficient.

    Args:
        batch: The m matrices.
        axis: ``ROWS`` (targets) or ``COLUMNS`` (donors).

    Returns:
        (m, n); NaN without any positive cell.
    """
    mass, there = batch.positive, batch.layout.off_diagonal
    if axis == COLUMNS:
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


def mean_row_cosine(batch: MatrixBatch) -> np.ndarray:
    """Mean cosine between two different rows: do targets take alike?"""
    rows = batch.square
    with np.errstate(invalid="ignore"):
        unit = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    n = rows.shape[-1]
    # The sum over all pairs of unit rows u, v of u . v is the square of their sum.
    total = (unit.sum(axis=1) ** 2).sum(axis=-1)
    return (total - n) / (n * (n - 1))


def components_for_80_percent(batch: MatrixBatch) -> np.ndarray:
    """Number of principal components of the rows for 80% of their variance.

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
    """Largest absolute eigenvalue."""
    return np.abs(np.linalg.eigvals(batch.square)).max(axis=-1)


def condition_number(batch: MatrixBatch) -> np.ndarray:
    """Largest singular value over the smallest; NaN where the matrix is singular."""
    singular = np.linalg.svd(batch.square, compute_uv=False)
    largest, smallest = singular[:, 0], singular[:, -1]
    size = batch.square.shape[-1]
    return _ratio(largest, smallest, smallest > size * SINGULAR * largest)


def _ratio(
    part: np.ndarray, whole: np.ndarray, defined: np.ndarray | None = None
) -> np.ndarray:
    where = whole > 0 if defined is None else defined
    return np.divide(part, whole, where=where, out=np.full(len(whole), np.nan))


def _mean_of(
    per_language: Callable[[MatrixBatch, int], np.ndarray], axis: int
) -> Callable[[MatrixBatch], np.ndarray]:
    """Return the function that averages a number of rows or columns, where defined."""

    def compute(batch: MatrixBatch) -> np.ndarray:
        values = per_language(batch, axis)
        defined = np.isfinite(values)
        return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))

    return compute


_share = partial(Property, least=0, most=1, is_share=True)
PROPERTIES = {
    "mean_off_diagonal": Property("mean", lambda batch: batch.cells.mean(axis=-1)),
    "rfd": Property("RFD", rfd, least=0),
    "relative_asymmetry": Property(
        "relative asymmetry", relative_asymmetry, SQUARE, least=0, most=2
    ),
    "share_positive": _share("positive", lambda batch: (batch.cells > 0).mean(axis=-1)),
    "share_negative": _share("negative", lambda batch: (batch.cells < 0).mean(axis=-1)),
    "share_above_one": _share("above 1", lambda batch: (batch.cells > 1).mean(axis=-1)),
    "minimum": Property("smallest", lambda batch: batch.cells.min(axis=-1)),
    "maximum": Property("largest", lambda batch: batch.cells.max(axis=-1)),
    "reciprocity": _share("pairs positive both ways", reciprocity, PAIRS),
    "mean_row_entropy": Property("entropy of rows", _mean_of(entropy, ROWS), least=0),
    "mean_column_entropy": Property(
        "entropy of columns", _mean_of(entropy, COLUMNS), least=0
    ),
    "mean_row_gini": Property("Gini of rows", _mean_of(gini, ROWS), least=0, most=1),
    "mean_column_gini": Property(
        "Gini of columns", _mean_of(gini, COLUMNS), least=0, most=1
    ),
    "family_share": _share("positive mass inside families", family_share, FAMILIES),
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
    """Return why a property has no value for such a matrix; empty where it has."""
    if not layout.off_diagonal.any():
        return "no cell"
    needs = PROPERTIES[name].needs
    if needs == PAIRS and not len(layout.both_ways[0]):
        return "no pair has both of its cells"
    if needs == FAMILIES and not (layout.family_pairs & layout.off_diagonal).any():
        return "no cell between two languages of one family"
    if needs == SQUARE and not len(layout.square):
        return (
            "too many cells are missing: fewer than two languages, or half of those "
            "with a row, have all cells with each other"
        )
    return ""


# Strengths of languages -------------------------------------------------------------


def _positive_sum(batch: MatrixBatch, axis: int) -> np.ndarray:
    """Sum the positive off-diagonal cells; NaN for a language without a cell."""
    has_cell = batch.layout.off_diagonal.any(axis=axis - 1)
    return np.where(has_cell, batch.positive.sum(axis=axis), np.nan)


def _mean(batch: MatrixBatch, axis: int) -> np.ndarray:
    """Average the off-diagonal cells; NaN for a language without a cell."""
    there = batch.layout.off_diagonal
    subscripts = "mij,ij->mi" if axis == ROWS else "mij,ij->mj"
    total = np.einsum(subscripts, batch.values, there.astype(float))
    count = there.sum(axis=axis - 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


STRENGTHS: dict[str, Callable[[MatrixBatch], np.ndarray]] = {
    "incoming_sum": partial(_positive_sum, axis=ROWS),
    "outgoing_sum": partial(_positive_sum, axis=COLUMNS),
    "incoming_mean": partial(_mean, axis=ROWS),
    "outgoing_mean": partial(_mean, axis=COLUMNS),
}
