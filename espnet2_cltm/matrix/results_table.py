"""The project's ``results.tsv``: one line per run, test language and metric.

Tab-separated, header ``run task kind languages budget seed test_language metric value
n_test``; ``kind`` is single, double or pair; ``languages`` is one code, or two sorted
codes joined by ``+`` for a pair run. A value ``nan`` says that the metric is undefined,
as macro F1 is on a test set that lacks a gender. A ``test_language`` of two sorted
codes joined by ``~`` is a set of cross-language trials: kept apart, no part of the
matrix.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.choice import Choice
from espnet2_cltm.matrix.cross_language import (
    collect_cross_language_scores,
    is_cross_language,
    require_cross_language_sets,
)
from espnet2_cltm.matrix.metrics import DEFAULT_METRIC, METRICS, Metric
from espnet2_cltm.matrix.scores import (
    KINDS,
    SeedScores,
    Source,
    collect_seed_scores,
    count_undefined,
)
from espnet2_cltm.matrix.text_table import (
    TextTable,
    is_language_code,
    require_choices,
    require_distinct,
    require_language_codes,
    shorten,
    to_integer,
    to_number,
)

# What tells a result from all others, whatever its run is called.
IDENTITY = (
    "task",
    "kind",
    "languages",
    "budget",
    "seed",
    "test_language",
    "metric",
)


def scores_from_results(table: TextTable, choice: Choice) -> SeedScores:
    """Check the lines that ``choice`` names and arrange their scores."""
    return _arrange(_lines_of_task(table, choice), choice)


def every_metric_from_results(table: TextTable, choice: Choice) -> list[SeedScores]:
    """Arrange the scores of all known metrics, that of ``choice`` first."""
    table = _lines_of_task(table, choice)
    first = _arrange(table, choice)
    present = table.rows["metric"].unique()
    others = [name for name in METRICS if name in present]
    return [first] + [
        _arrange(table, replace(choice, metric=name))
        for name in others
        if name != first.source.metric
    ]


def _lines_of_task(table: TextTable, choice: Choice) -> TextTable:
    """Check all lines and keep those of the task."""
    require_choices(table, "kind", KINDS)
    across = is_cross_language(table)
    require_language_codes(table.where(~across), "test_language")
    require_cross_language_sets(table.where(across))
    require_distinct(table, IDENTITY, "the same result")
    require_distinct(table, ["run", "test_language", "metric"], "the same result")
    for column in ("budget", "seed", "n_test"):
        to_integer(table, column)
    to_number(table, "value")
    task = _choose_task(table, choice.task)
    return table.where(table.rows["task"] == task)


def _arrange(table: TextTable, choice: Choice) -> SeedScores:
    """Arrange the scores of one metric out of the lines of one task."""
    task = table.rows["task"].iloc[0]
    metric = _choose_metric(table, task, choice.metric)
    budget = _choose_budget(table, task, choice.budget)
    trained = _trained_languages(table)
    budgets = to_integer(table, "budget")
    table = table.where((table.rows["metric"] == metric.name) & (budgets == budget))
    values = to_number(table, "value", maximum=metric.maximum)
    perf = 1 - values if metric.lower_is_better else values
    undefined_notes = _undefined_notes(table, values, metric.name)
    across = is_cross_language(table)
    cross_language = collect_cross_language_scores(table.where(across), perf[across])
    table, perf = table.where(~across), perf[~across]
    if table.rows.empty:
        raise UserError(
            f"{table.path} has no {metric.name} of task {task} for N = {budget}"
            f"{' but on cross-language trials' if across.any() else ''}: run stages 4 "
            "and 5 to their end first."
        )

    tested = table.rows["test_language"]
    trained = trained.loc[table.rows.index]
    first, second = trained[0], trained[1]
    records = pd.DataFrame(
        {
            "kind": table.rows["kind"],
            "donor": first.where((second == "") | (tested != first), second),
            "tested": tested,
            "seed": to_integer(table, "seed"),
            "perf": perf,
        }
    )
    # A pair run says something about its own two languages only.
    elsewhere = (table.rows["kind"] == "pair") & (tested != first) & (tested != second)
    records = records[~elsewhere]
    languages = (set(first) | set(second)) - {""}
    source = Source(
        file=table.path.name,
        sha256=table.sha256,
        task=task,
        metric=metric.name,
        budget=budget,
        undefined=count_undefined(records, "perf"),
        notes=undefined_notes,
    )
    records = records[np.isfinite(records["perf"])]
    scores = collect_seed_scores(records, languages, source)
    return replace(scores, cross_language=cross_language)


def _choose_task(table: TextTable, chosen: str | None) -> str:
    """Take the task asked for, or the only one there is."""
    present = sorted(table.rows["task"].unique())
    if chosen is None and len(present) > 1:
        raise UserError(
            f"{table.path} holds several values of task ({shorten(present)}): choose "
            "one with --task."
        )
    task = present[0] if chosen is None else chosen
    if task not in present:
        raise UserError(
            f"{table.path} has no task '{task}'; it has {shorten(present)}."
        )
    return task


def _choose_metric(table: TextTable, task: str, chosen: str | None) -> Metric:
    """Take the metric asked for, or the task's default one."""
    if chosen is None and task not in DEFAULT_METRIC:
        line = (table.rows["task"] == task).idxmax()
        raise UserError(
            f"{table.path}, line {line}: unknown task '{task}'; known are "
            f"{', '.join(DEFAULT_METRIC)} (for another one, name the metric with "
            "--metric)."
        )
    name = chosen or DEFAULT_METRIC[task]
    present = sorted(table.rows["metric"].unique())
    if name not in present:
        raise UserError(
            f"{table.path} has no metric '{name}' of task {task}; it has "
            f"{shorten(present)}: choose one with --metric."
        )
    if name not in METRICS:
        raise UserError(
            f"{table.path}: metric '{name}' is not known to be better high or low; "
            f"known are {', '.join(METRICS)}."
        )
    return METRICS[name]


def _choose_budget(table: TextTable, task: str, chosen: int | None) -> int:
    """Take the budget asked for, or the task's only one."""
    present = sorted(int(n) for n in to_integer(table, "budget").unique())
    if chosen is None and len(present) > 1:
        raise UserError(
            f"{table.path} holds runs of several budgets "
            f"({shorten(present)}): choose one with --budget."
        )
    budget = present[0] if chosen is None else chosen
    if budget not in present:
        raise UserError(
            f"{table.path} has no run of budget {budget} of task {task}; it has "
            f"{shorten(present)}."
        )
    return budget


def _trained_languages(table: TextTable) -> pd.DataFrame:
    """Split ``languages`` into two columns, the second empty but for pair runs."""
    languages, kinds = table.rows["languages"], table.rows["kind"]
    split: dict[str, tuple[str, str]] = {}
    for text, kind in sorted(set(zip(languages, kinds, strict=True))):
        parts = text.split("+")
        well_formed = all(map(is_language_code, parts))
        if kind == "pair":
            well_formed &= len(parts) == 2 and parts[0] < parts[-1]
        else:
            well_formed &= len(parts) == 1
        if not well_formed:
            line = ((languages == text) & (kinds == kind)).idxmax()
            wanted = "two sorted codes such as ca+es" if kind == "pair" else "one code"
            raise UserError(
                f"{table.path}, line {line}: languages is '{text}' in a {kind} run, "
                f"which has {wanted}."
            )
        split[text] = (parts[0], parts[1] if kind == "pair" else "")
    pairs = languages.map(split)
    return pd.DataFrame({0: pairs.str[0], 1: pairs.str[1]})


def _undefined_notes(
    table: TextTable, values: pd.Series, metric: str
) -> tuple[str, ...]:
    undefined = table.rows[values.isna()]
    if undefined.empty:
        return ()
    tests = sorted(undefined["test_language"].unique())
    first = undefined.iloc[0]
    return (
        f"{metric} is undefined (nan) in {len(undefined)} result(s), tested on "
        f"{shorten(tests)}; the first is run {first['run']} on "
        f"{first['test_language']}, line {undefined.index[0]}. Cells use the seeds "
        "for which it is defined.",
    )
