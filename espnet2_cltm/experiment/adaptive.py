"""Pair runs planned in rounds (``--design adaptive``).

A round is planned when the one before is made and scored; which runs it has follows
from the results. What is planned stays, so that an experiment that is interrupted or
grows goes on from where it is.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.pair_selection import Pair, balanced_order, made_pair_runs
from espnet2_cltm.experiment.plan import Run, read_plan
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.files import read_text
from espnet2_cltm.subsets import random_order

DESIGNS = FULL_DESIGN, ADAPTIVE = "full", "adaptive"
"""Which pairs are measured (``--design``)."""

ChooseRuns = Callable[
    [str, Sequence[Pair], Mapping[Pair, int], int], Mapping[Pair, int]
]
"""From a task, its pairs in a balanced order, how many seeds are made of each (none in
the first round) and how many there can be, to how many some pairs are to have."""


def plan_round(
    directory: ExperimentDir | None,
    settings: Settings,
    task: str,
    runs: Sequence[Run],
    choose: ChooseRuns,
) -> list[Run]:
    """Keep the pair runs that are planned already, and those of the next round.

    Args:
        directory: The experiment's directory; None for no experiment.
        settings: The experiment's settings.
        task: The task.
        runs: Runs of all languages, pairs and seeds; those that are not of pairs stay.
        choose: Function that chooses the runs of a round.
    """
    every = [run for run in runs if run.kind == "pair"]
    seeds = sorted({run.seed for run in every})
    planned = _planned(directory, every)
    made = made_pair_runs(directory, every)
    chosen = {run for run in every if run in planned or run in made}
    known: dict[Pair, set[int]] = {}
    for run in chosen:
        known.setdefault(_pair(run), set()).add(run.seed)
    if chosen and not (chosen <= made and _are_scored(directory, chosen)):
        logging.info("%s: the pairs of this round are not all made and scored", task)
        wanted: Mapping[Pair, int] = {}
    else:
        pairs = {_pair(run) for run in every}
        languages = sorted({lang for pair in pairs for lang in pair})
        order = random_order(languages, settings.pairs_seed, "pairs")
        ordered = [pair for pair in balanced_order(order) if pair in pairs]
        counts = {pair: len(of_pair) for pair, of_pair in known.items()}
        wanted = choose(task, ordered, counts, len(seeds))
    for pair, n in wanted.items():
        of_pair = known.setdefault(pair, set())
        new = [seed for seed in seeds if seed not in of_pair]
        of_pair.update(new[: n - len(of_pair)])
    return [
        run
        for run in runs
        if run.kind != "pair" or run in chosen or run.seed in known.get(_pair(run), ())
    ]


def _pair(run: Run) -> Pair:
    return run.languages[0], run.languages[1]


def _planned(directory: ExperimentDir | None, every: Sequence[Run]) -> set[Run]:
    if directory is None or not directory.plan.exists():
        return set()
    try:
        plan = read_plan(directory.plan)
    except UserError:  # damaged, and written again now
        return set()
    known = {run.name: run for run in every}
    return {known[p.run.name] for p in plan if p.run.name in known}


def _are_scored(directory: ExperimentDir | None, chosen: set[Run]) -> bool:
    """Return whether results have all of these runs."""
    if directory is None or not directory.results.exists():
        return False
    lines = read_text(directory.results, "run stage 5 again").splitlines()
    return {run.name for run in chosen} <= {line.partition("\t")[0] for line in lines}
