"""Writing a training configuration for ESPnet, the number of steps filled in.

A learning rate that falls to zero over the whole training (``onecyclelr``) must know
the number of steps, and a double run has twice a single's. ``total_steps: auto`` in
``scheduler_conf`` stands for it; the written file holds the number.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from espnet2.samplers.build_batch_sampler import build_batch_sampler
from espnet2.tasks.abs_task import AbsTask

from espnet2_cltm.files import write_text
from espnet2_cltm.tasks.training import training_arguments

_ANY_NUMBER = 1000  # builds a schedule where there is no data to count yet


def write_train_config(
    task: type[AbsTask], config: Mapping[str, Any], path: Path
) -> None:
    """Write a training configuration as YAML.

    Args:
        task: Whose options it holds.
        config: ESPnet's options; with data options the steps are counted.
        path: The file.

    Raises:
        UserError: The configuration has an unknown option.
    """
    write_text(path, yaml.safe_dump(dict(config), sort_keys=False))
    schedule = config.get("scheduler_conf") or {}
    if schedule.get("total_steps") != "auto":
        return
    steps = _ANY_NUMBER
    if "train_shape_file" in config:
        steps = count_steps(training_arguments(task, path))
    filled = {**config, "scheduler_conf": {**schedule, "total_steps": steps}}
    write_text(path, yaml.safe_dump(filled, sort_keys=False))


def count_steps(args: argparse.Namespace) -> int:
    """Count the optimiser's steps of a training.

    Args:
        args: ESPnet's arguments, with the training data.
    """
    n_iterations = args.num_iters_per_epoch
    if n_iterations is None:
        sampler = build_batch_sampler(
            type=args.batch_type,
            shape_files=args.train_shape_file,
            fold_lengths=args.fold_length,
            batch_size=args.batch_size,
            batch_bins=args.batch_bins,
            sort_in_batch=args.sort_in_batch,
            sort_batch=args.sort_batch,
            drop_last=args.drop_last_iter,
            min_batch_size=args.min_batch_size,
        )
        n_iterations = len(list(sampler))
    return args.max_epoch * (n_iterations // args.accum_grad)
