#!/usr/bin/env python3
"""Stage 4: fine-tune every run of a plan and predict on its test languages."""

import argparse
from pathlib import Path

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.devices import check_gpus
from espnet2_cltm.experiment.executors import Executor, LocalExecutor
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.run_options import (
    RUN_OPTIONS,
    handed_on,
    number_of_workers,
)
from espnet2_cltm.experiment.runner import make_all_runs
from espnet2_cltm.experiment.slurm_settings import check_slurm

get_parser = parser_of(__doc__, RUN_OPTIONS, exp="exp/<tag>")


def make_runs(args: argparse.Namespace) -> None:
    """Make all runs of a plan with the chosen executor.

    Raises:
        UserError: A run failed, or workers cannot be started or ended too early.
    """
    directory = ExperimentDir(args.exp)
    executor = make_executor(args, directory)
    make_all_runs(directory, executor, args.retry == "failed", args.layers)


def make_executor(args: argparse.Namespace, directory: ExperimentDir) -> Executor:
    """Return the chosen executor.

    Raises:
        UserError: Its configuration is wrong.
    """
    options = handed_on(args)
    if args.executor == "local":
        check_gpus(args.ngpu)
        n_workers = number_of_workers(args.nj, args.ngpu, args.jobs_per_gpu)
        return LocalExecutor(directory, n_workers, args.ngpu, options)
    # Only here: an installation that uses no cluster does without it.
    from espnet2_cltm.experiment.slurm import SlurmExecutor

    config = Path(args.slurm_config)
    settings = check_slurm(config, args.ngpu)
    return SlurmExecutor(directory, settings, config, options)


main = command(get_parser, make_runs)

if __name__ == "__main__":
    main()
