"""The tasks' own training commands: ESPnet's, but checked before any work."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from espnet2_cltm.devices import check_gpus
from espnet2_cltm.errors import foreign
from espnet2_cltm.frontend.checkpoint import standing_in
from espnet2_cltm.tasks.espnet import AbsTask, weights_only
from espnet2_cltm.tasks.options import parse_options
from espnet2_cltm.tasks.training import check_training


def run_training(
    task: type[AbsTask],
    cmd: Sequence[str] | None = None,
    parser: argparse.ArgumentParser | None = None,
) -> None:
    """Train as ESPnet's command of a task does.

    With ``--dry_run true``, ESPnet's check of configurations, an encoder that is not on
    this machine is not asked for.

    Args:
        task: ESPnet task.
        cmd: Arguments; None for those of the command line.
        parser: The task's parser, if it is not its usual one.

    Raises:
        UserError: An option, a file or the device cannot be used.
    """
    args = parse_options(parser or task.get_parser(), cmd)
    check_gpus(args.ngpu)
    with ExitStack() as stack:
        stack.enter_context(weights_only())
        if args.dry_run:
            stack.enter_context(standing_in())
        trains = not (args.print_config or args.collect_stats)
        if args.output_dir is not None and trains:
            check_training(task, args)
            if args.resume:
                _check_checkpoint(Path(args.output_dir) / "checkpoint.pth")
        task.main(args=args)


def _check_checkpoint(path: Path) -> None:
    """Read what a training is resumed from, which may hold more than weights."""
    if not path.exists():
        return
    with foreign(
        f"{path} cannot be resumed from", "restore it, or begin anew: --resume false"
    ):
        torch.load(path, map_location="cpu")
