"""L2-SP (arXiv:1802.01483): the encoder is pulled towards its pretrained weights.

``weight / 2 * ||w - w_pretrained||^2`` over the encoder's trained weights is added to
the loss, in place of the optimiser's weight decay, which would pull them towards zero.
What follows the encoder keeps that plain decay.
"""

from typing import Any

import torch
from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.strategies.adapters import pretrained_parameters
from espnet2_cltm.strategies.strategy import Strategy, encoder_of, is_number, require


class L2sp(Strategy):
    """Train everything, the encoder not far from where it started.

    Args:
        weight: Strength of the pull; 0 leaves everything as in ``full``.

    Raises:
        UserError: It is not a number from 0 on.
    """

    def __init__(self, weight: float = 0.01):
        is_valid = is_number(weight) and weight >= 0
        require(is_valid, "weight", weight, "a number from 0 on")
        self.weight = weight
        self._pretrained: dict[str, torch.Tensor] = {}

    def prepare(self, model: nn.Module) -> None:
        """Remember the pretrained weights."""
        if self.weight > 0:
            named = pretrained_parameters(encoder_of(model).hubert)
            self._pretrained = {n: p.detach().clone() for n, p in named.items()}

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]] | None:
        """Return a group without weight decay for what is pulled, and the rest.

        Raises:
            UserError: Nothing of the encoder is trained.
        """
        if self.weight == 0:
            return None
        pulled = set(self._pulled(model).values())
        if not pulled:
            raise UserError(
                "strategy: l2sp has nothing to pull, as the whole encoder is frozen: "
                "freeze less, or choose another strategy."
            )
        rest = [p for p in model.parameters() if p not in pulled]
        own = [p for p in model.parameters() if p in pulled]
        return [{"params": own, "weight_decay": 0.0}, {"params": rest}]

    def penalty(self, model: nn.Module) -> torch.Tensor | None:
        """Return half the weighted squared distance from the pretrained weights."""
        if self.weight == 0:
            return None
        squares = []
        for name, parameter in self._pulled(model).items():
            pretrained = self._pretrained[name].to(parameter.device)
            self._pretrained[name] = pretrained  # moved once
            squares.append((parameter - pretrained).square().sum())
        return self.weight / 2 * torch.stack(squares).sum()

    def _pulled(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Return the encoder's trained parameters by name."""
        named = pretrained_parameters(encoder_of(model).hubert)
        return {name: p for name, p in named.items() if p.requires_grad}
