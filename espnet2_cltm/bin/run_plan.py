#!/usr/bin/env python3
"""Stage 4: fine-tune every run of a plan and predict on its test languages."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import positive_number, run_command, whole_number
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.executors import Executor
from espnet2_cltm.experiment.keep_choices import KEEP_CHOICES
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.local_executor import LocalExecutor
from espnet2_cltm.experiment.runner import make_all_runs


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--exp", type=Path, required=True, help="exp/<tag>")
    parser.add_argument(
        "--executor",
        choices=("local", "slurm"),
        default="local",
        help="Make the runs on this machine, or in jobs of a cluster",
    )
    parser.add_argument(
        "--slurm_config",
        type=Path,
        default=Path("conf/slurm.yaml"),
        help="What each Slurm job asks for; instead of --nj and --jobs_per_gpu",
    )
    parser.add_argument(
        "--nj",
        type=positive_number,
        help="Number of worker processes (default: ngpu * jobs_per_gpu, on the CPU 1)",
    )
    parser.add_argument(
        "--ngpu", type=whole_number, default=0, help="Number of GPUs, 0 for CPU"
    )
    parser.add_argument(
        "--jobs_per_gpu",
        type=positive_number,
        default=1,
        help="Worker processes on each GPU",
    )
    parser.add_argument(
        "--audio_cache",
        type=whole_number,
        default=500,
        help="Most MB of prepared test waveforms that a worker keeps in memory",
    )
    parser.add_argument(
        "--retry",
        choices=("failed", "none"),
        default="failed",
        help="Whether runs that failed before are made again",
    )
    parser.add_argument(
        "--keep_models",
        choices=KEEP_CHOICES,
        default="none",
        help="Of which runs the trained model is kept, as model.zip",
    )
    return parser


def make_runs(args: argparse.Namespace) -> None:
    """Make all runs of a plan with the chosen executor.

    Raises:
        UserError: A run failed, or workers can't be started or ended too early.
    """
    directory = ExperimentDir(args.exp)
    executor = make_executor(args, directory)
    make_all_runs(directory, executor, retry_failed=args.retry == "failed")


def make_executor(args: argparse.Namespace, directory: ExperimentDir) -> Executor:
    """Make the chosen executor.

    Raises:
        UserError: Its configuration is wrong.
    """
    if args.executor == "local":
        nj = args.nj or max(args.ngpu * args.jobs_per_gpu, 1)
        return LocalExecutor(
            directory, nj, args.ngpu, args.audio_cache, args.keep_models
        )
    # Only here: an installation that uses no cluster does without it.
    from espnet2_cltm.experiment.slurm_executor import SlurmExecutor
    from espnet2_cltm.experiment.slurm_settings import read_slurm_settings

    settings = read_slurm_settings(args.slurm_config)
    if args.ngpu > 0 and settings.gpus == 0:
        raise UserError(
            f"--ngpu {args.ngpu} was given, but the jobs of {args.slurm_config} have "
            "no GPU: set gpus there to 1, or leave --ngpu out."
        )
    return SlurmExecutor(
        directory, settings, args.slurm_config, args.audio_cache, args.keep_models
    )


def main(cmd: Sequence[str] | None = None) -> None:
    """Make all runs of a plan."""
    args = get_parser().parse_args(cmd)
    run_command(lambda: make_runs(args))


if __name__ == "__main__":
    main()
