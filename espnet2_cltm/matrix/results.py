"""Scores out of a table of results, in whichever known format the file has.

The project's ``results.tsv`` is described in :mod:`.results_table`, the published
framework's tables in :mod:`.framework`. Out of ``results.tsv`` a matrix takes the runs
of one strategy, and of the design of steps that comes last in :data:`.STEPS`. Pools
(:mod:`.pool_results`) are not part of it, nor are runs of another N than its pairs';
cross-language trials, of a difficulty of their own, are kept apart.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.budget import Seconds
from espnet2_cltm.counting import counted
from espnet2_cltm.errors import UserError
from espnet2_cltm.language_codes import is_language_code
from espnet2_cltm.matrix.framework import framework_scores
from espnet2_cltm.matrix.held_out import arrange_held_out, read_held_out
from espnet2_cltm.matrix.results_table import (
    choose,
    choose_task,
    is_cross_language,
    is_results,
    of_strategy,
    read_results,
    strategies_in,
)
from espnet2_cltm.matrix.scores import (
    CrossLanguageScores,
    ResultsSource,
    RunScores,
    SeedScores,
    arrange,
    collect_seed_scores,
    count_undefined,
    find_metrics,
    known_task,
    mean_over_seeds,
)
from espnet2_cltm.matrix.text_table import (
    TextTable,
    first_line,
    shorten,
    to_budget,
    to_integer,
    to_number,
)
from espnet2_cltm.registry import task_names
from espnet2_cltm.results_format import HELD_OUT, KINDS, STEPS, STRATEGY
from espnet2_cltm.task import Metric


@dataclass(frozen=True)
class Choice:
    """Which of a file's results to take; None takes the only or the default one.

    Attributes:
        task: Name of the task.
        metric: Name of the metric, as in ``results.tsv``.
        budget: N.
        steps: Optimiser steps of the runs, ``data`` or ``equal``; by default equal
            ones, if there are any.
        rows: What ``lang_src`` of the published framework's files is: ``targets``, as
            there, or ``donors``; None refuses a table that looks transposed.
        strategy: Name of the strategy; by default the first of
            :func:`.strategies_in`.
    """

    task: str | None = None
    metric: str | None = None
    budget: int | None = None
    steps: str | None = None
    rows: str | None = None
    strategy: str | None = None


def read_scores(path: Path | str, choice: Choice = Choice()) -> RunScores:
    """Read scores in whichever known format the file has.

    Args:
        path: The results file.
        choice: Choice among its results.

    Raises:
        UserError: The file can't be read as results, or ``choice`` asks for what
            it does not hold.
    """
    table = read_results(path)
    if is_results(table):
        return scores_from_results(table, choice)
    return framework_scores(table, choice.task, choice.metric, choice.rows)


def read_every_metric(
    path: Path | str, choice: Choice = Choice()
) -> tuple[RunScores, ...]:
    """Read scores of all known metrics of a task, that of ``choice`` first.

    Arguments and errors are those of :func:`read_scores`. The published framework's
    files hold one metric each.
    """
    table = read_results(path)
    if not is_results(table):
        return (framework_scores(table, choice.task, choice.metric, choice.rows),)
    table = _lines_of_task(table, choice)
    first = _scores_of_task(table, choice)
    present = find_metrics(first.source.task, table.rows["metric"].unique())
    return (
        first,
        *(
            _scores_of_task(table, replace(choice, metric=name))
            for name in present
            if name != first.source.metric
        ),
    )


def read_published_steps(
    path: Path | str, choice: Choice = Choice()
) -> SeedScores | None:
    """Read the single and double runs of an experiment in both designs of steps.

    Arguments and errors are those of :func:`read_scores`.

    Returns:
        Scores of the runs whose steps grow with the data; None where the matrix is made
        of such runs, or there are no others.
    """
    table = read_results(path)
    if not is_results(table):
        return None
    table = _lines_of_task(table, choice)
    if {*table.rows["steps"].unique()} != {*STEPS}:
        return None
    return _scores_of_task(table, replace(choice, steps="data"))


def scores_from_results(table: TextTable, choice: Choice) -> SeedScores:
    """Arrange the scores that ``choice`` names; the table is :func:`.checked`."""
    return _scores_of_task(_lines_of_task(table, choice), choice)


def read_strategies_of(path: Path | str, task: str | None) -> list[str | None]:
    """Return the strategies of a task, ``full`` first; one None for a foreign table.

    Arguments and errors are those of :func:`read_scores`.
    """
    table = read_results(path)
    if not is_results(table):
        return [None]
    task = choose_task(table, task)
    return [*strategies_in(table.where(table.rows["task"] == task))]


def _lines_of_task(table: TextTable, choice: Choice) -> TextTable:
    """Keep the lines of the task's matrix."""
    task = choose_task(table, choice.task)
    table = table.where((table.rows["task"] == task) & (table.rows["kind"] != "pool"))
    strategy = choice.strategy or strategies_in(table)[0]
    of_task = f" of task {task}"
    choose(table, STRATEGY, strategy, table.rows[STRATEGY], of_task)
    return _with_named_eer(of_strategy(table, strategy))


def _with_named_eer(table: TextTable) -> TextTable:
    """Name the ``eer`` of this project's older results what it is, ``eer_hull``.

    Newer results have both for every test; those of others have no min DCF beside it.
    """
    metric = table.rows["metric"]
    names = {*metric.unique()}
    if not {"eer", "min_dcf_p0.01"} <= names or "eer_hull" in names:
        return table
    named = metric.replace("eer", "eer_hull")
    return replace(table, rows=table.rows.assign(metric=named))


def _scores_of_task(table: TextTable, choice: Choice) -> SeedScores:
    """Arrange the scores of one metric out of the lines of one task."""
    task = table.rows["task"].iloc[0]
    of_task = f" of task {task}"
    metric = _choose_metric(table, task, choice.metric)
    budgets = to_budget(table)
    of_pairs = budgets[table.rows["kind"] == "pair"]
    is_few = choice.budget is None and of_pairs.nunique() == 1
    budget = choose(
        table, "budget", choice.budget, of_pairs if is_few else budgets, of_task
    )
    steps = choice.steps or max(table.rows["steps"].unique(), key=STEPS.index)
    _require_languages(table)
    table = table.where(
        (table.rows["metric"] == metric.name)
        & (budgets == budget)
        & (table.rows["steps"] == steps)
    )
    values = to_number(table, "value", minimum=metric.minimum, maximum=metric.maximum)
    perf = 1 - values if metric.lower_is_better else values
    undefined_notes = _undefined_notes(table, values, metric.name)
    across = is_cross_language(table)
    cross_language = _cross_language_scores(table.where(across), perf[across])
    table, perf = table.where(~across), perf[~across]
    if table.rows.empty:
        raise UserError(
            f"{table.path} has no {metric.name}{of_task} for N = {budget}"
            f"{' but on cross-language trials' if across.any() else ''}: run stages 4 "
            "and 5 to their end first."
        )

    tested = table.rows["test_language"]
    first, second = _trained_languages(table)
    records = pd.DataFrame(
        {
            "run": table.rows["run"],
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
    source = ResultsSource(
        file=table.path.name,
        sha256=table.sha256,
        task=task,
        metric=metric.name,
        budget=budget,
        steps=steps,
        strategy=table.rows[STRATEGY].iloc[0],
        in_seconds=isinstance(budget, Seconds),
        undefined=count_undefined(records, "perf"),
        notes=undefined_notes + _negative_notes(records),
    )
    records = records[np.isfinite(records["perf"])]
    languages = {*first.unique(), *second.unique()} - {""}
    scores = collect_seed_scores(records, languages, source)
    path, held_out = table.path.with_name(HELD_OUT), None
    if path.exists():
        without = read_held_out(path, metric.name)
        held_out = arrange_held_out(records, without, scores.languages, scores.seeds)
    return replace(scores, cross_language=cross_language, held_out=held_out)


def _choose_metric(table: TextTable, task: str, chosen: str | None) -> Metric:
    """Return the metric asked for, or the task's first one."""
    if chosen is None:
        spec = known_task(task)
        if spec is None:
            line = first_line(table.rows["task"] == task)
            raise UserError(
                f"{table.path}, line {line}: unknown task '{task}'; known are "
                f"{', '.join(task_names())} (for another one, name the metric with "
                "--metric)."
            )
        chosen = spec.main_metric(table.rows["metric"].unique()).name
    metrics = table.rows["metric"]
    choose(table, "metric", chosen, metrics, f" of task {task}")
    known = find_metrics(task, metrics.unique())
    if chosen not in known:
        raise UserError(
            f"{table.path}: metric '{chosen}' is not known to be better high or low: "
            f"choose one with --metric; of those that it has, known are "
            f"{', '.join(known) or 'none'}."
        )
    return known[chosen]


def _require_languages(table: TextTable) -> None:
    """Refuse ``languages`` that are no codes, or not as many as the kind of run has."""
    languages, kinds = table.rows["languages"], table.rows["kind"]
    there = table.rows[["languages", "kind"]].drop_duplicates()
    for text, kind in sorted(there.itertuples(index=False, name=None)):
        codes = [*text.partition("+")[::2]] if kind == "pair" else [text]
        well_formed = all(map(is_language_code, codes)) and codes == sorted(set(codes))
        if not well_formed:
            line = first_line((languages == text) & (kinds == kind))
            wanted = "two sorted codes such as ca+es" if kind == "pair" else "one code"
            raise UserError(
                f"{table.path}, line {line}: languages is '{text}' in a {kind} run, "
                f"which has {wanted}."
            )


def _trained_languages(table: TextTable) -> tuple[pd.Series, pd.Series]:
    """Split ``languages`` into two columns, the second empty but for pair runs."""
    languages = table.rows["languages"]
    split = {text: text.partition("+") for text in languages.unique()}
    first, second = (
        languages.map({text: codes[k] for text, codes in split.items()}) for k in (0, 2)
    )
    return first, second


def _negative_notes(records: pd.DataFrame) -> tuple[str, ...]:
    """Tell where Perf(i) is not above 0, as 1 - WER may be."""
    is_single = (records["kind"] == "single") & (records["donor"] == records["tested"])
    perf = records[is_single].groupby("tested")["perf"].mean()
    if not len(languages := perf.index[perf <= 0]):
        return ()
    return (
        f"Perf(i) of {' '.join(languages)} is not above 0, so that gains relative to "
        "it mean nothing",
    )


def _undefined_notes(
    table: TextTable, values: pd.Series, metric: str
) -> tuple[str, ...]:
    undefined = table.rows[values.isna()]
    if undefined.empty:
        return ()
    tests = sorted(undefined["test_language"].unique())
    first = undefined.iloc[0]
    return (
        f"{metric} is undefined (nan) in {counted(len(undefined), 'result')}, tested "
        f"on {shorten(tests)}; the first is run {first['run']} on "
        f"{first['test_language']}, line {undefined.index[0]}. Cells use the seeds "
        "for which it is defined.",
    )


def _cross_language_scores(
    table: TextTable, perf: pd.Series
) -> CrossLanguageScores | None:
    """Average over seeds and arrange by run and set; None if there are no lines."""
    if table.rows.empty:
        return None
    rows = table.rows
    records = pd.DataFrame(
        {
            "run": list(zip(rows["kind"], rows["languages"], strict=True)),
            "set": rows["test_language"],
            "seed": to_integer(table, "seed"),
            "perf": perf,
        }
    )
    runs = sorted(set(records["run"]), key=lambda run: (KINDS.index(run[0]), run[1]))
    sets = sorted(set(records["set"]))
    seeds = sorted(set(records["seed"]))
    by_seed = arrange(records, "perf", run=runs, set=sets, seed=seeds)
    return CrossLanguageScores(tuple(runs), tuple(sets), mean_over_seeds(by_seed))
