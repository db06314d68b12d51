"""Strategies in ESPnet's training: who calls which hook, and when.

A task whose encoder can be adapted derives from :class:`AdaptingTask`, names
:data:`strategy_choices` among its class choices and ends its ``build_model`` with
:func:`adapt`; its trainer derives from :class:`AdaptingTrainer`. ESPnet's command and a
training in memory (:mod:`.training`) run the same task and trainer, so that the hooks
are called alike. See :mod:`espnet2_cltm.strategies.strategy` for what a strategy can
do.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any, TypeVar

import torch
from espnet2.train.reporter import SubReporter

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.registry import find_strategy, strategy_names
from espnet2_cltm.strategies.strategy import Combined, Strategy, encoder_of, strategy_of
from espnet2_cltm.tasks.espnet import (
    ClassChoices,
    Trainer,
    TrainerOptions,
    optim_classes,
)
from espnet2_cltm.tasks.parts import build_part
from espnet2_cltm.tasks.whole_batches import WholeBatchesTask

Model = TypeVar("Model", bound=torch.nn.Module)


class _Strategies(Mapping[str, Callable[..., Strategy]]):
    """Strategies by name, each imported when it is chosen.

    Names that are joined by ``+`` stand for a combination, whose options are given by
    the names of its parts.
    """

    def __getitem__(self, name: str) -> Callable[..., Strategy]:
        parts = name.split("+")
        if not set(parts) <= set(strategy_names()):
            raise KeyError(name)
        if len(parts) == 1:
            return partial(_build, name)
        return partial(_combine, parts)

    def __iter__(self) -> Iterator[str]:
        return iter(strategy_names())

    def __len__(self) -> int:
        return len(strategy_names())


def _build(name: str, **options: Any) -> Strategy:
    """Build a strategy.

    Raises:
        UserError: It has no such option, or not with this value.
    """
    strategy = find_strategy(name)
    known = signature(strategy).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in known.values())
    for option in options:
        if option not in known and not takes_any:
            raise UserError(
                f"strategy: {name} has no option {option}: "
                f"strategy_conf takes {', '.join(known) or 'none'}."
            )
    return strategy(**options)


def _combine(names: Sequence[str], **options: Mapping[str, Any]) -> Strategy:
    """Build a combination of strategies.

    Raises:
        UserError: One is named twice, or options are not of one of them.
    """
    together = "+".join(names)
    if len(set(names)) < len(names):
        raise UserError(f"strategy: {together} names one twice: name each once.")
    for name, conf in options.items():
        if name not in names or not isinstance(conf, Mapping):
            raise UserError(
                f"strategy_conf: {name} does not go with strategy: {together}: give "
                f"options by part, such as {names[0]}: {{...}} or "
                f"--strategy_conf {names[0]}.OPTION=VALUE."
            )
    return Combined({name: _build(name, **options.get(name, {})) for name in names})


class _StrategyChoices(ClassChoices):
    """Choices with which argparse accepts combinations, too."""

    def choices(self) -> Mapping[str, Callable[..., Strategy]]:
        return self.classes


strategy_choices = _StrategyChoices(name="strategy", classes={}, default="full")
# Put in afterwards: the constructor would import every strategy.
strategy_choices.classes = _Strategies()


def strategy_for_run(
    config: Mapping[str, Any], languages: Sequence[str]
) -> dict[str, Any]:
    """Return the ``strategy_conf`` of an experiment's run, if it has a strategy.

    Args:
        config: The training configuration of the experiment.
        languages: Languages that the run is trained on.
    """
    together = config.get("strategy")
    conf = config.get("strategy_conf") or {}
    if not isinstance(together, str) or together not in strategy_choices.classes:
        return {}  # the default, or refused later
    is_one = "+" not in together
    of_parts = {together: conf} if is_one else dict(conf)
    for name in together.split("+"):
        options = of_parts.get(name, {})
        if isinstance(options, dict):  # refused later else
            of_parts[name] = find_strategy(name).for_run(options, languages)
    return {"strategy_conf": of_parts[together] if is_one else of_parts}


def adapt(model: Model, args: argparse.Namespace) -> Model:
    """Prepare a model that was just built with the strategy that the options name.

    Args:
        model: The model, on the CPU.
        args: ESPnet's arguments.

    Returns:
        The same model, prepared.

    Raises:
        UserError: The strategy is unknown, or cannot be used with its options or with
            this model; or ESPnet's ``--init`` or ``--use_adapter`` is given.
    """
    if getattr(args, "init", None) is not None:  # not every task of ESPnet has it
        raise UserError(
            f"init: {args.init} would overwrite the encoder's weights: remove the "
            "line; each part initialises its own weights."
        )
    if args.use_adapter:
        raise UserError(
            "use_adapter: ESPnet's own adapters do not work in this encoder: leave it "
            "out, and set strategy: lora or strategy: houlsby."
        )
    strategy: Strategy = build_part(strategy_choices, args)
    vars(model)["strategy"] = strategy  # no part of the network, which attributes are
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        strategy.prepare(model)
    _freeze_prefix(model, strategy)
    return model


def _freeze_prefix(model: torch.nn.Module, strategy: Strategy) -> None:
    prefix = strategy.frozen_prefix(model)
    if prefix is not None or isinstance(
        getattr(model, "frontend", None), HubertFrontend
    ):
        encoder_of(model).freeze_up_to(prefix, strategy.reuse_frozen)


class AdaptingTask(WholeBatchesTask):
    """ESPnet's task with a strategy's parameter groups."""

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the task's options; several GPUs get on with parts that are not used.

        The embedding of masked frames, for one, is in an encoder and out of use.
        """
        super().add_task_arguments(parser)
        parser.set_defaults(unused_parameters=True)

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: torch.nn.Module
    ) -> list[torch.optim.Optimizer]:
        """Build ESPnet's optimiser, with the strategy's groups where it has some.

        Raises:
            UserError: Options of ESPnet make other groups.
        """
        groups = strategy_of(model).parameter_groups(model)
        if groups is None:
            return super().build_optimizers(args, model=model)
        for option in ("exclude_weight_decay", "sharded_ddp"):
            if getattr(args, option):
                raise UserError(
                    f"{option} does not go with strategy: {args.strategy}, which "
                    "groups the parameters itself: take one of them out."
                )
        if args.optim not in optim_classes:
            raise ValueError(f"must be one of {list(optim_classes)}")
        optimizer = optim_classes[args.optim](groups, **args.optim_conf)
        base = optimizer.defaults["lr"]
        for group in optimizer.param_groups:
            own, group["lr"] = group["lr"], base
            group.setdefault("lr_scale", 1.0)
            if own != base:
                group["lr_scale"] *= own / _above_zero(base)
        # In the step alone: whatever the scheduler, it sets the unscaled rate.
        optimizer.register_step_pre_hook(_scale_rates)
        optimizer.register_step_post_hook(_unscale_rates)
        return [optimizer]


def _above_zero(rate: float) -> float:
    if not rate > 0:
        raise UserError(
            f"lr: {rate} in optim_conf must be above 0 where strategy_conf has an lr "
            "of its own: correct it."
        )
    return rate


def _scale_rates(optimizer: torch.optim.Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        group["unscaled_lr"] = group["lr"]
        group["lr"] = group["lr"] * group["lr_scale"]


def _unscale_rates(optimizer: torch.optim.Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group.pop("unscaled_lr")


class AdaptingTrainer(Trainer):
    """ESPnet's trainer that calls the hooks of its model's strategy."""

    @classmethod
    def train_one_epoch(
        cls,
        model: torch.nn.Module,
        reporter: SubReporter,
        options: TrainerOptions,
        **others: Any,
    ) -> bool:
        """Train for an epoch, as ESPnet does, between the strategy's hooks.

        Args:
            model: The model, or DistributedDataParallel around it.
            reporter: Statistics of the epoch.
            options: ESPnet's options of training.
            **others: ESPnet's other arguments.

        Returns:
            Whether no step had a finite gradient.
        """
        bare = getattr(model, "module", model)
        strategy = strategy_of(bare)
        strategy.on_epoch(bare, reporter.get_epoch())
        _freeze_prefix(bare, strategy)
        with (
            naming_batches(model),
            _batch_hooks(
                bare,
                strategy,
                reporter.get_total_count(),
                options.accum_grad,
                getattr(model, "passes", 1),
            ),
        ):
            return super().train_one_epoch(
                model=model, reporter=reporter, options=options, **others
            )


@contextmanager
def naming_batches(model: torch.nn.Module) -> Iterator[None]:
    """Name the batch that a model is at where memory runs out.

    Args:
        model: Model that ESPnet's trainer calls with a batch's arguments by name.

    Raises:
        UserError: Memory has run out.
    """
    batch: dict[str, Any] = {}

    def remember(_: torch.nn.Module, __: tuple, arguments: dict[str, Any]) -> None:
        batch.update(arguments)

    handle = model.register_forward_pre_hook(remember, with_kwargs=True)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or "utt_id" not in batch:
            raise
        lengths = batch["speech_lengths"].tolist()
        longest, n_samples = max(
            zip(batch["utt_id"], lengths, strict=True), key=lambda pair: pair[1]
        )
        raise UserError(
            f"There is not enough memory for a training batch of {len(lengths)} "
            f"utterances, {longest} of {n_samples / SAMPLE_RATE:.1f} s among them: "
            "lower batch_size or batch_bins in the training configuration, or leave "
            "longer utterances out."
        ) from error
    finally:
        handle.remove()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a CPU's or a GPU's memory has run out."""
    known = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, known) or "not enough memory" in str(error)


@contextmanager
def _batch_hooks(
    model: torch.nn.Module,
    strategy: Strategy,
    n_before: int,
    accum_grad: int,
    passes: int,
) -> Iterator[None]:
    """Call the hooks of each batch, before and after the model's forward passes."""
    calls = itertools.count(n_before * passes)

    def before(_: torch.nn.Module, __: tuple) -> None:
        strategy.on_step(model, next(calls) // (accum_grad * passes))
        _freeze_prefix(model, strategy)

    def after(_: torch.nn.Module, __: tuple, output: tuple) -> tuple | None:
        penalty = strategy.penalty(model)
        if penalty is None:
            return None
        loss, stats, weight = output
        # In the shape of the weight, without which ESPnet averages nothing over GPUs.
        told = {**stats, "penalty": penalty.detach().view(weight.shape)}
        return loss + penalty, told, weight

    handles = [
        model.register_forward_pre_hook(before),
        model.register_forward_hook(after),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
