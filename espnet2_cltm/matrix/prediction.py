"""Predictions of the cells that were not measured, and how good they are.

Takes a square matrix with missing cells (rows targets, columns donors), the measured
cells' standard errors where known, and the languages' distances. Gives every cell an
estimate, a standard deviation and an interval, and the error that cross-validation
finds when measured pairs are left out: (i,j) and (j,i) together, since one run measures
both; or all pairs of a language, for one that has no run at all. Cells beyond ±
:data:`LIMIT` count as ± :data:`LIMIT`, measured or predicted: a self-gain near 0 makes
a ratio of any size.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from espnet2_cltm.matrix.prediction_model import draw_matrices
from espnet2_cltm.matrix.prediction_structure import ModelSettings

LIMIT = 3.0
RELATIONS = ("genetic", "geographic", "inventory")
NEARNESS = 2.0  # relatedness is exp(-2 distance / median distance)
LEVEL = 0.95
FEWEST_CELLS = 10
FOLDS = 5
LANGUAGE_FOLDS = 10  # more, since a part takes many of the others' pairs with it
PAIRS, LANGUAGES = "pairs", "languages"  # what cross-validation leaves out


@dataclass(frozen=True)
class Prediction:
    """What the model says of every cell; arrays are (n, n), NaN on the diagonal.

    Attributes:
        mean: Expected cell.
        sd: Standard deviation of what the cell may be.
        low: Lower end of the interval at :data:`LEVEL`.
        high: Upper end.
        draws: (draws, n, n), what cells may be, jointly.
        n_cells: Measured cells that the model rests on.
    """

    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray
    draws: np.ndarray
    n_cells: int


@dataclass(frozen=True)
class PredictionError:
    """Error of predictions of measured cells that were left out.

    Attributes:
        rmse: Root mean squared difference.
        pearson: Pearson's r between predicted and measured; None where one of them
            does not vary.
        coverage: Share of measured cells inside their interval.
        n_cells: Cells predicted.
        folds: Into how many parts the pairs, or languages, were divided.
        left_out: :data:`PAIRS` or :data:`LANGUAGES`.
    """

    rmse: float
    pearson: float | None
    coverage: float
    n_cells: int
    folds: int
    left_out: str = PAIRS


def relatedness(distances: dict[str, np.ndarray]) -> np.ndarray:
    """Turn distances into standardised closeness.

    Args:
        distances: (n, n) by name; NaN where not known.

    Returns:
        (n, n, p): mean 0 and deviation 1 over the known off-diagonal cells, 0 where
        not known and where all languages are equally far; on the diagonal what
        distance 0 comes to.
    """
    stacked = []
    for name in RELATIONS:
        distance = distances[name]
        known = np.isfinite(distance) & ~np.eye(len(distance), dtype=bool)
        closeness = np.zeros_like(distance)
        if known.any() and np.ptp(distance[known]) > 0:
            unit = np.median(distance[known]) or distance[known].mean()
            near = np.exp(-NEARNESS * distance[known] / unit)
            closeness[known] = (near - near.mean()) / near.std()
            np.fill_diagonal(closeness, (1 - near.mean()) / near.std())
        stacked.append(closeness)
    return np.stack(stacked, axis=-1)


def predict_pairs(
    matrix: np.ndarray,
    relations: np.ndarray,
    errors: np.ndarray | None = None,
    settings: ModelSettings | None = None,
) -> Prediction | None:
    """Predict every off-diagonal cell from the measured ones.

    Args:
        matrix: (n, n), NaN where not measured; the diagonal does not count.
        relations: (n, n, p), of :func:`relatedness`.
        errors: (n, n), standard errors; NaN where not known.
        settings: How the model is fitted.

    Returns:
        None with fewer than :data:`FEWEST_CELLS` measured cells.
    """
    known = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    if known.sum() < FEWEST_CELLS:
        return None
    if errors is None:
        errors = np.full(matrix.shape, np.nan)
    clipped = np.clip(matrix, -LIMIT, LIMIT)
    drawn = draw_matrices(clipped, errors, relations, settings, LIMIT)
    diagonal = np.eye(len(matrix), dtype=bool)
    low, high = np.quantile(drawn.cells, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Prediction(
        *(
            np.where(diagonal, np.nan, values)
            for values in (
                drawn.expected.mean(axis=0),
                drawn.cells.std(axis=0),
                low,
                high,
            )
        ),
        draws=drawn.cells,
        n_cells=int(known.sum()),
    )


def cross_validate(
    matrix: np.ndarray,
    relations: np.ndarray,
    errors: np.ndarray | None = None,
    settings: ModelSettings | None = None,
    folds: int | None = None,
    watch: Callable[[range], Iterable[int]] = lambda parts: parts,
    leave_out: str = PAIRS,
) -> PredictionError | None:
    """Predict measured cells from others.

    Args:
        matrix: As for :func:`predict_pairs`.
        relations: The same.
        errors: The same; a left-out cell's noise widens the interval it is held to.
        settings: How the model is fitted; its seed divides pairs or languages, too.
        folds: Into how many parts; None for :data:`FOLDS` or :data:`LANGUAGE_FOLDS`.
        watch: Wraps the parts, to show progress.
        leave_out: :data:`PAIRS`, or :data:`LANGUAGES`: then all runs with the languages
            of a part are left out, and their cells as targets, with donors that are
            not left out, are predicted.

    Returns:
        None where too few cells are left to fit the model.

    Raises:
        ValueError: ``leave_out`` is neither.
    """
    settings = settings or ModelSettings()
    known = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    if leave_out == PAIRS:
        parts = _parts_of_pairs(known, folds or FOLDS, settings.seed)
    elif leave_out == LANGUAGES:
        parts = _parts_of_languages(known, folds or LANGUAGE_FOLDS, settings.seed)
    else:
        raise ValueError(f"leave_out is '{leave_out}', not {PAIRS} or {LANGUAGES}")
    if len(parts) < 2:
        return None
    measured = np.clip(matrix, -LIMIT, LIMIT)
    found: list[np.ndarray] = []
    for place in watch(range(len(parts))):
        out, judged = parts[place]
        prediction = predict_pairs(
            np.where(out, np.nan, matrix),
            relations,
            errors,
            replace(settings, seed=settings.seed + place),
        )
        if prediction is None:
            return None
        cells = prediction.draws[:, judged]
        if errors is not None:
            noise = np.nan_to_num(errors[judged], nan=0.0)
            generator = np.random.default_rng((settings.seed, place))
            cells = cells + noise * generator.standard_normal(cells.shape)
            cells = np.clip(cells, -LIMIT, LIMIT)
        low, high = np.quantile(cells, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        truth = measured[judged]
        inside = (low <= truth) & (truth <= high)
        found.append(np.stack([prediction.mean[judged], truth, inside]))
    predicted, truth, inside = np.concatenate(found, axis=1)
    if not len(truth):
        return None
    varies = len(truth) > 2 and min(np.ptp(predicted), np.ptp(truth)) > 0
    return PredictionError(
        rmse=float(np.sqrt(np.mean((predicted - truth) ** 2))),
        pearson=float(np.corrcoef(predicted, truth)[0, 1]) if varies else None,
        coverage=float(inside.mean()),
        n_cells=len(truth),
        folds=len(parts),
        left_out=leave_out,
    )


def _parts_of_pairs(
    known: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide the measured pairs; both masks of a part hold both cells of its pairs."""
    pairs = np.argwhere(np.triu(known | known.T, 1))
    order = np.random.default_rng(seed).permutation(len(pairs))
    parts = []
    for part in range(min(folds, len(pairs))):
        out = np.zeros_like(known)
        out[tuple(pairs[order[part::folds]].T)] = True
        out = (out | out.T) & known
        parts.append((out, out))
    return parts


def _parts_of_languages(
    known: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide the targets that have cells: masks of what is left out and judged."""
    targets = np.flatnonzero(known.any(axis=1))
    order = np.random.default_rng(seed).permutation(targets)
    parts = []
    for part in range(min(folds, len(targets))):
        chosen = np.zeros(len(known), dtype=bool)
        chosen[order[part::folds]] = True
        parts.append(
            (
                known & (chosen[:, None] | chosen),
                known & chosen[:, None] & ~chosen,
            )
        )
    return parts
