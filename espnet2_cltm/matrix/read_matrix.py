"""Reading a matrix back: ``cltm.csv``, as stage 6 writes it or as a user edited it.

The header is ``target,<donor>,...``, then a line a target; an empty field, or ``nan``,
is a cell that is not available. Order is kept; rows and columns may differ.
"""

import csv
import io
import math
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.matrix_files import LabelledMatrix
from espnet2_cltm.matrix.text_table import is_language_code


def read_matrix(path: Path | str) -> LabelledMatrix:
    """Read a transfer matrix.

    Raises:
        UserError: The file cannot be read as a matrix; names the line.
    """
    path = Path(path)
    text = _read_text(path)
    lines = [
        (number, fields)
        for number, fields in enumerate(csv.reader(io.StringIO(text)), start=1)
        if any(field.strip() for field in fields)
    ]
    if not lines:
        raise UserError(f"{path} is empty: build the matrix first (stage 6 does).")
    (_, header), *rows = lines
    if header[0].strip() != "target" or len(header) < 2:
        raise UserError(
            f"{path} is no transfer matrix: its header begins with '{header[0]}', not "
            "with target and the donors; give a cltm.csv."
        )
    donors = _codes(path, [(1, code) for code in header[1:]], "donor")
    targets = _codes(path, [(line, fields[0]) for line, fields in rows], "target")
    if not targets:
        raise UserError(f"{path} has a header and no line of a target.")
    values = np.full((len(targets), len(donors)), np.nan)
    for row, (line, fields) in enumerate(rows):
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {line}: {len(fields)} fields where the header has "
                f"{len(header)}; every donor needs one, empty if not available."
            )
        for column, field in enumerate(fields[1:]):
            what = f"the cell of donor {donors[column]}"
            values[row, column] = parse_value(path, line, what, field)
    return LabelledMatrix(targets, donors, values)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: build the matrix first (stage 6 does)."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error


def _codes(path: Path, found: list[tuple[int, str]], what: str) -> tuple[str, ...]:
    codes: dict[str, int] = {}
    for line, text in found:
        code = text.strip()
        if not is_language_code(code):
            raise UserError(
                f"{path}, line {line}: {what} is '{code}', not a language code "
                "(letters, digits, '-' and '_')."
            )
        if code in codes:
            raise UserError(
                f"{path}, line {line}: {what} {code} stands there twice; remove one."
            )
        codes[code] = line
    return tuple(codes)


def parse_value(path: Path, line: int, what: str, field: str) -> float:
    """Read a number; NaN where a field is empty or ``nan``.

    Raises:
        UserError: It is something else, or not finite; names ``what``.
    """
    text = field.strip()
    if text.lower() in ("", "nan"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise UserError(
            f"{path}, line {line}: {what} is '{text}', not a number; leave it empty if "
            "it is not available."
        )
    return value
