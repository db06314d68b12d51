"""The files that matrices are kept in: written, read back, and the published ones.

``cltm.csv`` and ``relative_gain.csv`` have the header ``target,<donor>,...`` and a line
a target; ``zero_shot.csv`` the header ``train,<test language>,...`` and a line a
training language; ``cross_language.csv`` the header ``kind,languages,<set>,...`` and a
line for the runs of a kind and language(s). ``cells.tsv`` has a line a cell with all
that is known of it. Numbers are written so that reading gives back the same bits; an
empty field is not available.

The matrices that the method's authors published are shipped with the package, in
``espnet2_cltm/data/published``: read off the figures of arXiv:2603.08231 and Odyssey
2026 (doi 10.21437/Odyssey.2026-44), CC BY 4.0; attribution in the README there. Two
decimals, no standard errors.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from espnet2_cltm import data
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import read_text, write_rows, write_text
from espnet2_cltm.language_codes import is_language_code
from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.scores import CrossLanguageScores
from espnet2_cltm.matrix.text_table import (
    FIRST_LINE,
    NOT_A_CODE,
    read_text_table,
    require_columns,
    require_distinct,
)
from espnet2_cltm.matrix.uncertainty import CellUncertainty, verdicts
from espnet2_cltm.results_format import KINDS

ASK = "ask"
BUILD = "build the matrix first, as stage 6 does"
BUILD_AGAIN = "build the matrix again (stage 6)"
PUBLISHED = MappingProxyType(
    {
        "gender_mhubert": "gender identification, mHuBERT-147",
        "speaker_mhubert": "speaker verification, mHuBERT-147",
        "speaker_ecapa": "speaker verification, ECAPA-TDNN",
        "speaker_siamese": "speaker verification, Siamese network",
        "speaker_speechllm": "speaker verification, speech LLM",
        "asr_mhubert": "speech recognition, mHuBERT-147",
    }
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

    def square(self, languages: Sequence[str]) -> np.ndarray:
        """Return the (n, n) values of some languages, NaN where there are none."""
        frame = pd.DataFrame(self.values, list(self.rows), list(self.columns))
        codes = list(languages)
        return frame.reindex(index=codes, columns=codes).to_numpy()


# Writing ----------------------------------------------------------------------------


def write_matrix(path: Path | str, corner: str, matrix: LabelledMatrix) -> None:
    """Write a matrix as comma-separated text.

    Args:
        path: File to write.
        corner: First field of the header: ``target`` or ``train``.
        matrix: Matrix to write.
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
    empty in ``cltm.csv`` and has no ``q_one``. ``gain_low``, ``gain_high``, ``p_gain``,
    ``q_gain`` and the ``verdict`` (helps, harms, unclear) are about the cross-gain, on
    the diagonal about the self-gain. A limit may be ``inf`` or ``-inf``;
    ``fieller_kind`` tells where ``fieller_low`` and ``fieller_high`` are the ends of a
    gap (``outside``).
    """
    columns = _cell_columns(matrix, uncertainty)
    rows = [["target", "donor", *columns]]
    for target, i in enumerate(matrix.languages):
        for donor, j in enumerate(matrix.languages):
            fields = (values[target, donor] for values in columns.values())
            rows.append([i, j, *fields])
    write_rows(path, rows)


def _cell_columns(
    matrix: TransferMatrix, uncertainty: CellUncertainty
) -> dict[str, np.ndarray]:
    """Return the text of every cell by column."""
    numbers: dict[str, np.ndarray] = {}
    for run, kind in enumerate(KINDS):
        numbers[kind] = matrix.perf[..., run]
        numbers[f"{kind}_se"] = matrix.perf_se[..., run]
    for name in ("self_gain", "cross_gain", "relative_gain"):
        numbers[name] = getattr(matrix, name)
        numbers[f"{name}_se"] = getattr(matrix, f"{name}_se")
    numbers["gain_low"] = uncertainty.gain_low
    numbers["gain_high"] = uncertainty.gain_high
    numbers |= {"cltm": matrix.raw_cltm, "cltm_se": matrix.raw_cltm_se}
    fieller, bootstrap = uncertainty.fieller, uncertainty.bootstrap
    nothing = np.full(matrix.cltm.shape, np.nan)
    limits = {
        "fieller_low": fieller.low,
        "fieller_high": fieller.high,
        "bootstrap_low": nothing if bootstrap is None else bootstrap.low,
        "bootstrap_high": nothing if bootstrap is None else bootstrap.high,
    }
    tests = {
        name: getattr(uncertainty, name)
        for name in ("p_gain", "p_one", "q_gain", "q_one")
    }
    return {
        "n_seeds": matrix.n_seeds.astype(str),
        **{name: _texts(_number, values) for name, values in numbers.items()},
        "fieller_kind": fieller.kind.astype(object),
        **{name: _texts(number_text, values) for name, values in limits.items()},
        **{name: _texts(_number, values) for name, values in tests.items()},
        "verdict": verdicts(matrix.gains, uncertainty.q_gain),
        "identified": np.where(matrix.reason == "", "yes", "no"),
        "reason": matrix.reason,
    }


def _texts(write: Callable[[float], str], values: np.ndarray) -> np.ndarray:
    return np.array([[write(value) for value in row] for row in values], dtype=object)


def number_text(value: float) -> str:
    """Return a number so that reading gives back the same bits; empty for NaN."""
    return "" if math.isnan(value) else repr(float(value))


def _number(value: float) -> str:
    return number_text(value) if math.isfinite(value) else ""


# Reading ----------------------------------------------------------------------------


def read_matrix(path: Path | str, rows: str | None = None) -> LabelledMatrix:
    """Read a transfer matrix, as stage 6 writes it or as a user edited it.

    Order is kept; rows and columns may differ. ``nan`` is not available either.

    Args:
        path: The file.
        rows: What its lines are, ``targets`` or ``donors``; None takes targets, and
            refuses a file whose header does not begin with that word. :data:`ASK` does
            so too, and asks for the option ``--rows``.

    Raises:
        UserError: The file can't be read as a matrix; names the line.
    """
    path = Path(path)
    text = read_text(path, BUILD).removeprefix("\N{BYTE ORDER MARK}")
    with foreign(f"{path} is not a transfer matrix", BUILD):
        lines = [
            (number, fields)
            for number, fields in enumerate(csv.reader(io.StringIO(text)), start=1)
            if any(field.strip() for field in fields)
        ]
    if not lines:
        raise UserError(f"{path} is empty: {BUILD}.")
    (_, header), *lines = lines
    is_told = header[0].strip() == "target" or rows in ("targets", "donors")
    if not is_told or len(header) < 2:
        remedy = "give a cltm.csv"
        if rows == ASK and len(header) > 1:
            remedy = "say what its lines are with --rows targets or --rows donors"
        raise UserError(
            f"{path} is not a transfer matrix: its header begins with "
            f"{header[0][:40]!r}, not with target and the donors; {remedy}."
        )
    donors = _codes(path, [(1, code) for code in header[1:]], "donor")
    targets = _codes(path, [(line, fields[0]) for line, fields in lines], "target")
    if not targets:
        raise UserError(f"{path} has a header and no line of a target: {BUILD}.")
    values = np.full((len(targets), len(donors)), np.nan)
    for row, (line, fields) in enumerate(lines):
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {line}: {len(fields)} fields where the header has "
                f"{len(header)}; every donor needs one, empty if not available."
            )
        for column, field in enumerate(fields[1:]):
            what = f"the cell of donor {donors[column]}"
            values[row, column] = _parse(path, line, what, field)
    if rows == "donors":
        return LabelledMatrix(donors, targets, values.T)
    return LabelledMatrix(targets, donors, values)


def _codes(path: Path, found: list[tuple[int, str]], what: str) -> tuple[str, ...]:
    codes: list[str] = []
    for line, text in found:
        code = text.strip()
        if not is_language_code(code):
            raise UserError(f"{path}, line {line}: {what} is '{code}'{NOT_A_CODE}")
        if code in codes:
            raise UserError(
                f"{path}, line {line}: {what} {code} stands there twice; remove one."
            )
        codes.append(code)
    return tuple(codes)


def _parse(
    path: Path, line: int, what: str, field: str, largest: float = np.finfo(float).max
) -> float:
    """Read a number; NaN where a field is empty or ``nan``."""
    text = field.strip()
    if text.lower() in ("", "nan"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= largest:
        raise UserError(
            f"{path}, line {line}: {what} is '{text}', not a number; leave it empty if "
            "it is not available."
        )
    return value


def read_cells(
    path: Path,
    targets: Sequence[str],
    donors: Sequence[str],
    numbers: Sequence[str],
    texts: Sequence[str],
) -> dict[str, np.ndarray]:
    """Read columns of ``cells.tsv``.

    Args:
        path: The file.
        targets: Languages of the rows wanted.
        donors: Languages of the columns wanted.
        numbers: Names of columns with numbers, NaN where not available.
        texts: Names of columns with text, empty where there is no such cell.

    Returns:
        (targets, donors) by column.

    Raises:
        UserError: The file can't be read, lacks a column, or has other languages or a
            cell twice.
    """
    table = read_text_table(path, BUILD_AGAIN)
    require_columns(table, ("target", "donor", *numbers, *texts), BUILD_AGAIN)
    require_distinct(table, ["target", "donor"], "the same cell")
    places = (
        pd.Index(targets).get_indexer(pd.Index(table.rows["target"])),
        pd.Index(donors).get_indexer(pd.Index(table.rows["donor"])),
    )
    if any((positions < 0).any() for positions in places):
        raise UserError(
            f"{path} has other languages than the matrix beside it: {BUILD_AGAIN}."
        )
    shape = (len(targets), len(donors))
    found = {}
    for name in numbers:
        fields = enumerate(table.rows[name], start=FIRST_LINE)
        found[name] = np.full(shape, np.nan)
        found[name][places] = [_parse(path, at, name, x, np.inf) for at, x in fields]
    for name in texts:
        found[name] = np.full(shape, "", dtype=object)
        found[name][places] = table.rows[name]
    return found


# Published --------------------------------------------------------------------------


def published_path(name: str) -> Path:
    """Return the file of a published matrix.

    Raises:
        UserError: There is no matrix of this name.
    """
    if name not in PUBLISHED:
        raise UserError(
            f"there is no published matrix '{name}'; known are {', '.join(PUBLISHED)}."
        )
    return Path(data.__file__).parent / "published" / f"{name}.csv"


def read_published(name: str) -> LabelledMatrix:
    """Read a published matrix.

    Args:
        name: One of :data:`PUBLISHED`.

    Raises:
        UserError: There is no matrix of this name.
    """
    return read_matrix(published_path(name))
