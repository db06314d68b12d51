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
import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.samplers.build_batch_sampler import build_batch_sampler
from espnet2.schedulers.abs_scheduler import (
    AbsEpochStepScheduler,
    AbsValEpochStepScheduler,
)
from espnet2.torch_utils.load_pretrained_model import load_pretrained_model
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.distributed_utils import DistributedOption, resolve_distributed_mode
from espnet2.train.reporter import Reporter
from espnet2.utils.build_dataclass import build_dataclass

from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import write_text
from espnet2_cltm.task import Criterion
from espnet2_cltm.tasks.espnet import (
    AbsTask,
    GradScaler,
    scheduler_classes,
    weights_only,
)
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
            self.last = Checkpoint(self.last_epoch, None, _copy_weights(self.model))
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


def start_model(task: type[AbsTask], args: argparse.Namespace) -> AbsESPnetModel:
    """Build the model that a training begins with, which follows from the options.

    Args:
        task: ESPnet task.
        args: ESPnet's arguments.

    Raises:
        UserError: The configuration does not build it.
    """
    set_all_random_seed(args.seed)
    set_backends(vars(args))
    model = build_model(task, args)
    load_init_params(model, args)
    return model


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
            weights = _copy_weights(trained.model)
        trained.best[criterion] = Checkpoint(epoch, value, weights)
    trained.validation.append({"epoch": epoch, **values})


def _copy_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: tensor.detach().clone() for name, tensor in model.state_dict().items()
    }


def check_training(task: type[AbsTask], args: argparse.Namespace) -> None:
    """Build a training once on the CPU, so that its errors occur before any work.

    Args:
        task: ESPnet task.
        args: ESPnet's arguments, which stay as they are; data need not be among them.

    Raises:
        UserError: What the options name is not there, is damaged, or does not go
            together.
    """
    trial = copy.deepcopy(args)
    trial.ngpu = 0
    with torch.random.fork_rng(devices=[]), _unlogged():
        model = build_model(task, trial)
        build_optimization(task, trial, model)
        load_init_params(model, trial)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Drop what is logged where logging is not set up yet, and leave it so.

    The first ``logging.info`` would set it up without being asked, for warnings only,
    and ESPnet's own set-up, which comes later, would have no effect: a training's log
    would lack its epochs.
    """
    root = logging.getLogger()
    if root.handlers:
        yield
        return
    handler = logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def load_init_params(model: torch.nn.Module, args: argparse.Namespace) -> None:
    """Load the weights that ``init_param`` names into a model.

    Raises:
        UserError: A file cannot be read, holds more than weights, does not fit, or
            changes nothing.
    """
    for param in args.init_param:
        before = _copy_weights(model)
        with (
            foreign(
                f"init_param: {param} cannot be loaded",
                "give a file of weights alone, as ESPnet's *.pth are, whose names and "
                "shapes are the model's",
            ),
            weights_only(),
        ):
            load_pretrained_model(
                model=model,
                init_param=param,
                ignore_init_mismatch=args.ignore_init_mismatch,
                map_location="cuda:0" if args.ngpu > 0 else "cpu",
            )
        after = model.state_dict()
        if all(torch.equal(value, after[name]) for name, value in before.items()):
            raise UserError(
                f"init_param: {param} changes no weight: correct the parts behind the "
                "colons, or leave it out."
            )
        if bad := [name for name in after if not after[name].isfinite().all()]:
            raise UserError(
                f"init_param: {param} holds weights that are not finite, {bad[0]} "
                "first: give others."
            )


def build_model(task: type[AbsTask], args: argparse.Namespace) -> AbsESPnetModel:
    """Build a model on the device where it is trained, frozen as the options say.

    Raises:
        UserError: The configuration does not build it, or leaves nothing to train.
    """
    model = task.build_model(args=args).to(
        dtype=getattr(torch, args.train_dtype),
        device="cuda" if args.ngpu > 0 else "cpu",
    )
    for frozen in args.freeze_param:
        parameters = [
            parameter
            for name, parameter in model.named_parameters()
            if name == frozen or name.startswith(f"{frozen}.")
        ]
        if not parameters:
            raise UserError(
                f"freeze_param: {frozen} is not the name of a part of the model: give "
                f"such as {next(model.named_parameters())[0]}, or leave it out."
            )
        for parameter in parameters:
            parameter.requires_grad = False
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(
            "Nothing of the model is left to train: freeze less in the training "
            "configuration."
        )
    return model


def build_optimization(
    task: type[AbsTask], args: argparse.Namespace, model: AbsESPnetModel
) -> tuple[list[torch.optim.Optimizer], list]:
    """Build a model's optimisers and their schedulers.

    Raises:
        UserError: The configuration does not build them.
    """
    with _named(args, "optim"):
        optimizers = list(task.build_optimizers(args, model=model))
    if args.scheduler is None:
        if args.scheduler_conf:
            raise UserError(
                f"scheduler_conf: {args.scheduler_conf} is given without a scheduler: "
                "name it, or leave scheduler_conf out."
            )
        return optimizers, [None for _ in optimizers]
    scheduler_class = scheduler_classes[args.scheduler]
    if issubclass(scheduler_class, AbsValEpochStepScheduler):
        raise UserError(
            f"scheduler: {args.scheduler} follows a validation score, which a run of "
            "an experiment does not compute: choose one that follows steps or epochs."
        )
    with _named(args, "scheduler"):
        return (
            optimizers,
            [scheduler_class(optim, **args.scheduler_conf) for optim in optimizers],
        )


@contextmanager
def _named(args: argparse.Namespace, option: str) -> Iterator[None]:
    """Name the option whose value cannot be built."""
    with foreign(
        f"{option}: {getattr(args, option)} with {getattr(args, f'{option}_conf')} "
        "cannot be built",
        "correct the training configuration",
    ):
        yield


def set_backends(config: Mapping[str, Any]) -> None:
    """Set how a GPU computes, by ESPnet's options.

    Args:
        config: ESPnet's options by name; those left out have ESPnet's defaults.
    """
    torch.backends.cudnn.enabled = config.get("cudnn_enabled", True)
    torch.backends.cudnn.benchmark = config.get("cudnn_benchmark", False)
    torch.backends.cudnn.deterministic = config.get("cudnn_deterministic", True)
    if config.get("use_tf32", False):
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
