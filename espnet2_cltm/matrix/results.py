"""Reading scores from a table of results; the header tells which format it is.

``run task kind languages budget seed test_language metric value n_test steps strategy``
    the project's ``results.tsv``, tab-separated, one line per run, test language and
    metric. ``kind`` is single, double, pair or pool; ``languages`` is one code, or
    sorted codes joined by ``+`` for a pair or pool run. Pools (:mod:`.pool_results`)
    are no part of the matrix, nor are runs of another N than its pairs'. A value
    ``nan`` says that the metric is undefined, as macro F1 is on a test set that lacks a
    class. ``steps`` is equal or
    data (older files lack it: data); where a file has both, the matrix is of the equal
    ones. ``strategy`` is how the encoder was adapted (older files lack it: full); a
    matrix is of one strategy. A ``test_language`` of
    two sorted codes joined by ``~`` is a set of cross-language trials, enrolled in one
    language and tested in the other: of a difficulty of its own, and kept apart from
    the matrix.
``model_id,type,lang_src,lang_tgt`` and more
    the published framework's CSV, per seed (``seed`` with ``f1``, ``auc`` or ``wer``)
    or aggregated (``seed_count`` with ``f1_mean,f1_var`` and so on, the unbiased
    variance over seeds). ``lang_src`` is the target, the row of the matrix, and
    ``lang_tgt`` the donor: ``single`` lines are Perf(i), ``dual`` lines with both the
    same Perf(i+i), the others Perf(i+j). There i+j and j+i are two trainings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from espnet2_cltm.budget import Seconds
from espnet2_cltm.errors import UserError
from espnet2_cltm.language_codes import is_language_code
from espnet2_cltm.matrix.held_out import arrange_held_out, read_held_out
from espnet2_cltm.matrix.scores import (
    AggregatedScores,
    CrossLanguageScores,
    ResultsSource,
    RunScores,
    ScoreKey,
    SeedScores,
    arrange,
    collect_aggregated_scores,
    collect_seed_scores,
    count_undefined,
    find_metrics,
    known_task,
    mean_over_seeds,
)
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
from espnet2_cltm.registry import task_names
from espnet2_cltm.results_format import (
    FULL,
    HELD_OUT,
    KINDS,
    RESULT_COLUMNS,
    RESULT_DEFAULTS,
    RUN_KINDS,
    STEPS,
    STRATEGY,
)
from espnet2_cltm.task import Metric

FEWEST_TO_TELL = 4  # languages, whether a table is transposed
ACROSS = "~"  # between the languages of a set of cross-language trials
# What tells a result from all others, whatever its run is called.
IDENTITY = [
    *("task", "kind", "languages", "budget", "seed", "steps", STRATEGY),
    *("size", "method", "shots", "test_language", "metric"),
]
FRAMEWORK_COLUMNS = ("model_id", "type", "lang_src", "lang_tgt")
# The framework's name of each metric, and whose metric it is here.
FRAMEWORK_METRICS = {
    "auc": ("speaker", "roc_auc"),
    "f1": ("gender", "macro_f1"),
    "wer": ("asr", "utt_wer"),  # a mean over utterances there
}


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
            :func:`strategies_in`.
    """

    task: str | None = None
    metric: str | None = None
    budget: int | None = None
    steps: str | None = None
    rows: str | None = None
    strategy: str | None = None


def read_scores(path: Path | str, choice: Choice | None = None) -> RunScores:
    """Read scores in whichever known format the file has.

    Args:
        path: The results file.
        choice: Choice among its results.

    Raises:
        UserError: The file can't be read as results, or ``choice`` asks for what
            it does not hold.
    """
    choice = choice or Choice()
    table = read_text_table(path)
    if is_results(table):
        return scores_from_results(table, choice)
    return _framework_scores(table, choice)


def read_every_metric(
    path: Path | str, choice: Choice | None = None
) -> tuple[RunScores, ...]:
    """Read scores of all known metrics of a task, that of ``choice`` first.

    Arguments and errors are those of :func:`read_scores`. The published framework's
    files hold one metric each.
    """
    choice = choice or Choice()
    table = read_text_table(path)
    if not is_results(table):
        return (_framework_scores(table, choice),)
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


def is_results(table: TextTable) -> bool:
    """Return whether the header is that of ``results.tsv``; refuse one without rows."""
    if not {*table.rows.columns, *RESULT_DEFAULTS} >= set(RESULT_COLUMNS):
        return False
    require_rows(table)
    return True


def read_published_steps(
    path: Path | str, choice: Choice | None = None
) -> SeedScores | None:
    """Read the single and double runs of an experiment in both designs of steps.

    Arguments and errors are those of :func:`read_scores`.

    Returns:
        Scores of the runs whose steps grow with the data; None where the matrix is made
        of such runs, or there are no others.
    """
    table = read_text_table(path)
    if not is_results(table):
        return None
    table = _lines_of_task(table, choice or Choice())
    if set(table.rows["steps"]) != {*STEPS}:
        return None
    return _scores_of_task(table, replace(choice or Choice(), steps="data"))


# results.tsv ------------------------------------------------------------------------


def scores_from_results(table: TextTable, choice: Choice) -> SeedScores:
    """Check the lines that ``choice`` names and arrange their scores."""
    return _scores_of_task(_lines_of_task(table, choice), choice)


def read_strategies_of(path: Path | str, task: str | None) -> list[str | None]:
    """Return the strategies of a task, ``full`` first; one None for a foreign table.

    Arguments and errors are those of :func:`read_scores`.
    """
    table = read_text_table(path)
    if not is_results(table):
        return [None]
    task = choose_task(table, task)
    return [*strategies_in(table.where(table.rows["task"] == task))]


def read_run_strategies(path: Path | str, source: ResultsSource) -> pd.DataFrame:
    """Read whose runs the runs of a matrix are.

    Args:
        path: ``results.tsv``.
        source: Task, N and steps of the matrix.

    Returns:
        A line a run and strategy: ``run``, ``kind``, ``languages``, ``seed``,
        ``strategy``.

    Raises:
        UserError: The file can't be read as results.
    """
    table = read_text_table(path)
    rows = table.rows.assign(
        **{k: v for k, v in RESULT_DEFAULTS.items() if k not in table.rows}
    )
    is_of = (rows["task"] == source.task) & (rows["steps"] == source.steps)
    is_of &= (rows["budget"] == str(source.budget)) & rows["kind"].isin(KINDS)
    columns = ["run", "kind", "languages", "seed", STRATEGY]
    return rows.loc[is_of, columns].drop_duplicates(["run", STRATEGY])


def read_all_runs(path: Path | str, source: ResultsSource) -> pd.DataFrame:
    """Read every run of a task: pools as well, and single and double runs of any N.

    Args:
        path: ``results.tsv``.
        source: Task, metric, steps and strategy of a matrix.

    Returns:
        Columns ``kind``, ``languages``, ``budget``, ``seed``, ``tested``, ``perf`` and
        ``pool``, a tuple of size, method and shots; no line where it is undefined, or
        where the file is of another format.

    Raises:
        UserError: The file can't be read as results.
    """
    table = read_text_table(path)
    columns = ["kind", "languages", "budget", "seed", "tested", "perf", "pool"]
    if not is_results(table):
        return pd.DataFrame(columns=columns)
    table = _checked(table)
    rows = table.rows
    table = table.where(
        (rows["task"] == source.task)
        & (rows["metric"] == source.metric)
        & (rows["steps"] == source.steps)
        & (rows[STRATEGY] == source.strategy)
        & (rows["kind"] != "pair")
        & ~_is_cross_language(table)
    )
    metric = find_metrics(source.task, [source.metric])[source.metric]
    values = to_number(table, "value", minimum=metric.minimum, maximum=metric.maximum)
    shots = to_integer(table, "shots")
    rows = table.rows
    found = pd.DataFrame(
        {
            **{name: rows[name] for name in ("kind", "languages")},
            "budget": to_budget(table),
            "seed": to_integer(table, "seed"),
            "tested": rows["test_language"],
            "perf": 1 - values if metric.lower_is_better else values,
            "pool": list(zip(rows["size"], rows["method"], shots, strict=True)),
        },
        columns=columns,
    )
    return found[np.isfinite(found["perf"])]


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
    return _choose(table, "task", chosen, table.rows["task"], "")


def _choose(
    table: TextTable, column: str, chosen: Any, values: pd.Series, where: str
) -> Any:
    """Return the value asked for, or the only one there is."""
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


def _lines_of_task(table: TextTable, choice: Choice) -> TextTable:
    """Check all lines and keep those of the task's matrix."""
    table = _checked(table)
    task = choose_task(table, choice.task)
    table = table.where((table.rows["task"] == task) & (table.rows["kind"] != "pool"))
    strategy = choice.strategy or strategies_in(table)[0]
    of_task = f" of task {task}"
    _choose(table, STRATEGY, strategy, table.rows[STRATEGY], of_task)
    return _with_named_eer(of_strategy(table, strategy))


def _checked(table: TextTable) -> TextTable:
    """Check all lines, those of an older version with the columns that they lack."""
    lacking = {k: v for k, v in RESULT_DEFAULTS.items() if k not in table.rows}
    table = replace(table, rows=table.rows.assign(**lacking))
    require_choices(table, "kind", RUN_KINDS)
    require_choices(table, "steps", STEPS)
    across = _is_cross_language(table)
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


def _with_named_eer(table: TextTable) -> TextTable:
    """Name the ``eer`` of this project's older results what it is, ``eer_hull``.

    Newer results have both for every test; those of others have no min DCF beside it.
    """
    metric = table.rows["metric"]
    if not {"eer", "min_dcf_p0.01"} <= set(metric) or (metric == "eer_hull").any():
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
    budget = _choose(
        table, "budget", choice.budget, of_pairs if is_few else budgets, of_task
    )
    steps = choice.steps or _main_steps(table)
    trained = _trained_languages(table)
    table = table.where(
        (table.rows["metric"] == metric.name)
        & (budgets == budget)
        & (table.rows["steps"] == steps)
    )
    values = to_number(table, "value", minimum=metric.minimum, maximum=metric.maximum)
    perf = 1 - values if metric.lower_is_better else values
    undefined_notes = _undefined_notes(table, values, metric.name)
    across = _is_cross_language(table)
    cross_language = _cross_language_scores(table.where(across), perf[across])
    table, perf = table.where(~across), perf[~across]
    if table.rows.empty:
        raise UserError(
            f"{table.path} has no {metric.name}{of_task} for N = {budget}"
            f"{' but on cross-language trials' if across.any() else ''}: run stages 4 "
            "and 5 to their end first."
        )

    tested = table.rows["test_language"]
    trained = trained.loc[table.rows.index]
    first, second = trained[0], trained[1]
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
    languages = {*first, *second} - {""}
    scores = collect_seed_scores(records, languages, source)
    path, held_out = table.path.with_name(HELD_OUT), None
    if path.exists():
        held_out = arrange_held_out(
            records, read_held_out(path), metric.name, scores.languages, scores.seeds
        )
    return replace(scores, cross_language=cross_language, held_out=held_out)


def _main_steps(table: TextTable) -> str:
    """Return the steps of the runs that make the matrix."""
    return max(table.rows["steps"], key=STEPS.index)


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
    name = chosen
    metrics = table.rows["metric"]
    _choose(table, "metric", name, metrics, f" of task {task}")
    known = find_metrics(task, metrics.unique())
    if name not in known:
        raise UserError(
            f"{table.path}: metric '{name}' is not known to be better high or low: "
            f"choose one with --metric; of those that it has, known are "
            f"{', '.join(known) or 'none'}."
        )
    return known[name]


def _trained_languages(table: TextTable) -> pd.DataFrame:
    """Split ``languages`` into two columns, the second empty but for pair runs."""
    languages, kinds = table.rows["languages"], table.rows["kind"]
    split: dict[str, tuple[str, str]] = {}
    for text, kind in sorted(set(zip(languages, kinds, strict=True))):
        first, _, second = text.partition("+")
        codes = [first, second] if kind == "pair" else [text]
        well_formed = all(map(is_language_code, codes)) and codes == sorted(set(codes))
        if not well_formed:
            line = first_line((languages == text) & (kinds == kind))
            wanted = "two sorted codes such as ca+es" if kind == "pair" else "one code"
            raise UserError(
                f"{table.path}, line {line}: languages is '{text}' in a {kind} run, "
                f"which has {wanted}."
            )
        split[text] = (first, second)
    pairs = languages.map(split)
    return pd.DataFrame({0: pairs.str[0], 1: pairs.str[1]})


def _negative_notes(records: pd.DataFrame) -> tuple[str, ...]:
    """Tell where Perf(i) is not above 0, as 1 - WER may be."""
    is_single = (records["kind"] == "single") & (records["donor"] == records["tested"])
    perf = records[is_single].groupby("tested")["perf"].mean()
    if not len(languages := perf.index[perf <= 0]):
        return ()
    return (
        f"Perf(i) of {' '.join(languages)} is not above 0, so that gains relative to "
        "it are left empty",
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
        f"{metric} is undefined (nan) in {len(undefined)} result(s), tested on "
        f"{shorten(tests)}; the first is run {first['run']} on "
        f"{first['test_language']}, line {undefined.index[0]}. Cells use the seeds "
        "for which it is defined.",
    )


def _is_cross_language(table: TextTable) -> pd.Series:
    """Return, line by line, whether ``test_language`` is a set of such trials."""
    return table.rows["test_language"].str.contains(ACROSS, regex=False)


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


# The published framework's files ----------------------------------------------------


def _framework_scores(table: TextTable, choice: Choice) -> RunScores:
    header = set(table.rows.columns)
    if header >= set(FRAMEWORK_COLUMNS):
        for name in FRAMEWORK_METRICS:
            if header >= {"seed_count", f"{name}_mean", f"{name}_var"}:
                require_rows(table)
                return _framework_aggregates(table, name, choice)
            if header >= {"seed", name}:
                require_rows(table)
                return _framework_seeds(table, name, choice)
    raise UserError(
        f"{table.path} has an unknown header ({shorten(table.rows.columns)}); "
        f"expected are tab-separated {' '.join(RESULT_COLUMNS)}, or comma-separated "
        f"{','.join(FRAMEWORK_COLUMNS)} with seed and one of f1, auc, wer, or with "
        "seed_count and f1_mean,f1_var, auc_mean,auc_var or wer_mean,wer_var."
    )


def _framework_seeds(table: TextTable, name: str, choice: Choice) -> SeedScores:
    """Check the lines and arrange the scores of column ``name``, seed by seed."""
    task, metric = _framework_metric(table, name, choice)
    table = _framework_runs(table, name, choice.rows)
    require_distinct(table, ["kind", "tested", "donor", "seed"], "the same run")
    values = to_number(table, name, empty_is_nan=True, maximum=metric.maximum)
    records = table.rows[["kind", "donor", "tested"]].assign(
        seed=to_integer(table, "seed"),
        perf=1 - values if metric.lower_is_better else values,
    )
    undefined = count_undefined(records, "perf")
    source = _framework_source(table, task, metric, undefined)
    languages = {*records["tested"], *records["donor"]}
    records = records[np.isfinite(records["perf"])]
    return collect_seed_scores(records, languages, source)


def _framework_aggregates(
    table: TextTable, name: str, choice: Choice
) -> AggregatedScores:
    """Check the lines and arrange ``<name>_mean`` and ``<name>_var``."""
    task, metric = _framework_metric(table, name, choice)
    table = _framework_runs(table, f"{name}_mean", choice.rows)
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
    source = _framework_source(table, task, metric, undefined, note)
    languages = {*records["tested"], *records["donor"]}
    records = records[np.isfinite(records["mean"])]
    return collect_aggregated_scores(records, languages, source)


def _framework_metric(
    table: TextTable, name: str, choice: Choice
) -> tuple[str, Metric]:
    task, metric_name = FRAMEWORK_METRICS[name]
    if choice.metric not in (None, name, metric_name):
        raise UserError(
            f"{table.path} has no metric '{choice.metric}'; it has {metric_name}."
        )
    if choice.task not in (None, task):
        raise UserError(
            f"{table.path} has no task '{choice.task}'; its metric {name} is that of "
            f"{task}."
        )
    return task, find_metrics(task, [metric_name])[metric_name]


def _framework_runs(table: TextTable, column: str, rows: str | None) -> TextTable:
    """Add ``kind``, ``tested`` and ``donor`` to the framework's lines."""
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


def _framework_source(
    table: TextTable,
    task: str,
    metric: Metric,
    undefined: Mapping[ScoreKey, int],
    *notes: str,
) -> ResultsSource:
    if undefined:
        kind, tested, donor = next(iter(undefined))
        notes += (
            f"{metric.name} is undefined in {sum(undefined.values())} line(s); the "
            f"first is of the {kind} run {tested} {donor}.",
        )
    return ResultsSource(
        file=table.path.name,
        sha256=table.sha256,
        task=task,
        metric=metric.name,
        undefined=undefined,
        notes=notes,
    )
