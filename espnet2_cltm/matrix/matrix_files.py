"""The files that matrices are kept in: written, read back, and the published ones.

``cltm.csv`` and ``relative_gain.csv`` have the header ``target,<donor>,...`` and a line
a target; ``zero_shot.csv`` the header ``train,<test language>,...`` and a line a
training language; ``cross_language.csv`` the header ``kind,languages,<set>,...`` and a
line for the runs of a kind and language(s). Numbers are written so that reading gives
back the same bits; an empty field is a cell that is not available.

The matrices that the method's authors published are shipped with the package, in
``espnet2_cltm/data/published``: read off the figures of arXiv:2603.08231 and Odyssey
2026 (doi 10.21437/Odyssey.2026-44), CC BY 4.0; attribution in the README there. Two
decimals, no standard errors.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from espnet2_cltm import data
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text
from espnet2_cltm.matrix.estimates import DOUBLE, PAIR, SINGLE, TransferMatrix
from espnet2_cltm.matrix.scores import CrossLanguageScores
from espnet2_cltm.matrix.text_table import is_language_code
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


def published_path(name: str) -> Path:
    """Give the file of a published matrix.

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
