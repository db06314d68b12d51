"""What donors are ranked from: results, a directory of stage 6, or a matrix alone.

Results and a directory tell standard errors and targets that are not identified; a
``cltm.csv`` or a published matrix tells neither. Languages are the rows and columns of
the file, and those that are asked for beside them, all of whose cells are missing.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.choice import Choice
from espnet2_cltm.matrix.comparison_input import read_compared
from espnet2_cltm.matrix.estimates import estimate
from espnet2_cltm.matrix.fieller import BOUNDED
from espnet2_cltm.matrix.moments import PAIR, cell_moments
from espnet2_cltm.matrix.read_matrix import parse_value
from espnet2_cltm.matrix.read_scores import read_scores
from espnet2_cltm.matrix.recommendation import MeasuredCells
from espnet2_cltm.matrix.text_table import read_text_table
from espnet2_cltm.matrix.uncertainty import IntervalSettings, cell_fieller_sets

ARRAYS = (
    "cltm",
    "cltm_se",
    "cltm_low",
    "cltm_high",
    "gain",
    "gain_se",
    "n_seeds",
    "pair_se",
    "self_gain",
)
# Columns of cells.tsv by what they become.
CELL_COLUMNS = {
    "cltm_se": "cltm_se",
    "gain": "cross_gain",
    "gain_se": "cross_gain_se",
    "n_seeds": "n_seeds",
    "pair_se": "pair_se",
    "self_gain": "self_gain",
}
NOT_IDENTIFIED = "target not identified: "


def cells_from_results(path: Path, choice: Choice) -> MeasuredCells:
    """Estimate cells from results, as stage 6 does.

    Raises:
        UserError: The file cannot be read, or holds no such results.
    """
    scores = read_scores(path, choice)
    moments = cell_moments(scores)
    matrix = estimate(moments)
    sets = cell_fieller_sets(moments, IntervalSettings.confidence)
    bounded = sets.kind == BOUNDED
    return MeasuredCells(
        languages=matrix.languages,
        cltm=matrix.cltm,
        cltm_se=matrix.raw_cltm_se,
        cltm_low=np.where(bounded, sets.low, np.nan),
        cltm_high=np.where(bounded, sets.high, np.nan),
        gain=matrix.cross_gain,
        gain_se=matrix.cross_gain_se,
        n_seeds=matrix.n_seeds,
        pair_se=matrix.perf_se[..., PAIR],
        self_gain=matrix.self_gain,
        reasons={
            code: reason
            for code, reason in zip(matrix.languages, matrix.target_reason, strict=True)
            if reason
        },
    )


def cells_from_matrix(name: str) -> MeasuredCells:
    """Read a directory of stage 6, a ``cltm.csv`` or a published matrix.

    Raises:
        UserError: It is none of these, or cannot be read.
    """
    compared = read_compared(name)
    rows, columns = compared.matrix.rows, compared.matrix.columns
    languages = (*rows, *(code for code in columns if code not in rows))
    nothing = np.full((len(languages),) * 2, np.nan)
    at = np.ix_(range(len(rows)), [languages.index(code) for code in columns])
    found = {key: nothing.copy() for key in ARRAYS}
    found["cltm"][at] = compared.matrix.values
    found["cltm_low"][at], found["cltm_high"][at] = compared.low, compared.high
    reasons: dict[str, str] = {}
    path = Path(name) / "cells.tsv"
    if path.exists():
        reasons = _read_cells(path, languages, found)
    found["n_seeds"] = np.nan_to_num(found["n_seeds"], nan=0.0)
    return MeasuredCells(languages, **found, reasons=reasons)


def _read_cells(
    path: Path, languages: Sequence[str], found: dict[str, np.ndarray]
) -> dict[str, str]:
    """Fill arrays from ``cells.tsv`` and give the reasons of targets."""
    table = read_text_table(path)
    for column in ("reason", *CELL_COLUMNS.values()):
        if column not in table.rows.columns:
            raise UserError(
                f"{path} has no column {column}: build the matrix again (stage 6)."
            )
    position = {code: index for index, code in enumerate(languages)}
    at = tuple(
        np.array([position.get(code, -1) for code in table.rows[side]])
        for side in ("target", "donor")
    )
    if min(at[0].min(), at[1].min()) < 0:
        raise UserError(
            f"{path} has other languages than cltm.csv beside it: build the matrix "
            "again (stage 6)."
        )
    for key, column in CELL_COLUMNS.items():
        found[key][at] = [
            parse_value(path, line, column, field)
            for line, field in table.rows[column].items()
        ]
    # The diagonal tells why a target has no self-gain, or why that is too small.
    return {
        target: reason.removeprefix(NOT_IDENTIFIED)
        for target, donor, reason in zip(
            table.rows["target"],
            table.rows["donor"],
            table.rows["reason"],
            strict=True,
        )
        if target == donor and reason
    }


def with_language(cells: MeasuredCells, code: str) -> MeasuredCells:
    """Add a language of which nothing was measured."""
    if code in cells.languages:
        return cells
    wider = {
        key: np.pad(
            getattr(cells, key).astype(float),
            (0, 1),
            constant_values=0 if key == "n_seeds" else np.nan,
        )
        for key in ARRAYS
    }
    return replace(cells, languages=(*cells.languages, code), **wider)
