"""Predictions of the cells that were not measured, and how good they are.

Takes a square matrix with missing cells (rows targets, columns donors), the measured
cells' standard errors where known, and the languages' distances. Every cell has an
estimate and an interval, and the error that cross-validation finds when measured pairs
are left out: (i,j) and (j,i) together, since one run measures both; or all pairs of a
language, for one that has no run at all. Cells beyond ± :data:`LIMIT` count as
± :data:`LIMIT`, measured or predicted: a self-gain near 0 makes a ratio of any size.

Stage 6 predicts the cells of identified targets, whose measured cells the model is
fitted to, and writes ``predicted.tsv``: one line a cell, ``target donor cltm low
high``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from espnet2_cltm.files import write_rows
from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.languages import DISTANCES, TYPOLOGICAL
from espnet2_cltm.matrix.matrix_files import number_text
from espnet2_cltm.matrix.prediction_model import (
    STRUCTURES,
    USUAL,
    ModelSettings,
    draw_matrices,
)
from espnet2_cltm.matrix.uncertainty import LEVEL
from espnet2_cltm.progress import progress

LIMIT = 3.0
RELATIONS = ("genetic", "geographic", "inventory")
NEARNESS = 2.0  # relatedness is exp(-2 distance / median distance)
FEWEST_MEASURED = 10
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
FOLDS = 5
LANGUAGE_FOLDS = 10  # more, since a part takes many of the others' pairs with it
BY_PAIR, BY_LANGUAGE = "pairs", "languages"  # what cross-validation leaves out


@dataclass(frozen=True)
class Prediction:
    """Every cell as the model expects it; arrays are (n, n), NaN on the diagonal.

    Attributes:
        mean: Expected cell.
        low: Lower end of the interval at :data:`LEVEL`.
        high: Upper end.
        draws: (draws, n, n), what cells may be, jointly.
        n_cells: Number of measured cells that the model rests on.
    """

    mean: np.ndarray
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
        n_cells: Number of cells predicted.
        folds: Number of parts the pairs, or languages, were divided into.
        left_out: :data:`BY_PAIR` or :data:`BY_LANGUAGE`.
    """

    rmse: float
    pearson: float | None
    coverage: float
    n_cells: int
    folds: int
    left_out: str = BY_PAIR


def closeness(distances: Mapping[str, np.ndarray]) -> np.ndarray:
    """Turn distances into standardised closeness.

    Of the distances that come with the package :data:`RELATIONS` are taken, of others
    all.

    Args:
        distances: (n, n) by name; NaN where not known.

    Returns:
        (n, n, p): mean 0 and deviation 1 over the known off-diagonal cells, 0 where
        not known, where all languages are equally far, and on the diagonal.
    """
    stacked = []
    others = [name for name in distances if name not in (*DISTANCES, TYPOLOGICAL)]
    for name in (*RELATIONS, *others):
        distance = distances[name]
        known = np.isfinite(distance) & ~np.eye(len(distance), dtype=bool)
        closeness = np.zeros_like(distance)
        if known.any() and np.ptp(distance[known]) > 0:
            unit = np.median(distance[known]) or distance[known].mean()
            near = np.exp(-NEARNESS * distance[known] / unit)
            closeness[known] = (near - near.mean()) / near.std()
        stacked.append(closeness)
    return np.stack(stacked, axis=-1)


def predict_pairs(
    matrix: np.ndarray,
    relations: np.ndarray,
    errors: np.ndarray | None = None,
    settings: ModelSettings = USUAL,
) -> Prediction | None:
    """Predict every off-diagonal cell from the measured ones.

    Args:
        matrix: (n, n), NaN where not measured; the diagonal does not count.
        relations: (n, n, p), of :func:`closeness`.
        errors: (n, n), standard errors; NaN where not known.
        settings: How the model is fitted.

    Returns:
        None with fewer than :data:`FEWEST_MEASURED` measured cells.
    """
    known = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    if known.sum() < FEWEST_MEASURED:
        return None
    if errors is None:
        errors = np.full(matrix.shape, np.nan)
    cells = np.empty((settings.draws * len(STRUCTURES), *matrix.shape))
    expected, low, high = np.zeros((3, *matrix.shape))
    clipped = np.clip(matrix, -LIMIT, LIMIT)
    draws = draw_matrices(clipped, errors, relations, settings)
    for k, (of_model, drawn) in enumerate(draws):
        expected += np.clip(of_model, -LIMIT, LIMIT)
        np.clip(drawn, -LIMIT, LIMIT, out=cells[k])
    for target in range(len(matrix)):  # a row at a time, for the memory
        low[target], high[target] = np.quantile(cells[:, target], TAILS, axis=0)
    diagonal = np.eye(len(matrix), dtype=bool)
    mean, low, high = (
        np.where(diagonal, np.nan, values)
        for values in (expected / len(cells), low, high)
    )
    return Prediction(mean, low, high, cells, int(known.sum()))


def cross_validate(
    matrix: np.ndarray,
    relations: np.ndarray,
    errors: np.ndarray | None = None,
    settings: ModelSettings = USUAL,
    watch: Callable[[range], Iterable[int]] = lambda parts: parts,
    leave_out: str = BY_PAIR,
) -> PredictionError | None:
    """Predict measured cells from others.

    Args:
        matrix: (n, n), NaN where not measured; the diagonal does not count.
        relations: (n, n, p), of :func:`closeness`.
        errors: (n, n), standard errors, NaN where not known; a left-out cell's noise
            widens the interval it is held to.
        settings: How the model is fitted; its seed divides pairs or languages, too.
        watch: Function that wraps the parts, to show progress.
        leave_out: :data:`BY_PAIR`, or :data:`BY_LANGUAGE`: then all runs with the
            languages of a part are left out, and their cells as targets, with donors
            that are not left out, are predicted.

    Returns:
        None where too few cells are left to fit the model.

    Raises:
        ValueError: ``leave_out`` is neither.
    """
    known = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    if leave_out == BY_PAIR:
        parts = _parts_of_pairs(known, settings.seed)
    elif leave_out == BY_LANGUAGE:
        parts = _parts_of_languages(known, settings.seed)
    else:
        raise ValueError(f"leave_out is '{leave_out}', not {BY_PAIR} or {BY_LANGUAGE}")
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
        low, high = np.quantile(cells, TAILS, axis=0)
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
    known: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide the measured pairs; both masks of a part hold both cells of its pairs."""
    pairs = np.argwhere(np.triu(known | known.T, 1))
    order = np.random.default_rng(seed).permutation(len(pairs))
    parts = []
    for part in range(min(FOLDS, len(pairs))):
        out = np.zeros_like(known)
        out[tuple(pairs[order[part::FOLDS]].T)] = True
        out = (out | out.T) & known
        parts.append((out, out))
    return parts


def _parts_of_languages(
    known: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide the targets that have cells: masks of what is left out and judged."""
    targets = np.flatnonzero(known.any(axis=1))
    order = np.random.default_rng(seed).permutation(targets)
    parts = []
    for part in range(min(LANGUAGE_FOLDS, len(targets))):
        chosen = np.zeros(len(known), dtype=bool)
        chosen[order[part::LANGUAGE_FOLDS]] = True
        parts.append(
            (known & (chosen[:, None] | chosen), known & chosen[:, None] & ~chosen)
        )
    return parts


PREDICTED_COLUMNS = ("target", "donor", "cltm", "low", "high")


@dataclass(frozen=True)
class MissingPairs:
    """Predictions of the cells that were not measured.

    Attributes:
        languages: Languages of rows and columns.
        wanted: (n, n) bool, cells that are predicted.
        prediction: Prediction of every cell.
        error: Error found by cross-validation; None where too few cells were measured.
    """

    languages: tuple[str, ...]
    wanted: np.ndarray
    prediction: Prediction
    error: PredictionError | None

    @property
    def sentences(self) -> list[str]:
        """Sentences for the terminal: how many cells are predicted and how well."""
        start = (
            f"{int(self.wanted.sum())} cells that were not measured are predicted from "
            f"{self.prediction.n_cells} others and the distances between languages "
            "(predicted.tsv)"
        )
        if self.error is None:
            return [f"{start}; too few are measured to tell how well"]
        r = "" if self.error.pearson is None else f"r = {self.error.pearson:.2f}, "
        return [
            f"{start}; measured cells, predicted from the rest: {r}RMSE "
            f"{self.error.rmse:.2f}, {self.error.coverage:.0%} inside their "
            f"{LEVEL:.0%} interval"
        ]


def predict_missing(
    matrix: TransferMatrix, distances: Mapping[str, np.ndarray]
) -> MissingPairs | None:
    """Predict the cells of identified targets that were not measured.

    Args:
        matrix: The estimates.
        distances: (n, n) by name, from
            :func:`espnet2_cltm.matrix.languages.language_distances`.

    Returns:
        None where no cell is missing, or too few are there to predict from.
    """
    wanted = _not_measured(matrix)
    if not wanted.any():
        return None
    relations = closeness(distances)
    prediction = predict_pairs(matrix.cltm, relations, matrix.raw_cltm_se)
    if prediction is None:
        return None
    error = cross_validate(
        matrix.cltm,
        relations,
        matrix.raw_cltm_se,
        watch=lambda parts: progress(
            parts, description="Checking predictions", unit="part"
        ),
    )
    wanted &= np.isfinite(prediction.mean)
    # What nobody reads any more is much memory.
    prediction = replace(prediction, draws=prediction.draws[:0].copy())
    return MissingPairs(matrix.languages, wanted, prediction, error)


def why_not_predicted(matrix: TransferMatrix) -> list[str]:
    """Return a sentence where cells are missing and cannot be predicted."""
    n_missing = int(_not_measured(matrix).sum())
    n_measured = int(
        np.isfinite(matrix.cltm[~np.eye(len(matrix.cltm), dtype=bool)]).sum()
    )
    if not n_missing or n_measured >= FEWEST_MEASURED:
        return []
    return [
        f"{n_missing} cells that were not measured are not predicted (there is no "
        f"predicted.tsv), as that needs {FEWEST_MEASURED} measured cells of identified "
        f"targets, and there are {n_measured}"
    ]


def _not_measured(matrix: TransferMatrix) -> np.ndarray:
    """Return which cells of identified targets were not measured."""
    missing = np.isnan(matrix.raw_cltm) & matrix.target_identified[:, None]
    return missing & ~np.eye(len(missing), dtype=bool)


def write_predicted(path: Path, missing: MissingPairs) -> None:
    """Write the predictions as tab-separated text."""
    found = missing.prediction
    rows: list[Sequence[str]] = [PREDICTED_COLUMNS]
    for i, j in np.argwhere(missing.wanted):
        texts = map(number_text, (found.mean[i, j], found.low[i, j], found.high[i, j]))
        rows.append((missing.languages[i], missing.languages[j], *texts))
    write_rows(path, rows)
