"""Scores from the published framework's tables, per seed or aggregated.

``model_id,type,lang_src,lang_tgt`` and, per seed, ``seed`` with ``f1``, ``auc`` or
``wer``; aggregated, ``seed_count`` with ``f1_mean,f1_var`` and so on, the unbiased
variance over seeds. ``lang_src`` is the target, the row of the matrix, and ``lang_tgt``
the donor: ``single`` lines are Perf(i), ``dual`` lines with both the same Perf(i+i),
the others Perf(i+j). There i+j and j+i are two trainings. The file does not tell its
task; each task's metrics say what they are called there
(:attr:`.Metric.published_as`).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.counting import counted
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.matrix_files import PUBLISHED
from espnet2_cltm.matrix.scores import (
    AggregatedScores,
    ResultsSource,
    RunScores,
    ScoreKey,
    SeedScores,
    collect_aggregated_scores,
    collect_seed_scores,
    count_undefined,
    known_task,
)
from espnet2_cltm.matrix.text_table import (
    TextTable,
    first_line,
    require_choices,
    require_distinct,
    require_language_codes,
    require_rows,
    shorten,
    to_integer,
    to_number,
)
from espnet2_cltm.registry import task_names
from espnet2_cltm.results_format import RESULT_COLUMNS
from espnet2_cltm.task import Metric

COLUMNS = ("model_id", "type", "lang_src", "lang_tgt")
FEWEST_TO_TELL = 4  # languages, whether a table is transposed


def is_framework(table: TextTable) -> bool:
    """Return whether the header has the columns that all these tables share."""
    return set(table.rows.columns) >= set(COLUMNS)


def framework_scores(
    table: TextTable, task: str | None, metric: str | None, rows: str | None
) -> RunScores:
    """Check the lines of a table and arrange their scores.

    Args:
        table: The table.
        task: Name of the task; None takes that of a published matrix.
        metric: Name of the metric, there or here; None takes the one there is.
        rows: What ``lang_src`` is: ``targets``, as there, or ``donors``; None refuses a
            table that looks transposed.

    Raises:
        UserError: It is not such a table, or is of another task or metric.
    """
    header, known = set(table.rows.columns), _published_metrics()
    if is_framework(table):
        for name, of_tasks in known.items():
            is_aggregated = header >= {"seed_count", f"{name}_mean", f"{name}_var"}
            if is_aggregated or header >= {"seed", name}:
                require_rows(table)
                of_task, found = _choose(table, name, of_tasks, task, metric)
                if is_aggregated:
                    table = _runs(table, f"{name}_mean", rows)
                    return _aggregates(table, name, of_task, found)
                return _seeds(_runs(table, name, rows), name, of_task, found)
    raise UserError(
        f"{table.path} has an unknown header ({shorten(table.rows.columns)}); "
        f"expected are tab-separated {' '.join(RESULT_COLUMNS)}, or comma-separated "
        f"{','.join(COLUMNS)} with seed and one of {', '.join(known)}, or with "
        f"seed_count and one of {', '.join(f'{x}_mean,{x}_var' for x in known)}."
    )


def _published_metrics() -> dict[str, dict[str, Metric]]:
    """Return the metrics by their name there and by task, published tasks first."""
    published = dict.fromkeys(name.split("_")[0] for name in PUBLISHED)
    found: dict[str, dict[str, Metric]] = {}
    for task in dict.fromkeys((*published, *task_names())):
        spec = known_task(task)
        for metric in spec.metrics if spec else ():
            if metric.published_as:
                found.setdefault(metric.published_as, {})[task] = metric
    return found


def _choose(
    table: TextTable,
    name: str,
    of_tasks: Mapping[str, Metric],
    task: str | None,
    metric: str | None,
) -> tuple[str, Metric]:
    """Return task and metric of column ``name``, as asked for."""
    if task is not None and task not in of_tasks:
        raise UserError(
            f"{table.path} has no task '{task}'; its metric {name} is that of "
            f"{', '.join(of_tasks)}."
        )
    task = task or next(iter(of_tasks))
    found = of_tasks[task]
    if metric not in (None, name, found.name):
        raise UserError(f"{table.path} has no metric '{metric}'; it has {found.name}.")
    return task, found


def _runs(table: TextTable, column: str, rows: str | None) -> TextTable:
    """Add ``kind``, ``tested`` and ``donor`` to the lines."""
    require_choices(table, "type", ("single", "dual"))
    require_language_codes(table, "lang_src")
    dual = table.rows["type"] == "dual"
    require_language_codes(table.where(dual), "lang_tgt")
    source = table.rows["lang_src"]
    other = table.rows["lang_tgt"].where(dual, source)
    tested, donor = (other, source) if rows == "donors" else (source, other)
    kind = pd.Series("pair", index=table.rows.index).where(donor != tested, "double")
    found = table.rows.assign(
        kind=kind.where(dual, "single"), tested=tested, donor=donor
    )
    if rows is None:
        _require_target_rows(table.path, found, column)
    return replace(table, rows=found)


def _require_target_rows(path: Path, rows: pd.DataFrame, column: str) -> None:
    """Refuse a table whose pairs were tested on what should be the donor.

    Languages differ in how hard they are, and a pair's score is near the single run's
    of the language that it was tested on.
    """
    values = pd.to_numeric(rows[column], errors="coerce")
    single = values[rows["kind"] == "single"].groupby(rows["tested"]).mean()
    pairs = rows["kind"] == "pair"
    as_target = values[pairs] - rows["tested"][pairs].map(single)
    as_donor = values[pairs] - rows["donor"][pairs].map(single)
    if len(single) < FEWEST_TO_TELL or not as_donor.var() < as_target.var() / 4:
        return
    raise UserError(
        f"{path} looks transposed: its dual lines follow the single runs of lang_tgt, "
        "but lang_src is taken as the target, the language tested on: say what "
        "lang_src is with --rows targets or --rows donors."
    )


def _seeds(table: TextTable, name: str, task: str, metric: Metric) -> SeedScores:
    """Arrange the scores of column ``name``, seed by seed."""
    require_distinct(table, ["kind", "tested", "donor", "seed"], "the same run")
    values = to_number(table, name, empty_is_nan=True, maximum=metric.maximum)
    records = table.rows[["kind", "donor", "tested"]].assign(
        seed=to_integer(table, "seed"),
        perf=1 - values if metric.lower_is_better else values,
    )
    undefined = count_undefined(records, "perf")
    source = _source(table, task, metric, undefined)
    languages = {*records["tested"], *records["donor"]}
    records = records[np.isfinite(records["perf"])]
    return collect_seed_scores(records, languages, source)


def _aggregates(
    table: TextTable, name: str, task: str, metric: Metric
) -> AggregatedScores:
    """Arrange ``<name>_mean`` and ``<name>_var``."""
    require_distinct(table, ["kind", "tested", "donor"], "the same runs")
    means = to_number(table, f"{name}_mean", empty_is_nan=True, maximum=metric.maximum)
    records = table.rows[["kind", "donor", "tested"]].assign(
        mean=1 - means if metric.lower_is_better else means,
        variance=to_number(table, f"{name}_var", empty_is_nan=True),
        count=to_integer(table, "seed_count"),
    )
    if (records["count"] < 1).any():
        line = first_line(records["count"] < 1)
        raise UserError(f"{table.path}, line {line}: seed_count is less than 1.")
    records.loc[records["count"] == 1, "variance"] = np.nan
    undefined = count_undefined(records, "mean")
    note = (
        "The file holds means and variances: standard errors take the runs of a seed "
        "as independent."
    )
    source = _source(table, task, metric, undefined, note)
    languages = {*records["tested"], *records["donor"]}
    records = records[np.isfinite(records["mean"])]
    return collect_aggregated_scores(records, languages, source)


def _source(
    table: TextTable,
    task: str,
    metric: Metric,
    undefined: Mapping[ScoreKey, int],
    *notes: str,
) -> ResultsSource:
    if undefined:
        kind, tested, donor = next(iter(undefined))
        notes += (
            f"{metric.name} is undefined in "
            f"{counted(sum(undefined.values()), 'line')}; the first is of the {kind} "
            f"run {tested} {donor}.",
        )
    return ResultsSource(
        file=table.path.name,
        sha256=table.sha256,
        task=task,
        metric=metric.name,
        undefined=undefined,
        notes=notes,
    )
