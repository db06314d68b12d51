"""The files a matrix is kept in: comma-separated matrices and the table of cells.

``cltm.csv`` and ``relative_gain.csv`` have the header ``target,<donor>,...`` and a line
a target; ``zero_shot.csv`` the header ``train,<test language>,...`` and a line a
training language; ``cross_language.csv`` the header ``kind,languages,<set>,...`` and a
line for the runs of a kind and language(s). Numbers are written so that reading gives
back the same bits; an empty field is a cell that is not available.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_cltm.files import write_text
from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.moments import DOUBLE, PAIR, SINGLE
from espnet2_cltm.matrix.scores import CrossLanguageScores
from espnet2_cltm.matrix.uncertainty import CellUncertainty

CELL_COLUMNS = (
    "target",
    "donor",
    "n_seeds",
    "single",
    "single_se",
    "double",
    "double_se",
    "pair",
    "pair_se",
    "self_gain",
    "self_gain_se",
    "cross_gain",
    "cross_gain_se",
    "relative_gain",
    "relative_gain_se",
    "cltm",
    "cltm_se",
    "fieller_kind",
    "fieller_low",
    "fieller_high",
    "bootstrap_low",
    "bootstrap_high",
    "p_zero",
    "p_one",
    "q_zero",
    "q_one",
    "identified",
    "reason",
)


@dataclass(frozen=True)
class LabelledMatrix:
    """A matrix with its languages.

    Attributes:
        rows: Languages of the rows.
        columns: Languages of the columns.
        values: (rows, columns), NaN where not available.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray


def write_matrix(path: Path | str, corner: str, matrix: LabelledMatrix) -> None:
    """Write a matrix as comma-separated text.

    Args:
        path: File to write.
        corner: First field of the header: ``target`` or ``train``.
        matrix: What to write.
    """
    lines = [",".join((corner, *matrix.columns))]
    for code, row in zip(matrix.rows, matrix.values, strict=True):
        lines.append(",".join((code, *map(_number, row))))
    write_text(path, "\n".join(lines) + "\n")


def write_cross_language(path: Path | str, scores: CrossLanguageScores) -> None:
    """Write the mean Perf of every kind of run on every set of trials."""
    lines = [",".join(("kind", "languages", *scores.sets))]
    for run, row in zip(scores.runs, scores.perf, strict=True):
        lines.append(",".join((*run, *map(_number, row))))
    write_text(path, "\n".join(lines) + "\n")


def write_cells(
    path: Path | str, matrix: TransferMatrix, uncertainty: CellUncertainty
) -> None:
    """Write one tab-separated line a cell with everything known of it.

    ``cltm`` is the raw estimate, also where ``identified`` is ``no``; such a cell is
    empty in ``cltm.csv`` and has no q. A limit may be ``inf`` or ``-inf``;
    ``fieller_kind`` tells where ``fieller_low`` and ``fieller_high`` are the ends of a
    gap (``outside``).
    """
    lines = ["\t".join(CELL_COLUMNS)]
    for target, i in enumerate(matrix.languages):
        for donor, j in enumerate(matrix.languages):
            cell = (target, donor)
            numbers: Sequence[float] = (
                matrix.perf[(*cell, SINGLE)],
                matrix.perf_se[(*cell, SINGLE)],
                matrix.perf[(*cell, DOUBLE)],
                matrix.perf_se[(*cell, DOUBLE)],
                matrix.perf[(*cell, PAIR)],
                matrix.perf_se[(*cell, PAIR)],
                matrix.self_gain[cell],
                matrix.self_gain_se[cell],
                matrix.cross_gain[cell],
                matrix.cross_gain_se[cell],
                matrix.relative_gain[cell],
                matrix.relative_gain_se[cell],
                matrix.raw_cltm[cell],
                matrix.raw_cltm_se[cell],
            )
            reason = matrix.reason[cell]
            fields = (
                i,
                j,
                str(matrix.n_seeds[cell]),
                *map(_number, numbers),
                *_uncertainty_fields(uncertainty, cell),
                "no" if reason else "yes",
                reason,
            )
            lines.append("\t".join(fields))
    write_text(path, "\n".join(lines) + "\n")


def _uncertainty_fields(
    uncertainty: CellUncertainty, cell: tuple[int, int]
) -> tuple[str, ...]:
    fieller, bootstrap = uncertainty.fieller, uncertainty.bootstrap
    limits = (fieller.low, fieller.high)
    if bootstrap is not None:
        limits += (bootstrap.low, bootstrap.high)
    fields = [str(fieller.kind[cell]), *(_limit(values[cell]) for values in limits)]
    fields += [""] * (5 - len(fields))
    tests = (
        uncertainty.p_zero,
        uncertainty.p_one,
        uncertainty.q_zero,
        uncertainty.q_one,
    )
    return (*fields, *(_number(values[cell]) for values in tests))


def _limit(value: float) -> str:
    return "" if np.isnan(value) else repr(float(value))


def _number(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else ""
