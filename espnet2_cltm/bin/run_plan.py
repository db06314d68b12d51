#!/usr/bin/env python3
"""Stage 4: fine-tune every run of a plan and predict on its test languages."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.local_executor import run_locally


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--exp", type=Path, required=True, help="exp/<tag>")
    parser.add_argument("--nj", type=int, default=1, help="Number of worker processes")
    parser.add_argument("--ngpu", type=int, default=0, help="Number of GPUs, 0 for CPU")
    return parser


def run_plan(args: argparse.Namespace) -> None:
    """Check the options and make all runs."""
    if args.nj < 1:
        raise UserError(f"--nj {args.nj} starts no worker: give 1 or more.")
    run_locally(ExperimentDir(args.exp), args.nj, args.ngpu)


def main(cmd: Sequence[str] | None = None) -> None:
    """Make all runs of a plan."""
    args = get_parser().parse_args(cmd)
    run_command(lambda: run_plan(args))


if __name__ == "__main__":
    main()
