"""Predictions of the cells that a matrix lacks, as stage 6 gives them.

Only of identified targets, whose measured cells the model is fitted to. Writes
``predicted.tsv``: ``target donor cltm low high``, one line a cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_cltm.files import write_text
from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.prediction import (
    LEVEL,
    Prediction,
    PredictionError,
    cross_validate,
    predict_pairs,
    relatedness,
)
from espnet2_cltm.progress import progress

COLUMNS = ("target", "donor", "cltm", "low", "high")


@dataclass(frozen=True)
class MissingPairs:
    """Predictions of the cells that were not measured.

    Attributes:
        languages: Rows and columns.
        wanted: (n, n) bool, cells that are predicted.
        prediction: Of every cell.
        error: What cross-validation finds; None where too few cells were measured.
    """

    languages: tuple[str, ...]
    wanted: np.ndarray
    prediction: Prediction
    error: PredictionError | None

    @property
    def lines(self) -> list[str]:
        """Say how many cells are predicted and how well, for the terminal."""
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
        distances: (n, n) by name, of
            :func:`espnet2_cltm.matrix.language_distances.language_distances`.

    Returns:
        None where no cell is missing, or too few are there to predict from.
    """
    n = len(matrix.languages)
    wanted = np.isnan(matrix.raw_cltm) & ~np.eye(n, dtype=bool)
    wanted &= matrix.target_identified[:, None]
    if not wanted.any():
        return None
    relations = relatedness(dict(distances))
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
    return MissingPairs(matrix.languages, wanted, prediction, error)


def write_predicted(path: Path, missing: MissingPairs) -> None:
    """Write the predictions as tab-separated text."""
    found = missing.prediction
    rows = ["\t".join(COLUMNS)]
    for i, j in np.argwhere(missing.wanted):
        numbers = (found.mean[i, j], found.low[i, j], found.high[i, j])
        fields = (
            missing.languages[i],
            missing.languages[j],
            *map(repr, map(float, numbers)),
        )
        rows.append("\t".join(fields))
    write_text(path, "\n".join(rows) + "\n")
