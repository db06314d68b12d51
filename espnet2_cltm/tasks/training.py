"""One ESPnet training in memory: the steps of ``AbsTask.main``, without its files.

ESPnet's command line imports for seconds, reads the encoder and writes several
checkpoints for every training. An experiment trains thousands of models and keeps few,
so this drives the same task and trainer classes and returns the model. Whatever draws a
random number does so in the order of ``AbsTask.main_worker`` and ``Trainer.run``: on a
CPU the weights are the command line's to the last bit.

A learning rate that falls to zero over the whole training (``onecyclelr``) depends on
the number of steps, and a double run has twice a single's. ``total_steps: auto`` in
``scheduler_conf`` stands for that number in a training configuration;
:func:`write_train_config` fills it in.
"""

import argparse
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.samplers.build_batch_sampler import build_batch_sampler
from espnet2.schedulers.abs_scheduler import AbsEpochStepScheduler
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.distributed_utils import DistributedOption, resolve_distributed_mode
from espnet2.train.reporter import Reporter
from espnet2.utils.build_dataclass import build_dataclass

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text
from espnet2_cltm.task import Criterion
from espnet2_cltm.tasks.building import build_optimization, copy_weights, start_model
from espnet2_cltm.tasks.espnet import AbsTask, GradScaler
from espnet2_cltm.tasks.options import parse_options

_ANY_NUMBER = 1000  # builds a schedule where there is no data to count yet


@dataclass(frozen=True)
class Checkpoint:
    """The weights after an epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        value: Statistic that the epoch was chosen by; None where it is the last.
        weights: State of the model.
    """

    epoch: int
    value: float | None
    weights: Mapping[str, torch.Tensor]


@dataclass
class Trained:
    """A trained model.

    Attributes:
        model: The model, with the weights of the last epoch until :meth:`use`.
        last_epoch: Number of the last epoch.
        best: For each criterion the checkpoint that is best by it.
        validation: Validation statistics of every epoch.
        last: Checkpoint of the last epoch, kept by :meth:`use`.
    """

    model: AbsESPnetModel
    last_epoch: int
    best: dict[Criterion, Checkpoint] = field(default_factory=dict)
    validation: list[dict[str, Any]] = field(default_factory=list)
    last: Checkpoint | None = None

    def use(self, criterion: Criterion | None) -> dict[str, Any]:
        """Load the weights that a criterion chose into the model.

        Args:
            criterion: One of :attr:`best`; None for the last epoch.

        Returns:
            The record of that choice: ``epoch``, and with a criterion ``criterion`` and
            ``value``.
        """
        if not self.best:
            return {"epoch": self.last_epoch}
        if self.last is None:
            self.last = Checkpoint(self.last_epoch, None, copy_weights(self.model))
        chosen = self.last if criterion is None else self.best[criterion]
        self.model.load_state_dict(chosen.weights)
        record = {"epoch": chosen.epoch}
        if criterion is None:
            return record
        return {**record, "criterion": criterion[1], "value": chosen.value}


def training_arguments(
    task: type[AbsTask],
    config: Path | str,
    options: Sequence[str] = (),
    source: str | None = None,
) -> argparse.Namespace:
    """Parse a training configuration as the task's command line does.

    Args:
        task: ESPnet task.
        config: YAML file of ESPnet options.
        options: Further options, as on the command line.
        source: Name of the configuration in messages; by default its path.

    Raises:
        UserError: The configuration has an unknown option, or sets one that a training
            in memory does not support.
    """
    cmd = ["--config", str(config), "--output_dir", "unused", *options]
    args = parse_options(task.get_parser(), cmd, source)
    unsupported = {
        "patience": args.patience is not None,
        "multiple_iterator": args.multiple_iterator,
        "use_deepspeed": args.use_deepspeed,
        "use_wandb": args.use_wandb,
        "ngpu": args.ngpu > 1,
        "detect_anomaly": args.detect_anomaly,
    }
    for name in (name for name, is_asked in unsupported.items() if is_asked):
        raise UserError(
            f"{source or config} sets {name}: {getattr(args, name)}, which a run of an "
            "experiment does not do: take the line out, or train with the task's own "
            "command."
        )
    return args


def write_train_config(
    task: type[AbsTask], config: Mapping[str, Any], path: Path
) -> None:
    """Write a training configuration as YAML, its number of steps filled in.

    Args:
        task: ESPnet task that has these options.
        config: ESPnet's options; the steps are counted where data are among them.
        path: File to write.

    Raises:
        UserError: The configuration has an unknown option.
    """
    write_text(path, yaml.safe_dump(dict(config), sort_keys=False))
    schedule = config.get("scheduler_conf") or {}
    if not isinstance(schedule, dict) or schedule.get("total_steps") != "auto":
        return
    steps = _ANY_NUMBER
    if "train_shape_file" in config:
        steps = count_steps(training_arguments(task, path))
    filled = {**config, "scheduler_conf": {**schedule, "total_steps": steps}}
    write_text(path, yaml.safe_dump(filled, sort_keys=False))


def count_steps(args: argparse.Namespace) -> int:
    """Return the number of the optimiser's steps in a training.

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


def train_in_memory(
    task: type[AbsTask],
    args: argparse.Namespace,
    criteria: Iterable[Criterion] = (),
    batches: Callable[[int], Iterable] | None = None,
    wrap: Callable[[torch.nn.Module], torch.nn.Module] = lambda model: model,
) -> Trained:
    """Train a model for ``args.max_epoch`` epochs and return it.

    Args:
        task: ESPnet task.
        args: Result of :func:`training_arguments`, with the training data.
        criteria: Criteria that choose checkpoints; without any, nothing is validated.
        batches: Function from an epoch's number to its batches; None for ESPnet's.
        wrap: Function from the model to what is trained in its place, with the same
            parameters and the model as ``module``.

    Returns:
        The model, on the CPU or GPU where it was trained, and the chosen checkpoints.

    Raises:
        UserError: The configuration does not build a model, or every step's
            gradient was not finite.
    """
    model = start_model(task, args)
    training = Epochs(task, args, model, *build_optimization(task, args, model))
    build_batches = batches or build_iterators(task, args, "train").build_iter
    criteria = sorted(set(criteria))
    valid_iterators = build_iterators(task, args, "valid") if criteria else None
    trained = Trained(model, args.max_epoch)
    for epoch in range(1, args.max_epoch + 1):
        training.train(epoch, build_batches(epoch), wrap(model))
        if valid_iterators is not None:
            training.validate(valid_iterators.build_iter(epoch))
        logging.info(training.reporter.log_message())
        keep_best(trained, training.reporter, criteria, epoch)
    return trained


def _not_distributed(args: argparse.Namespace) -> DistributedOption:
    resolve_distributed_mode(args)
    option = build_dataclass(DistributedOption, args)
    option.init_options()
    return option


def build_iterators(
    task: type[AbsTask], args: argparse.Namespace, mode: str
) -> AbsIterFactory:
    """Build ESPnet's iterators of the data of a phase, ``train`` or ``valid``."""
    return task.build_iter_factory(
        args=args, distributed_option=_not_distributed(args), mode=mode
    )


class Epochs:
    """ESPnet's trainer on a model, an epoch at a time.

    Args:
        task: ESPnet task.
        args: ESPnet's arguments.
        model: The model, on its device.
        optimizers: Its optimisers; none where it is validated only.
        schedulers: Their schedules.

    Attributes:
        reporter: Statistics of all epochs.
    """

    def __init__(
        self,
        task: type[AbsTask],
        args: argparse.Namespace,
        model: AbsESPnetModel,
        optimizers: Sequence[torch.optim.Optimizer] = (),
        schedulers: Sequence[Any] = (),
    ):
        self._distributed = _not_distributed(args)
        self._task, self._args, self._model = task, args, model
        self._optimizers, self._schedulers = optimizers, schedulers
        self._options = task.trainer.build_options(args)
        self._scaler = GradScaler() if args.use_amp else None
        self.reporter = Reporter()

    def train(
        self, epoch: int, batches: Iterable, model: torch.nn.Module | None = None
    ) -> None:
        """Train for an epoch.

        Args:
            epoch: Its number, from 1.
            batches: Its batches.
            model: What is trained in the model's place, with the same parameters.

        Raises:
            UserError: No step had a finite gradient.
        """
        set_all_random_seed(self._args.seed + epoch)
        self.reporter.set_epoch(epoch)
        with self.reporter.observe("train") as observed:
            all_steps_are_invalid = self._task.trainer.train_one_epoch(
                model=model or self._model,
                optimizers=self._optimizers,
                schedulers=self._schedulers,
                iterator=batches,
                reporter=observed,
                scaler=self._scaler,
                summary_writer=None,
                options=self._options,
                distributed_option=self._distributed,
            )
        for scheduler in self._schedulers:
            if isinstance(scheduler, AbsEpochStepScheduler):
                scheduler.step()
        if all_steps_are_invalid:
            raise UserError(
                f"No step of epoch {epoch} had a finite gradient: lower the learning "
                "rate in the training configuration."
            )

    def validate(self, batches: Iterable) -> None:
        """Validate the model in the reporter's epoch."""
        with self.reporter.observe("valid") as observed:
            self._task.trainer.validate_one_epoch(
                model=self._model,
                iterator=batches,
                reporter=observed,
                options=self._options,
                distributed_option=self._distributed,
            )


def keep_best(
    trained: Trained, reporter: Reporter, criteria: Sequence[Criterion], epoch: int
) -> None:
    """Keep the weights where this epoch is the best so far, by ESPnet's rule."""
    if not criteria:
        return
    weights = None
    values = {}
    for criterion in criteria:
        phase, name, _ = criterion
        value = float(reporter.get_value(phase, name))
        values[name] = value
        if reporter.get_best_epoch(*criterion) != epoch:
            continue
        if weights is None:
            weights = copy_weights(trained.model)
        trained.best[criterion] = Checkpoint(epoch, value, weights)
    trained.validation.append({"epoch": epoch, **values})
