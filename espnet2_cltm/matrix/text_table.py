"""Reading a text table whose lines a user may have edited: strings and line numbers.

Values stay as written (a language may be called ``nan``), quotes have no meaning in
tab-separated files, and every mistake is named with its file and line. The frame's
index is the line number in the file.
"""

import csv
import hashlib
import io
import math
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.budget import read_budget
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_text
from espnet2_cltm.language_codes import CODE_RULE, is_language_code

NOT_A_CODE = f", not a language code ({CODE_RULE})."
REMEDY = "give the results of an experiment, which stages 4 and 5 make"
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
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
        """Return the same table with only the lines for which ``kept`` is true."""
        return replace(self, rows=self.rows[kept])


def read_text_table(path: Path | str, remedy: str = REMEDY) -> TextTable:
    """Read a tab- or comma-separated file with a header line.

    Args:
        path: UTF-8 file.
        remedy: What to do where there is no such table.

    Raises:
        UserError: The file can't be read, is empty, not UTF-8, or has a line with the
            wrong number of fields.
    """
    path = Path(path)
    # Bytes, of which little is copied: a StringIO takes four times as much.
    content = read_text(path, remedy).removeprefix("\N{BYTE ORDER MARK}").encode()
    if not content or content.isspace():
        raise UserError(f"{path} is empty: {remedy}.")
    file = io.BytesIO(content)
    separator = "\t" if b"\t" in file.readline() else ","
    file.seek(0)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        with warnings.catch_warnings():
            # pandas only warns where every line has more fields than the header.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            rows = pd.read_csv(
                file,
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
            f"{path} is not a table (its lines have more fields than its header): "
            f"{remedy}."
        ) from error
    except pd.errors.ParserError as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt) or (
            "calling read(nbytes)" in str(error)  # how pandas reports an interrupt
        ):
            raise KeyboardInterrupt from error
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        reason = reason[:1].lower() + reason[1:]
        raise UserError(f"{path} is not a table ({reason}): {remedy}.") from error
    rows.index = pd.RangeIndex(FIRST_LINE, FIRST_LINE + len(rows))
    while len(rows) and (rows.iloc[-1] == "").all():  # blank lines at the end
        rows = rows.iloc[:-1]
    return TextTable(path, digest, rows)


def require_rows(table: TextTable) -> None:
    """Refuse a table that has only a header."""
    if not len(table.rows):
        raise UserError(f"{table.path} has a header and no line after it: {REMEDY}.")


def require_columns(table: TextTable, columns: Iterable[str], remedy: str) -> None:
    """Refuse a table that lacks one of ``columns``."""
    for column in columns:
        if column not in table.rows.columns:
            raise UserError(f"{table.path} has no column {column}: {remedy}.")


def to_integer(table: TextTable, column: str) -> pd.Series:
    """Convert a column to whole numbers, or name the first line that has none."""
    place, texts = pd.factorize(table.rows[column])
    bad = [not _INTEGER.fullmatch(text) for text in texts]
    _refuse_first(table, column, _by_line(bad, place), ", not a whole number.")
    values = np.array([int(text) for text in texts], dtype="int64")
    return pd.Series(values[place], index=table.rows.index)


def to_budget(table: TextTable) -> pd.Series:
    """Convert the column ``budget`` to N, or name the first line that has none."""
    place, texts = pd.factorize(table.rows["budget"])
    # pandas would make plain numbers of seconds.
    values = np.zeros(len(texts), dtype=object)
    for k, text in enumerate(texts):
        try:
            values[k] = read_budget(text)
        except ValueError:
            said = ", not a whole number, or one of seconds such as 120s."
            _refuse_first(table, "budget", place == k, said)
    return pd.Series(values[place], index=table.rows.index, dtype=object)


def to_number(
    table: TextTable,
    column: str,
    *,
    empty_is_nan: bool = False,
    minimum: float | None = 0.0,
    maximum: float | None = None,
) -> pd.Series:
    """Convert a column to floats within limits; ``nan`` stands for undefined.

    Args:
        table: Table with the column.
        column: Name of the column.
        empty_is_nan: Whether an empty field is undefined rather than a mistake.
        minimum: Smallest value allowed, or None.
        maximum: Largest value allowed, or None.
    """
    place, distinct = pd.factorize(table.rows[column])
    texts = [text.strip() for text in distinct]
    undefined = {"nan", ""} if empty_is_nan else {"nan"}
    texts = ["nan" if text.lower() in undefined else text for text in texts]
    bad = [text != "nan" and not _DECIMAL.fullmatch(text) for text in texts]
    _refuse_first(table, column, _by_line(bad, place), ", not a number.")
    # float(), because some pandas versions are off by one in the last bit.
    numbers = np.array([float(text) for text in texts])
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum
    outside = (numbers < low) | (numbers > high)
    limits = f"from {low:g} on" if maximum is None else f"from {low:g} to {high:g}"
    said = f", not a fraction {limits} (percentages are not taken)."
    _refuse_first(table, column, _by_line(outside, place), said)
    return pd.Series(numbers[place], index=table.rows.index)


def require_choices(table: TextTable, column: str, choices: Sequence[str]) -> None:
    """Refuse a column with a value that is not one of ``choices``."""
    bad = ~table.rows[column].isin(choices).to_numpy(dtype=bool)
    _refuse_first(table, column, bad, f"; known are {', '.join(choices)}.")


def require_language_codes(table: TextTable, column: str) -> None:
    """Refuse empty language codes and ones that would break the tables written."""
    place, texts = pd.factorize(table.rows[column])
    bad = [not is_language_code(text) for text in texts]
    _refuse_first(table, column, _by_line(bad, place), NOT_A_CODE)


def first_line(bad: pd.Series) -> int:
    """Return the number of the first line for which ``bad`` is true."""
    return int(bad.index[int(bad.to_numpy().argmax())])


def _by_line(of_texts: Sequence[bool] | np.ndarray, place: np.ndarray) -> np.ndarray:
    """Spread over the lines what is told of their distinct texts.

    Of millions of lines few differ in a column, and none of it is told twice.
    """
    return np.asarray(of_texts, dtype=bool)[place]


def _refuse_first(table: TextTable, column: str, bad: np.ndarray, said: str) -> None:
    """Refuse the first line that is bad, in a sentence that ends in ``said``."""
    if bad.any():
        line = int(table.rows.index[int(bad.argmax())])
        value = str(table.rows.at[line, column])
        raise UserError(f"{table.path}, line {line}: {column} is '{value}'{said}")


def require_distinct(table: TextTable, columns: Sequence[str], what: str) -> None:
    """Refuse two lines that agree in all of ``columns``."""
    repeated = table.rows.duplicated(list(columns), keep="first")
    if not repeated.any():
        return
    line = first_line(repeated)
    values = [str(table.rows.at[line, column]) for column in columns]
    same = (table.rows[list(columns)] == values).all(axis="columns")
    raise UserError(
        f"{table.path}, lines {first_line(same)} and {line}: {what} twice "
        f"({' '.join(values)}); remove one of the two."
    )


def shorten(names: Iterable[object], most: int = 12) -> str:
    """List names for a message, a few of them where there are many."""
    words = [str(name) for name in names]
    text = " ".join(words[:most]) + (" ..." if len(words) > most else "")
    return text if len(text) <= 200 else text[:200] + "..."
