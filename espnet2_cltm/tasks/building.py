"""What a training begins with: model, weights, optimisers and schedules, by options."""

import argparse
import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from espnet2.schedulers.abs_scheduler import AbsValEpochStepScheduler
from espnet2.torch_utils.load_pretrained_model import load_pretrained_model
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.tasks.espnet import AbsTask, scheduler_classes, weights_only


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


def copy_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of a model's state, without gradients."""
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
        before = copy_weights(model)
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
