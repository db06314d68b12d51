"""The tasks' own training commands: ESPnet's, but checked before any work."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from espnet2_cltm.devices import check_gpus
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.frontend.checkpoint import standing_in
from espnet2_cltm.tasks.building import check_training
from espnet2_cltm.tasks.espnet import AbsTask, weights_only
from espnet2_cltm.tasks.options import parse_options


def run_training(
    task: type[AbsTask],
    cmd: Sequence[str] | None = None,
    parser: argparse.ArgumentParser | None = None,
    remedy: str = "",
) -> None:
    """Train as ESPnet's command of a task does.

    With ``--dry_run true``, ESPnet's check of configurations, an encoder that is not on
    this machine is not asked for.

    Args:
        task: ESPnet task.
        cmd: Arguments; None for those of the command line.
        parser: The task's parser, if it is not its usual one.
        remedy: What to do where a file of the data is missing.

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
            if not args.dry_run:
                _check_data(task, args, remedy)
            check_training(task, args)
            if args.resume:
                check_checkpoint(Path(args.output_dir) / "checkpoint.pth")
        task.main(args=args)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # Whoever ends while the others still talk to it makes them abort.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _check_data(
    task: type[AbsTask], args: argparse.Namespace, remedy: str = ""
) -> None:
    """Check that the files of the data are named, once each, and there."""
    for phase in ("train", "valid"):
        option = f"--{phase}_data_path_and_name_and_type"
        triples = getattr(args, option[2:])
        needed = set(task.required_data_names(train=phase == "train", inference=False))
        named = [name for _, name, _ in triples]
        for name in sorted(needed - {*named}):
            raise UserError(f"{option} names no {name}: give FILE,{name},TYPE.")
        for name in named:
            if named.count(name) > 1:
                files = " and ".join(path for path, of, _ in triples if of == name)
                raise UserError(
                    f"{option} names {name} more than once ({files}): options of the "
                    "command line are added to those of --config; take one out."
                )
        shapes = getattr(args, f"{phase}_shape_file")
        if not shapes:
            raise UserError(
                f"--{phase}_shape_file is missing: give the table of lengths, such as "
                "dump/demo/es/train/utt2num_samples."
            )
        for path in (*shapes, *(path for path, _, _ in triples)):
            if not Path(path).is_file():
                todo = remedy or f"correct {option} or its table"
                raise UserError(f"{path} is missing: {todo}.")


def check_checkpoint(path: Path) -> None:
    """Check that a file holds what a training is resumed from, and nothing that runs.

    Raises:
        UserError: It is damaged, or holds more than tensors and plain values.
    """
    if not path.exists():
        return
    with foreign(
        f"{path} cannot be resumed from", "restore it, or begin anew: --resume false"
    ):
        torch.load(path, map_location="cpu", weights_only=True)
