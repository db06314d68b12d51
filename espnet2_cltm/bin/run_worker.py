#!/usr/bin/env python3
"""Make runs of an experiment in this process until none is left.

``run_plan`` starts such workers; started by hand, on this or another machine that sees
the same directory, one more joins in.
"""

import argparse
import signal
from functools import partial

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.run_options import WORKER_OPTIONS
from espnet2_cltm.experiment.worker import check_audio, work
from espnet2_cltm.options import add_options


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_path("exp", "exp/<tag>")
    parser.add_argument(
        "--ngpu", type=int, default=0, choices=(0, 1), help="1 for a GPU (default: 0)"
    )
    parser.add_argument(
        "--parent",
        type=int,
        help="process id of the runner; the worker stops when that has ended",
    )
    add_options(parser, WORKER_OPTIONS)
    return parser


def make_runs(args: argparse.Namespace) -> None:
    """Make runs until none is left."""
    directory = ExperimentDir(args.exp)
    check_audio(directory)
    # The runner's way to end a worker, whatever that is doing; nothing is lost.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    work(
        directory,
        args.ngpu,
        args.parent,
        audio_cache_bytes=args.audio_cache * 10**6,
        layers=args.layers,
        make=partial(make_run, keep_models=args.keep_models, layers=args.layers),
    )


main = command(get_parser, make_runs, "INFO")

if __name__ == "__main__":
    main()
