"""Reading a text table whose lines a user may have edited: strings and line numbers.

Values stay as written (a language may be called ``nan``), quotes have no meaning in
tab-separated files, and every mistake is named with its file and line. The frame's
index is the line number in the file.
"""

import csv
import hashlib
import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from espnet2_cltm.errors import UserError

# What separates fields, words, paths and codes; FORBIDDEN_IN_CODES has no hyphen,
# which stands in codes such as zh-CN.
FORBIDDEN_IN_CODES = frozenset(' \t",;+~/\\')
_DECIMAL = r"[+-]?(?:[0-9]{1,40}\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?"
FIRST_LINE = 2  # the line after the header


@dataclass(frozen=True)
class TextTable:
    """A table as it was written.

    Attributes:
        path: The file.
        sha256: Digest of its bytes.
        rows: One column of strings a header field; the index is the line number.
    """

    path: Path
    sha256: str
    rows: pd.DataFrame

    def where(self, kept: pd.Series) -> "TextTable":
        """Give the same table with only the lines for which ``kept`` is true."""
        return replace(self, rows=self.rows[kept])


def read_text_table(path: Path | str) -> TextTable:
    """Read a tab- or comma-separated file with a header line.

    Raises:
        UserError: The file is not there, empty, not UTF-8, or has a line with the
            wrong number of fields.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: give the results file of an experiment "
            "(stage 5 writes it)."
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: not UTF-8 text; save the table as UTF-8."
        ) from error
    if not text.strip():
        raise UserError(f"{path} is empty: run stages 4 and 5 first.")
    header = text.split("\n", 1)[0]
    separator = "\t" if "\t" in header else ","
    try:
        with warnings.catch_warnings():
            # pandas only warns where every line has more fields than the header.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            rows = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                skip_blank_lines=False,
                index_col=False,
                quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
            )
    except pd.errors.ParserWarning as error:
        raise UserError(
            f"{path} is not a table: its lines have more fields than its header."
        ) from error
    except pd.errors.ParserError as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt) or (
            "calling read(nbytes)" in str(error)  # how pandas reports an interrupt
        ):
            raise KeyboardInterrupt from error
        raise UserError(f"{path} is not a table: {_reason(error)}.") from error
    rows.index = pd.RangeIndex(FIRST_LINE, FIRST_LINE + len(rows))
    while len(rows) and (rows.iloc[-1] == "").all():  # blank lines at the end
        rows = rows.iloc[:-1]
    return TextTable(path, hashlib.sha256(content).hexdigest(), rows)


def _reason(error: pd.errors.ParserError) -> str:
    reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
    return reason[:1].lower() + reason[1:]


def require_rows(table: TextTable) -> None:
    """Refuse a table that has only a header."""
    if not len(table.rows):
        raise UserError(
            f"{table.path} has a header and no line of results: run stages 4 and 5 "
            "first."
        )


def to_integer(table: TextTable, column: str) -> pd.Series:
    """Convert a column to whole numbers, or name the first line that has none."""
    values = table.rows[column]
    bad = ~values.str.fullmatch(r"[+-]?[0-9]{1,18}")
    if bad.any():
        line = bad.idxmax()
        raise UserError(
            f"{table.path}, line {line}: {column} is '{values[line]}', not a whole "
            "number."
        )
    return values.astype("int64")


def to_number(
    table: TextTable,
    column: str,
    *,
    empty_is_nan: bool = False,
    maximum: float | None = None,
) -> pd.Series:
    """Convert a column to floats from 0 to ``maximum``; ``nan`` stands for undefined.

    Args:
        table: Where the column is.
        column: Its name.
        empty_is_nan: Take an empty field for undefined rather than for a mistake.
        maximum: Largest value allowed, or None.
    """
    text = table.rows[column].str.strip()
    undefined = text.str.lower() == "nan"
    if empty_is_nan:
        undefined |= text == ""
    text_or_zero = text.mask(undefined, "0")
    bad = ~text_or_zero.str.fullmatch(_DECIMAL)
    if bad.any():
        line = bad.idxmax()
        raise UserError(
            f"{table.path}, line {line}: {column} is '{text[line]}', not a number."
        )
    # float(), because some pandas versions are off by one in the last bit.
    numbers = pd.Series([float(value) for value in text_or_zero], index=text.index)
    outside = numbers < 0
    if maximum is not None:
        outside |= numbers > maximum
    if outside.any():
        line = outside.idxmax()
        limits = "negative" if maximum is None else f"outside 0 to {maximum:g}"
        raise UserError(
            f"{table.path}, line {line}: {column} is {text[line]}, {limits}; give "
            "fractions, not percentages."
        )
    return numbers.mask(undefined)


def require_choices(table: TextTable, column: str, choices: Sequence[str]) -> None:
    """Refuse a column with a value that is not one of ``choices``."""
    bad = ~table.rows[column].isin(choices)
    if bad.any():
        line = bad.idxmax()
        raise UserError(
            f"{table.path}, line {line}: {column} is '{table.rows[column][line]}'; "
            f"known are {', '.join(choices)}."
        )


def require_language_codes(table: TextTable, column: str) -> None:
    """Refuse empty language codes and ones that would break the tables written."""
    values = table.rows[column]
    for code in values.unique():
        if not is_language_code(code):
            line = (values == code).idxmax()
            raise UserError(
                f"{table.path}, line {line}: {column} is '{code}', not a language "
                "code (letters, digits, '-' and '_')."
            )


def is_language_code(text: str) -> bool:
    """Tell whether a text may be a language code."""
    return bool(text) and FORBIDDEN_IN_CODES.isdisjoint(text)


def require_distinct(table: TextTable, columns: Sequence[str], what: str) -> None:
    """Refuse two lines that agree in all of ``columns``."""
    repeated = table.rows.duplicated(list(columns), keep="first")
    if not repeated.any():
        return
    line = repeated.idxmax()
    same = (table.rows[list(columns)] == table.rows.loc[line, list(columns)]).all(
        axis=1
    )
    values = " ".join(table.rows.loc[line, list(columns)])
    raise UserError(
        f"{table.path}, lines {same.idxmax()} and {line}: {what} twice ({values}); "
        "remove one of the two."
    )


def shorten(names: Iterable[str], most: int = 12) -> str:
    """List names for a message, a few of them where there are many."""
    names = [str(name) for name in names]
    text = " ".join(names[:most]) + (" ..." if len(names) > most else "")
    return text if len(text) <= 200 else text[:200] + "..."
