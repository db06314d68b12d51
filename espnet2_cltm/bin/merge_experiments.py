#!/usr/bin/env python3
"""Merge experiments that were made in different directories into one.

Their settings must be equal; seeds, languages and pairs may differ. The merged
directory is an experiment as any other: what it lacks is made by stages 3 and 4, and
stages 5 and 6 build its matrix. Called again, it takes over what is new.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import configure_logging, run_command
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.merging import merge_experiments
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.run import all_runs
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.states import runs_left
from espnet2_cltm.files import write_text


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--exp",
        type=Path,
        nargs="+",
        required=True,
        help="The experiments, exp/<tag> each; the first says where the audio lies",
    )
    parser.add_argument(
        "--outdir", type=Path, required=True, help="The merged one, exp/<tag>"
    )
    return parser


def merge(experiments: Sequence[Path], outdir: Path) -> None:
    """Merge experiments and say how far the merged one is.

    Raises:
        UserError: They can't be merged.
    """
    directory = ExperimentDir(outdir)
    plan = merge_experiments(experiments, outdir)
    command = ["local/merge_experiments.py", "--exp", *map(str, experiments)]
    command += ["--outdir", str(outdir)]
    write_text(outdir / "command.txt", f"{shlex.join(command)}\n")
    n_left = len(runs_left(directory, plan))
    print(f"{outdir}: {len(plan)} runs planned, {len(plan) - n_left} done.")
    stage = 4 if n_left else 5
    tag = f"--expdir {shlex.quote(str(outdir.parent))} --tag {shlex.quote(outdir.name)}"
    print(f"Next: ./run.sh --stage {stage} {tag}")
    n_pairs = count_pairs_without_run(plan, read_settings(directory.settings))
    if n_pairs:
        print(
            f"Pair runs that no plan has: {n_pairs}; stage 3 adds them, given all "
            "--langs and --seeds and the experiments' other options."
        )


def count_pairs_without_run(plan: Sequence[PlannedRun], settings: Settings) -> int:
    """Count the pair runs that a matrix of all languages and seeds has besides.

    Returns:
        0 where only a share of the pairs is measured, or learning curves are.
    """
    if settings.regime_budgets or settings.pairs_fraction < 1:
        return 0
    planned = {p.run for p in plan}
    n_pairs = 0
    for task in {run.task for run in planned}:
        of_task = [run for run in planned if run.task == task]
        languages = {lang for run in of_task for lang in run.languages}
        seeds = {run.seed for run in of_task}
        wanted = all_runs(task, languages, settings.budget[task], seeds)
        n_pairs += len([r for r in wanted if r.kind == "pair" and r not in planned])
    return n_pairs


def main(cmd: Sequence[str] | None = None) -> None:
    """Merge experiments."""
    args = get_parser().parse_args(cmd)
    configure_logging("WARNING")
    run_command(lambda: merge(args.exp, args.outdir))


if __name__ == "__main__":
    main()
