#!/usr/bin/env python3
"""Stage 4: fine-tune every run of a plan and predict on its test languages."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import positive_number, run_command, whole_number
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.local_executor import run_locally


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--exp", type=Path, required=True, help="exp/<tag>")
    parser.add_argument(
        "--nj", type=positive_number, default=1, help="Number of worker processes"
    )
    parser.add_argument(
        "--ngpu", type=whole_number, default=0, help="Number of GPUs, 0 for CPU"
    )
    parser.add_argument(
        "--audio_cache",
        type=whole_number,
        default=500,
        help="Most MB of prepared test waveforms that a worker keeps in memory",
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Make all runs of a plan."""
    args = get_parser().parse_args(cmd)
    run_command(
        lambda: run_locally(
            ExperimentDir(args.exp), args.nj, args.ngpu, args.audio_cache
        )
    )


if __name__ == "__main__":
    main()
