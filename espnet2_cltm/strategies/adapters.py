"""Adapters: small modules beside linear layers of an encoder that stays as it is.

Only the adapters, and what follows the encoder, are trained. They are added to the
linear layers of the transformer; in front of these, the convolutions are computed once
for each utterance. A linear layer keeps its weights and their names, so that weights of
a model with adapters contain those of the model without.
"""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.families import LINEAR_LAYERS
from espnet2_cltm.frontend.frozen_states import CONVOLUTIONS
from espnet2_cltm.strategies.strategy import (
    Strategy,
    at_rate,
    encoder_of,
    require,
    require_rate,
)

SAVE_CHOICES = ("all", "required_grad_only")


class AdaptedLinear(nn.Linear):
    """A linear layer to whose output adapters add.

    An adapter is a module that takes the layer's input and its output so far, and
    returns what is added to that.
    """

    adapters: nn.ModuleDict

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (..., in_features) to (..., out_features)."""
        output = super().forward(input)
        for adapter in self.adapters.values():
            output = output + adapter(input, output)
        return output


class Adapters(Strategy):
    """Base of the strategies that train adapters in a frozen encoder.

    Args:
        target_modules: Names, or ends of names after a dot, of the transformer's linear
            layers that get an adapter: ``q_proj``, ``layers.2.attention.q_proj``.
            Where they are called otherwise, as in w2v-BERT, HuBERT's names of those of
            attention serve, too.
        save_strategy: What a kept model holds, in ESPnet's words: ``all``, or
            ``required_grad_only``, that is, all but the encoder's frozen weights.
        lr: Learning rate of the adapters; None takes that of ``optim_conf``. They start
            from nothing, so a rate that pretrained weights can bear moves them little.

    Raises:
        UserError: An option has a value that it cannot have.
    """

    name: str
    """Name of the strategy, and of its adapters in a layer's ``adapters``."""

    def __init__(
        self,
        target_modules: Sequence[str],
        save_strategy: str = "all",
        lr: float | None = None,
    ):
        names = [target_modules] if isinstance(target_modules, str) else target_modules
        are_names = isinstance(names, list | tuple) and all(
            isinstance(name, str) and name for name in names
        )
        require(
            are_names and len(names) > 0,
            "target_modules",
            target_modules,
            "names of linear layers, such as [q_proj, v_proj]",
        )
        require(
            save_strategy in SAVE_CHOICES,
            "save_strategy",
            save_strategy,
            " or ".join(SAVE_CHOICES),
        )
        require_rate(lr)
        self.target_modules = tuple(names)
        self.save_strategy = save_strategy
        self.lr = lr

    def adapter(self, linear: nn.Linear) -> nn.Module:
        """Draw an adapter, whose output is zero, for a linear layer."""
        raise NotImplementedError

    def prepare(self, model: nn.Module) -> None:
        """Freeze the encoder and add the adapters.

        Raises:
            UserError: Target modules name no linear layer.
        """
        hubert = encoder_of(model).hubert
        linear = {
            f".{name}": module
            for name, module in hubert.encoder.layers.named_modules(prefix="layers")
            if type(module) in (nn.Linear, AdaptedLinear) and ".adapters." not in name
        }
        targets = [_name_in(linear, target) for target in self.target_modules]
        for target in targets:
            if not any(name.endswith(f".{target}") for name in linear):
                known = dict.fromkeys(name.rpartition(".")[2] for name in linear)
                raise UserError(
                    f"target_modules: {target} in strategy_conf is not a linear layer "
                    f"of this encoder's transformer: give {', '.join(known)}, or a "
                    f"whole name, such as {next(iter(linear))[1:]}."
                )
        for parameter in pretrained_parameters(hubert).values():
            parameter.requires_grad_(False)
        for name, module in linear.items():
            if name.endswith(tuple(f".{target}" for target in targets)):
                adapter = self.adapter(module)
                if not isinstance(module, AdaptedLinear):
                    module.__class__ = AdaptedLinear  # its weights and names stay
                    module.adapters = nn.ModuleDict()
                module.adapters[self.name] = adapter

    def frozen_prefix(self, model: nn.Module) -> int:
        """Return that the convolutions are fixed: nothing is trained below them."""
        return CONVOLUTIONS

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]] | None:
        """Return the adapters apart where their rate is another.

        Raises:
            UserError: Something freezes them, or keeps what they change.
        """
        frontend = encoder_of(model)
        of_adapters: list[nn.Parameter] = []
        for number, layer in enumerate(frontend.hubert.encoder.layers, 1):
            parameters = [p for part in adapters_of(layer) for p in part.parameters()]
            of_adapters += parameters
            if not parameters:
                continue
            if not all(parameter.requires_grad for parameter in parameters):
                raise UserError(
                    f"The adapters of strategy: {self.name} in layer {number} are "
                    "frozen by freeze_param or by another strategy: take that out; "
                    f"{self.name} itself freezes the encoder."
                )
            if (frontend.highest_reused or 0) >= number:
                raise UserError(
                    f"The adapters of strategy: {self.name} are in layer {number}, "
                    "whose states are computed once and kept: set reuse_frozen to "
                    "false in frontend_conf, or freeze fewer layers there."
                )
        return None if self.lr is None else at_rate(model, of_adapters, self.lr)

    def on_step(self, model: nn.Module, step: int) -> None:
        """Set the adapters to training mode, also in layers that are frozen."""
        for adapters in adapters_of(encoder_of(model)):
            adapters.train()

    def to_store(self, model: nn.Module) -> Collection[str] | None:
        """Return all names but those of the encoder's frozen weights, if asked for."""
        if self.save_strategy == "all":
            return None
        fixed = {
            id(parameter)
            for parameter in encoder_of(model).hubert.parameters()
            if not parameter.requires_grad
        }
        state = model.state_dict(keep_vars=True)
        return [name for name, tensor in state.items() if id(tensor) not in fixed]


def _name_in(linear: Collection[str], target: str) -> str:
    """Return a target's name among an encoder's linear layers."""
    place, dot, name = target.rpartition(".")
    is_known = any(layer.endswith(f".{name}") for layer in linear)
    return target if is_known else f"{place}{dot}{LINEAR_LAYERS.get(name, name)}"


def adapters_of(module: nn.Module) -> list[nn.ModuleDict]:
    """Return the adapters of each linear layer that has some."""
    return [m.adapters for m in module.modules() if isinstance(m, AdaptedLinear)]


def pretrained_parameters(hubert: nn.Module) -> dict[str, nn.Parameter]:
    """Return an encoder's parameters by name, those of adapters left out."""
    return {n: p for n, p in hubert.named_parameters() if ".adapters." not in n}
