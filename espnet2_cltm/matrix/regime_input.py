"""Learning curves out of ``results.tsv``: Perf by language, N and seed.

Perf(N) of a language comes from its single runs of budget N, and from its double runs
of budget N/2, which are the same training; tested on the language itself. So an
experiment for learning curves has a curve of many N, one for a matrix a curve of two,
N and 2N. Perf is better-is-higher; NaN stands for no run or an undefined metric.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.choice import Choice
from espnet2_cltm.matrix.framework_table import FRAMEWORK_COLUMNS
from espnet2_cltm.matrix.results_table import scores_from_results
from espnet2_cltm.matrix.scores import KINDS, SeedScores, Source
from espnet2_cltm.matrix.text_table import (
    TextTable,
    read_text_table,
    require_choices,
    require_rows,
    shorten,
    to_integer,
)
from espnet2_cltm.results_format import RESULT_COLUMNS

SAME = 1e-9  # a double and a single of twice its N, trained on two kinds of machine


@dataclass(frozen=True)
class LearningCurves:
    """Perf of every language at every N, seed by seed.

    Attributes:
        source: Where they come from; its budget is None.
        languages: The n languages, sorted.
        sizes: The k values of N, ascending.
        seeds: The s seeds, ascending.
        perf: (n, k, s).
    """

    source: Source
    languages: tuple[str, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    perf: np.ndarray


def read_curves(
    path: Path | str, task: str | None = None, metric: str | None = None
) -> LearningCurves:
    """Read the learning curves of one task.

    Args:
        path: ``results.tsv``.
        task: Which task, or None where there is only one.
        metric: Which metric, or None for the task's default one.

    Raises:
        UserError: The file can't be read as results, lacks what is asked for, or has
            no N together with its double.
    """
    table = _own_results(read_text_table(path))
    task = _choose_task(table, task)
    table = table.where(table.rows["task"] == task)
    budgets = to_integer(table, "budget")
    if (budgets < 1).any():
        line = (budgets < 1).idxmax()
        raise UserError(
            f"{table.path}, line {line}: budget is {budgets[line]}; N is 1 or more."
        )
    scores = {
        int(budget): scores_from_results(
            table.where(budgets == budget), Choice(task, metric, int(budget))
        )
        for budget in sorted(budgets.unique())
    }
    curves = _arrange(scores)
    _require_doubles(table, curves)
    return curves


def _own_results(table: TextTable) -> TextTable:
    """Keep single and double runs, tested on their own language."""
    header = set(table.rows.columns)
    if header >= set(FRAMEWORK_COLUMNS):
        raise UserError(
            f"{table.path} is a table of the published framework, which does not tell "
            "N: give results.tsv of an experiment made with --regime_budgets, or of "
            "one for a matrix."
        )
    if not header >= set(RESULT_COLUMNS):
        raise UserError(
            f"{table.path} has an unknown header ({shorten(table.rows.columns)}); "
            f"expected are tab-separated {' '.join(RESULT_COLUMNS)}."
        )
    require_rows(table)
    require_choices(table, "kind", KINDS)
    rows = table.rows
    own = (rows["kind"] != "pair") & (rows["languages"] == rows["test_language"])
    if not own.any():
        raise UserError(
            f"{table.path} has no single or double run that is tested on the language "
            "it was trained on: a learning curve is made of those; run stages 4 and 5 "
            "to their end first."
        )
    return table.where(own)


def _choose_task(table: TextTable, chosen: str | None) -> str:
    present = sorted(table.rows["task"].unique())
    if chosen is None and len(present) > 1:
        raise UserError(
            f"{table.path} holds several tasks ({shorten(present)}): choose one with "
            "--task."
        )
    if chosen is not None and chosen not in present:
        raise UserError(
            f"{table.path} has no task '{chosen}'; it has {shorten(present)}."
        )
    return chosen or present[0]


def _arrange(scores: dict[int, SeedScores]) -> LearningCurves:
    """Put the scores of all budgets into one array."""
    languages = sorted({lang for of_n in scores.values() for lang in of_n.languages})
    seeds = sorted({seed for of_n in scores.values() for seed in of_n.seeds})
    sizes = sorted({size for n in scores for size in (n, 2 * n)})
    perf = np.full((len(languages), len(sizes), len(seeds)), np.nan)
    differing = []
    # Singles last: where both there are, the run that is named after its N counts.
    for kind in ("double", "single"):
        for n, of_n in scores.items():
            column = sizes.index(2 * n if kind == "double" else n)
            rows = [languages.index(lang) for lang in of_n.languages]
            slots = [seeds.index(seed) for seed in of_n.seeds]
            block = np.ix_(rows, [column], slots)
            values = getattr(of_n, kind)[:, None]
            before = perf[block]
            if (np.abs(values - before) > SAME).any():
                differing.append(n)
            perf[block] = np.where(np.isfinite(values), values, before)
    filled = np.isfinite(perf).any(axis=(0, 2))
    first = next(iter(scores.values())).source
    notes = [
        f"N = {n}: {note}" for n, of_n in scores.items() for note in of_n.source.notes
    ]
    if differing:
        notes.append(
            f"Single runs of N = {shorten(differing)} and double runs of half of it "
            "differ, though they are the same training; the single runs are taken."
        )
    source = Source(
        file=first.file,
        sha256=first.sha256,
        task=first.task,
        metric=first.metric,
        notes=tuple(notes),
    )
    return LearningCurves(
        source,
        tuple(languages),
        tuple(int(size) for size in np.array(sizes)[filled]),
        tuple(seeds),
        perf[:, filled],
    )


def _require_doubles(table: TextTable, curves: LearningCurves) -> None:
    """Refuse curves of which no gain from N to 2N can be computed."""
    sizes = curves.sizes
    pairs = [(n, 2 * n) for n in sizes if 2 * n in sizes]
    there = {size: np.isfinite(curves.perf[:, k]) for k, size in enumerate(sizes)}
    if any((there[n] & there[double]).any() for n, double in pairs):
        return
    what = f"of {curves.source.task} in {curves.source.metric}"
    if len(sizes) == 1:
        raise UserError(
            f"{table.path} has results {what} for N = {sizes[0]} only: the gain from N "
            "to 2N needs two; run with --regime_budgets "
            f"'{sizes[0]} {2 * sizes[0]} {4 * sizes[0]}'."
        )
    if not sizes:
        raise UserError(
            f"{table.path} has no value {what}, all are undefined (nan): look at the "
            "predictions of its runs."
        )
    raise UserError(
        f"{table.path} has results {what} for N = {shorten(sizes)}, but no language "
        "has N and 2N with the same seed: the gain from N to 2N needs both; add the "
        "doubles to --regime_budgets, or run stages 4 and 5 to their end."
    )
