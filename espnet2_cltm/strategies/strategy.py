"""A strategy: how a pretrained encoder is adapted to a task.

A strategy is a subclass of :class:`Strategy` in a file of its own, chosen by name with
ESPnet's options ``--strategy NAME --strategy_conf OPTION=VALUE``. It changes the model
before training and acts at fixed points of it. Every hook has a default that does
nothing, so that a strategy consists of the hooks that it needs. A training calls them
in this order, with ESPnet's command and in an experiment alike:

0. in an experiment, :meth:`~Strategy.acts_alone` and :meth:`~Strategy.for_run`, without
   a model;
1. once the model is built, :meth:`~Strategy.prepare` and
   :meth:`~Strategy.frozen_prefix`;
2. where the optimiser is built, :meth:`~Strategy.parameter_groups`;
3. in each epoch :meth:`~Strategy.on_epoch`; in each batch :meth:`~Strategy.on_step`,
   the model's forward pass, and :meth:`~Strategy.penalty`; after the first two
   :meth:`~Strategy.frozen_prefix` is asked again;
4. where a trained model is kept, :meth:`~Strategy.to_store`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard

import torch
from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.hubert import HubertFrontend


class Strategy:
    """A strategy that trains everything; others override hooks.

    The options of ``--strategy_conf`` are the keyword arguments of ``__init__``, which
    raises :class:`.UserError` for values that it cannot use. In every hook, ``model``
    is the task's ESPnet model, without the wrapper of distributed training; its encoder
    is :func:`encoder_of` it.

    Attributes:
        reuse_frozen: Whether what :meth:`frozen_prefix` fixes is computed once for each
            utterance, alone, and kept in memory.
    """

    reuse_frozen: bool = True

    @classmethod
    def acts_alone(cls, options: Mapping[str, Any]) -> bool:
        """Return whether a run on one language differs from one of ``full``.

        Args:
            options: Options of the experiment's training configuration.
        """
        return True

    @classmethod
    def for_run(
        cls, options: dict[str, Any], languages: Sequence[str]
    ) -> dict[str, Any]:
        """Return the options of an experiment's run.

        Args:
            options: Options of the experiment's training configuration.
            languages: Languages that the run is trained on.
        """
        return options

    def prepare(self, model: nn.Module) -> None:
        """Change a model that has just been built: add, replace or draw parts of it.

        This happens on the CPU, and again where a trained model is built to take its
        weights; what is changed must therefore depend on the options alone. PyTorch's
        generator is seeded with the training's seed before and restored after, so that
        what is drawn here changes nothing else.
        """

    def frozen_prefix(self, model: nn.Module) -> int | None:
        """Return how much of the encoder, from the waveform up, training leaves fixed.

        The frontend takes that out of training (no gradient, evaluation mode). What it
        fixes by its own options stays fixed.

        Returns:
            The number of the highest hidden state that is fixed (0 enters the first
            transformer layer, k leaves the k-th), :data:`.CONVOLUTIONS` for the
            convolutions alone, or None for nothing.
        """
        return None

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]] | None:
        """Return the optimiser's parameter groups.

        Returns:
            For each group ``params`` and, where they differ from ``optim_conf``,
            options of the optimiser. ``lr`` takes the place of that of ``optim_conf``,
            and ``lr_scale`` multiplies either, whatever the scheduler, which acts on
            all groups in proportion. None puts all parameters into one group.
        """
        return None

    def on_epoch(self, model: nn.Module, epoch: int) -> None:
        """Act before an epoch.

        Args:
            model: The task's model.
            epoch: Its number, from 1. A resumed training does not begin with 1.
        """

    def on_step(self, model: nn.Module, step: int) -> None:
        """Act before a training batch.

        Args:
            model: The task's model.
            step: The number of the update of the weights that it contributes to, from
                0, in all epochs: with ``accum_grad`` several batches make one.
        """

    def penalty(self, model: nn.Module) -> torch.Tensor | None:
        """Return what is added to the loss of a training batch.

        It is called after the model's forward pass.

        Returns:
            A scalar with gradient, or None.
        """
        return None

    def to_store(self, model: nn.Module) -> Collection[str] | None:
        """Return what a kept model holds.

        Returns:
            Names of entries of the model's ``state_dict``; the others are to be those
            of a newly built model, whose encoder must then be available where the kept
            one is loaded. None stores all.
        """
        return None


class Combined(Strategy):
    """Several strategies in one: each hook calls theirs, in their order.

    Args:
        parts: The strategies by name.
    """

    def __init__(self, parts: Mapping[str, Strategy]):
        self.parts = tuple(parts.values())
        self.reuse_frozen = all(part.reuse_frozen for part in self.parts)

    def prepare(self, model: nn.Module) -> None:
        """Prepare the model with each; none draws what it would not draw alone."""
        for part in self.parts:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(torch.initial_seed())
                part.prepare(model)

    def frozen_prefix(self, model: nn.Module) -> int | None:
        """Return the highest state that one of them fixes."""
        fixed = [part.frozen_prefix(model) for part in self.parts]
        return max((state for state in fixed if state is not None), default=None)

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]] | None:
        """Return groups of the parameters that all of them treat alike.

        Factors of the learning rate multiply.
        """
        grouped = [part.parameter_groups(model) for part in self.parts]
        asked = [groups for groups in grouped if groups is not None]
        if not asked:
            return None
        options: dict[nn.Parameter, dict[str, Any]] = {}
        for groups in asked:
            for group in groups:
                others = {k: v for k, v in group.items() if k != "params"}
                for parameter in group["params"]:
                    before = options.setdefault(parameter, {})
                    if "lr_scale" in before and "lr_scale" in others:
                        scale = before["lr_scale"] * others["lr_scale"]
                        before.update(others, lr_scale=scale)
                    else:
                        before.update(others)
        merged: dict[tuple, list[nn.Parameter]] = {}
        for parameter, others in options.items():
            merged.setdefault(tuple(sorted(others.items())), []).append(parameter)
        return [{"params": params, **dict(key)} for key, params in merged.items()]

    def on_epoch(self, model: nn.Module, epoch: int) -> None:
        """Act before an epoch."""
        for part in self.parts:
            part.on_epoch(model, epoch)

    def on_step(self, model: nn.Module, step: int) -> None:
        """Act before a training batch."""
        for part in self.parts:
            part.on_step(model, step)

    def penalty(self, model: nn.Module) -> torch.Tensor | None:
        """Return the sum of what they add to the loss."""
        penalties = [part.penalty(model) for part in self.parts]
        added = [penalty for penalty in penalties if penalty is not None]
        return torch.stack(added).sum() if added else None

    def to_store(self, model: nn.Module) -> Collection[str] | None:
        """Return all that one of them needs to be kept."""
        asked = [part.to_store(model) for part in self.parts]
        kept = [set(names) for names in asked if names is not None]
        return set().union(*kept) if kept else None


def require(is_valid: bool, option: str, value: object, wanted: str) -> None:
    """Refuse an option's value.

    Raises:
        UserError: It is not valid.
    """
    if not is_valid:
        raise UserError(f"{option}: {value} in strategy_conf must be {wanted}.")


def require_rate(lr: object) -> None:
    """Refuse a learning rate that is neither a number above 0 nor None."""
    is_rate = lr is None or (is_number(lr) and lr > 0)
    require(is_rate, "lr", lr, "a number above 0")


def at_rate(
    model: nn.Module, parameters: Collection[nn.Parameter], lr: float
) -> list[dict[str, Any]]:
    """Return the optimiser's groups where some parameters have a rate of their own.

    Args:
        model: The task's model.
        parameters: Those of its parameters.
        lr: Their learning rate.
    """
    apart = set(parameters)
    others = [one for one in model.parameters() if one not in apart]
    return [{"params": list(parameters), "lr": lr}, {"params": others}]


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def is_whole(value: object, lowest: int) -> bool:
    """Return whether a value is a whole number, not below another."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= lowest


def frontend_of(model: nn.Module, name: str) -> Any:
    """Return a task model's frontend, of whatever kind.

    Args:
        model: The task's model.
        name: Name of the strategy that needs it, for the message.

    Raises:
        UserError: The model has none.
    """
    frontend = getattr(model, "frontend", None)
    if frontend is None:
        raise UserError(
            f"strategy: {name} needs a frontend: name one, or choose another strategy."
        )
    return frontend


def encoder_of(model: nn.Module) -> HubertFrontend:
    """Return a task model's encoder.

    Raises:
        UserError: The frontend is of another kind.
    """
    frontend = getattr(model, "frontend", None)
    if not isinstance(frontend, HubertFrontend):
        raise UserError(
            "The strategy adapts a pretrained encoder: set frontend: ssl, or strategy: "
            "full."
        )
    return frontend


def strategy_of(model: nn.Module) -> Strategy:
    """Return the strategy of a model; one that does nothing where it has none."""
    return getattr(model, "strategy", Strategy())
