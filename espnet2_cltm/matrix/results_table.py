"""The table ``results.tsv``: whether a file is one, and what all of its readers check.

``run task kind languages budget seed test_language metric value n_test steps strategy``
and more, tab-separated, one line per run, test language and metric.

* ``kind`` is single, double, pair or pool; ``languages`` is one code, or sorted codes
  joined by ``+`` for a pair or pool run.
* A value ``nan`` says that the metric is undefined, as macro F1 is on a test set that
  lacks a class.
* ``steps`` is equal or data, ``strategy`` how the encoder was adapted; older files lack
  these and others (:data:`.RESULT_DEFAULTS`).
* A ``test_language`` of two sorted codes joined by ``~`` is a set of cross-language
  trials, enrolled in one language and tested in the other.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import file_version
from espnet2_cltm.language_codes import is_language_code
from espnet2_cltm.matrix.text_table import (
    TextTable,
    first_line,
    read_text_table,
    require_choices,
    require_distinct,
    require_language_codes,
    require_rows,
    shorten,
    to_budget,
    to_integer,
    to_number,
)
from espnet2_cltm.results_format import (
    FULL,
    RESULT_COLUMNS,
    RESULT_DEFAULTS,
    RUN_KINDS,
    STEPS,
    STRATEGY,
)

ACROSS = "~"  # between the languages of a set of cross-language trials
# What tells a result from all others, whatever its run is called.
IDENTITY = [
    *("task", "kind", "languages", "budget", "seed", "steps", STRATEGY),
    *("size", "method", "shots", "test_language", "metric"),
]


def read_results(path: Path | str) -> TextTable:
    """Read a table of results; that of stage 5 is checked and has all columns.

    What was read last is kept as long as the file does not change: a matrix takes its
    parts out of one table, which may have millions of lines.

    Raises:
        UserError: The file can't be read, or a line of ``results.tsv`` is damaged.
    """
    return _read_version(Path(path), file_version(path))


@lru_cache(maxsize=1)
def _read_version(path: Path, version: tuple[int, ...]) -> TextTable:
    table = read_text_table(path)
    return checked(table) if is_results(table) else table


def is_results(table: TextTable) -> bool:
    """Return whether the header is that of ``results.tsv``; refuse one without rows."""
    if not {*table.rows.columns, *RESULT_DEFAULTS} >= set(RESULT_COLUMNS):
        return False
    require_rows(table)
    return True


def checked(table: TextTable) -> TextTable:
    """Check all lines, those of an older version with the columns that they lack."""
    lacking = {k: v for k, v in RESULT_DEFAULTS.items() if k not in table.rows}
    table = replace(table, rows=table.rows.assign(**lacking))
    require_choices(table, "kind", RUN_KINDS)
    require_choices(table, "steps", STEPS)
    across = is_cross_language(table)
    require_language_codes(table.where(~across), "test_language")
    _require_cross_language_sets(table.where(across))
    require_distinct(table, IDENTITY, "the same result")
    of_run = ["run", STRATEGY, "test_language", "metric"]
    require_distinct(table, of_run, "the same result")
    to_budget(table)
    for column in ("seed", "n_test"):
        to_integer(table, column)
    to_number(table, "value", minimum=None)
    return table


def is_cross_language(table: TextTable) -> pd.Series:
    """Return, line by line, whether ``test_language`` is a set of such trials."""
    tested = table.rows["test_language"]
    return tested.isin([text for text in tested.unique() if ACROSS in text])


def _require_cross_language_sets(table: TextTable) -> None:
    """Refuse sets that are not two sorted codes."""
    tested = table.rows["test_language"]
    for text in tested.unique():
        codes = text.split(ACROSS)
        if (
            len(codes) != 2
            or codes[0] >= codes[1]
            or not all(map(is_language_code, codes))
        ):
            raise UserError(
                f"{table.path}, line {first_line(tested == text)}: test_language is "
                f"'{text}'; cross-language trials are named by two sorted codes, such "
                "as ca~es."
            )


def strategies_in(table: TextTable) -> list[str]:
    """Return the strategies of a table, ``full`` first, the others sorted."""
    if STRATEGY not in table.rows:
        return [FULL]
    return sorted(table.rows[STRATEGY].unique(), key=lambda name: (name != FULL, name))


def of_strategy(table: TextTable, strategy: str) -> TextTable:
    """Keep a strategy's lines; all of a file of an older version."""
    if STRATEGY not in table.rows:
        return table
    return table.where(table.rows[STRATEGY] == strategy)


def choose_task(table: TextTable, chosen: str | None) -> str:
    """Return the task asked for, or the only one there is."""
    return choose(table, "task", chosen, table.rows["task"], "")


def choose(
    table: TextTable, column: str, chosen: Any, values: pd.Series, where: str
) -> Any:
    """Return the value asked for, or the only one there is.

    Args:
        table: The table.
        column: Name of the column, and of the option that chooses.
        chosen: Value asked for; None takes the only one.
        values: Values that there are.
        where: What they are of, for the message.

    Raises:
        UserError: It is not there, or there are several.
    """
    present = sorted(values.unique().tolist())
    if chosen is None and len(present) > 1:
        raise UserError(
            f"{table.path} holds several values of {column}{where} "
            f"({shorten(present)}): choose one with --{column}."
        )
    if chosen is not None and chosen not in present:
        raise UserError(
            f"{table.path} has no {column} '{chosen}'{where}; it has "
            f"{shorten(present)}: choose one with --{column}."
        )
    return present[0] if chosen is None else chosen
