"""What is compared: a directory of stage 6, a ``cltm.csv``, or a published matrix.

Only a directory tells more than the matrix: its ``cells.tsv`` has the estimates of
targets that are not identified, and intervals. These are Fieller's where the table has
them (``fieller_kind``, ``fieller_low``, ``fieller_high``), else estimate ± t * standard
error with the cell's seeds less one as degrees of freedom. Fieller sets that are not
bounded are no intervals and count as none.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import stdtrit  # Student's quantile; scipy.stats loads slowly

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.matrix_files import LabelledMatrix
from espnet2_cltm.matrix.published import PUBLISHED, published_path
from espnet2_cltm.matrix.read_matrix import parse_value, read_matrix
from espnet2_cltm.matrix.text_table import (
    TextTable,
    read_text_table,
    require_distinct,
    to_integer,
)

LEVEL = 0.95
FIELLER = ("fieller_kind", "fieller_low", "fieller_high")
BOUNDED = "bounded"
NEEDED_COLUMNS = ("target", "donor", "n_seeds", "cltm", "cltm_se")


@dataclass(frozen=True)
class ComparedMatrix:
    """A matrix with what is known of its cells; arrays are (targets, donors).

    Attributes:
        name: As the user gave it.
        description: What it is, for a published matrix; else empty.
        path: File of the matrix.
        sha256: Digest of its bytes.
        matrix: Cells that are identified, NaN elsewhere.
        raw: All estimates, identified or not.
        low: Lower end of each cell's interval, NaN where there is none.
        high: Upper end.
        intervals: How intervals were made; empty where there is none.
    """

    name: str
    description: str
    path: Path
    sha256: str
    matrix: LabelledMatrix
    raw: np.ndarray
    low: np.ndarray
    high: np.ndarray
    intervals: str


def read_compared(name: str) -> ComparedMatrix:
    """Read what is to be compared.

    Args:
        name: A directory or a file, else the name of a published matrix.

    Raises:
        UserError: It is none of these, or cannot be read.
    """
    path = Path(name)
    if not path.exists() and name in PUBLISHED:
        return _only_matrix(name, published_path(name), PUBLISHED[name])
    if path.is_dir():
        if not (path / "cltm.csv").exists():
            raise UserError(
                f"{path} has no cltm.csv: give a directory that stage 6 wrote, such as "
                "exp/<tag>/cltm/<task>."
            )
        if not (path / "cells.tsv").exists():
            return _only_matrix(name, path / "cltm.csv")
        return _with_cells(_only_matrix(name, path / "cltm.csv"), path / "cells.tsv")
    if path.exists():
        return _only_matrix(name, path)
    raise UserError(
        f"{name} is no directory of stage 6, no file and no published matrix; "
        f"published are {', '.join(PUBLISHED)}."
    )


def _only_matrix(name: str, path: Path, description: str = "") -> ComparedMatrix:
    matrix = read_matrix(path)
    nothing = np.full(matrix.values.shape, np.nan)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ComparedMatrix(
        name, description, path, digest, matrix, matrix.values, nothing, nothing, ""
    )


def _with_cells(compared: ComparedMatrix, path: Path) -> ComparedMatrix:
    table = read_text_table(path)
    absent = [name for name in NEEDED_COLUMNS if name not in table.rows.columns]
    if absent:
        raise UserError(
            f"{path} has no column {absent[0]}: build the matrix again (stage 6)."
        )
    require_distinct(table, ["target", "donor"], "the same cell")
    raw = _arrange(compared, table, _numbers(table, "cltm"))
    _require_same(compared, path, raw)
    if all(name in table.rows.columns for name in FIELLER):
        intervals = f"Fieller's, {LEVEL:.0%}"
        bounded = (table.rows[FIELLER[0]] == BOUNDED).to_numpy()
        low, high = (
            _arrange(compared, table, np.where(bounded, _numbers(table, name), np.nan))
            for name in FIELLER[1:]
        )
    else:
        intervals = f"estimate ± t * standard error, {LEVEL:.0%}"
        seeds = to_integer(table, "n_seeds").to_numpy()
        quantile = stdtrit(np.maximum(seeds - 1, 1), (1 + LEVEL) / 2)
        width = _arrange(compared, table, quantile * _numbers(table, "cltm_se"))
        low, high = raw - width, raw + width
    return ComparedMatrix(
        compared.name,
        compared.description,
        compared.path,
        compared.sha256,
        compared.matrix,
        raw,
        low,
        high,
        intervals if np.isfinite(low).any() else "",
    )


def _numbers(table: TextTable, column: str) -> np.ndarray:
    return np.array(
        [
            np.nan
            if field.strip().lower() in ("inf", "-inf")
            else parse_value(table.path, line, column, field)
            for line, field in table.rows[column].items()
        ]
    )


def _arrange(
    compared: ComparedMatrix, table: TextTable, numbers: np.ndarray
) -> np.ndarray:
    cells = dict(
        zip(
            zip(table.rows["target"], table.rows["donor"], strict=True),
            numbers,
            strict=True,
        )
    )
    matrix = compared.matrix
    return np.array(
        [
            [cells.get((target, donor), np.nan) for donor in matrix.columns]
            for target in matrix.rows
        ]
    )


def _require_same(compared: ComparedMatrix, path: Path, raw: np.ndarray) -> None:
    """Refuse two files that are not of one matrix."""
    values = compared.matrix.values
    for row, column in np.argwhere(np.isfinite(values) & (values != raw)):
        target, donor = compared.matrix.rows[row], compared.matrix.columns[column]
        if target != donor:
            raise UserError(
                f"{path} and {compared.path.name} beside it do not belong together "
                f"({target} from {donor} is {raw[row, column]:g} in one and "
                f"{values[row, column]:g} in the other): build the matrix again, or "
                "give the file alone."
            )
