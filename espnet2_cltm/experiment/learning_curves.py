"""The runs of learning curves: a single run of each language at every N of a grid.

A single run of 2N utterances takes the same utterances in the same order as a double
run of N, and starts from the same head: it is the same training. So a curve needs
single runs only, and the gain from N to 2N is paired over seeds as in a matrix.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.run import Run
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import DrawingRules, LanguageDraw, UnfitLanguage


def check_grid(grid: Sequence[int]) -> None:
    """Refuse a grid without any gain to measure.

    Args:
        grid: Numbers of ``--regime_budgets``.

    Raises:
        UserError: A number is 0, or none has its double.
    """
    if 0 in grid:
        raise UserError(
            "--regime_budgets holds 0: give whole numbers from 1 on, such as "
            "'4 8 16 32'."
        )
    if grid and not doubled(grid):
        raise UserError(
            f"--regime_budgets {' '.join(map(str, grid))} has no N together with its "
            f"double: the gain from N to 2N needs both, give for instance "
            f"'{grid[0]} {2 * grid[0]} {4 * grid[0]}'."
        )


def doubled(grid: Iterable[int]) -> list[int]:
    """Return every N of a grid whose double is in it, ascending."""
    there = set(grid)
    return sorted(n for n in there if 2 * n in there)


def draw_curve(
    task: str,
    splits: Mapping[str, Sequence[Utterance]],
    rules: DrawingRules,
    seeds: Sequence[int],
) -> tuple[LanguageDraw, tuple[int, ...]]:
    """Draw a language's utterances for as much of the grid as it has.

    Args:
        task: The task.
        splits: Utterances of ``train``, ``dev`` and ``test``.
        rules: With the grid.
        seeds: The runs' seeds.

    Returns:
        What is drawn, with a note on what the curve lacks, and every N of the curve.

    Raises:
        UnfitLanguage: It has not enough for any N and its double.
    """

    def draw(grid: tuple[int, ...]) -> LanguageDraw:
        own = replace(rules, budget=grid[-1], grid=grid)
        return find_task(task).draw(splits, own, seeds)

    try:
        return draw(rules.grid), rules.grid
    except UnfitLanguage:
        pass
    missing: dict[int, UnfitLanguage] = {}
    for n in rules.grid:
        try:
            draw((n,))
        except UnfitLanguage as error:
            missing[n] = error
    grid = tuple(n for n in rules.grid if n not in missing)
    first = next(iter(missing.values()))
    if not doubled(grid):
        raise first
    numbers = " ".join(map(str, missing))
    note = f"the learning curve lacks N = {numbers}: {first.reason}"
    made = draw(grid)
    return replace(made, notes=(note, *made.notes)), grid


def curve_runs(
    task: str, grids: Mapping[str, Sequence[int]], seeds: Iterable[int]
) -> list[Run]:
    """List a single run of every language at every N of its curve.

    Args:
        task: The task.
        grids: Every N by language.
        seeds: The runs' seeds.

    Returns:
        Runs ordered by seed, so that a stopped experiment has whole seeds.
    """
    return [
        Run(task, "single", (lang,), budget, seed)
        for seed in sorted(set(seeds))
        for budget in sorted({n for grid in grids.values() for n in grid})
        for lang in sorted(grids)
        if budget in grids[lang]
    ]
