#!/usr/bin/env python3
"""Merge experiments that were made in different directories into one.

Their settings must be equal; seeds, languages and pairs may differ. The merged
directory is an experiment like any other: stages 3 and 4 add what it lacks, stages 5
and 6 build its matrix. Called again, it takes over what is new.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.counting import agreeing, counted
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.adaptive import FULL_DESIGN
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.merging import merge_experiments
from espnet2_cltm.experiment.plan import PlannedRun, PlannedStrategy, all_runs
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.states import runs_left
from espnet2_cltm.files import write_text
from espnet2_cltm.options import NAME
from espnet2_cltm.results_format import FULL


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--exp",
        type=Path,
        nargs="+",
        required=True,
        help="experiments to be merged, exp/<tag> each; the first says where the audio "
        "lies",
    )
    parser.add_path("outdir", "the merged one, exp/<tag>")
    return parser


def merge(experiments: Sequence[Path], outdir: Path) -> None:
    """Merge experiments and say how far the merged one is.

    Raises:
        UserError: They cannot be merged.
    """
    directory = ExperimentDir(outdir)
    try:
        NAME.read(outdir.name)  # what --tag takes
    except ValueError:
        raise UserError(
            f"--outdir {outdir} cannot be an experiment's directory, whose name has "
            f"to be {NAME.wanted}: give another."
        ) from None
    plan = merge_experiments(experiments, outdir)
    words = ["--exp", *map(str, experiments), "--outdir", str(outdir)]
    command = shlex.join(["local/merge_experiments.py", *words])
    write_text(outdir / "command.txt", f"{command}\n")
    n_left = len(runs_left(directory, plan))
    print(f"{outdir}: {counted(len(plan), 'run')} planned, {len(plan) - n_left} done.")
    n_more = count_runs_in_no_plan(plan, read_settings(directory.settings))
    if n_more:
        print(
            f"{counted(n_more, 'run')} of its languages and seeds "
            f"{agreeing(n_more, 'is', 'are')} in no plan; stage 3 adds the "
            "rest, and tests on all languages, given all --langs and --seeds and the "
            "experiments' other options."
        )
    stage = 3 if n_more else 4 if n_left else 5
    tag = f"--expdir {shlex.quote(str(outdir.parent))} --tag {shlex.quote(outdir.name)}"
    print(f"Next: ./run.sh --stage {stage} {tag}")


def count_runs_in_no_plan(plan: Sequence[PlannedRun], settings: Settings) -> int:
    """Count the runs that a matrix of all languages and seeds has besides the plan's.

    Returns:
        0 where only a share of the pairs is measured, and for learning curves.
    """
    is_full = settings.design == FULL_DESIGN and settings.pairs_fraction == 1
    if settings.regime_budgets or not is_full:
        return 0
    planned = {p.run for p in plan}
    wanted = set()
    for task in {run.task for run in planned}:
        of_task = [run for run in planned if run.task == task]
        languages = {lang for run in of_task for lang in run.languages}
        seeds = {run.seed for run in of_task}
        budget = settings.budget[task]
        shared = {name for p in plan if p.run.task == task for name in p.shared_by}
        strategies = [
            PlannedStrategy(name, is_own, FULL if name in shared else "")
            for name, is_own in {(run.strategy, run.is_own) for run in of_task}
        ]
        wanted |= {
            *all_runs(task, languages, budget, seeds, settings.steps, strategies)
        }
    return len(wanted - planned)


main = command(get_parser, lambda args: merge(args.exp, args.outdir), "WARNING")

if __name__ == "__main__":
    main()
