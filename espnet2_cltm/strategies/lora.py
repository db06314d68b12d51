"""LoRA (Hu et al., arXiv:2106.09685): low-rank changes of a frozen encoder's weights.

A linear layer ``y = W x + b`` becomes ``y = W x + b + alpha / rank * B A x`` with ``A``
of ``rank`` rows and ``B`` of ``rank`` columns. ``A`` is drawn, ``B`` starts at zero, so
that training starts from the encoder's own outputs. ``W`` is never written to while
training or predicting; :func:`merge_lora` adds the product to it where a trained model
shall be without adapters.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from espnet2_cltm.strategies.adapters import AdaptedLinear, Adapters
from espnet2_cltm.strategies.strategy import is_number, is_whole, require


class LowRank(nn.Module):
    """What LoRA adds to a linear layer.

    Args:
        linear: The layer.
        rank: Rank of the change.
        scale: Factor of the change.
        dropout: Probability of dropping an input while training.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float, dropout: float):
        super().__init__()
        self.A = nn.Parameter(torch.empty(rank, linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def forward(self, input: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return what is added to the layer's output, (..., out_features)."""
        low = nn.functional.linear(self.dropout(input), self.A)
        return nn.functional.linear(low, self.B) * self.scale

    def change(self) -> torch.Tensor:
        """Return the (out_features, in_features) change of the layer's weight."""
        return self.scale * self.B @ self.A


class Lora(Adapters):
    """Train low-rank changes of the transformer's weights, and what follows it.

    Args:
        rank: Rank of a change.
        alpha: Numerator of its factor ``alpha / rank``.
        dropout_rate: Probability of dropping an adapter's input while training.
        target_modules: See :class:`.Adapters`.
        save_strategy: See :class:`.Adapters`.
        lr: See :class:`.Adapters`.

    Raises:
        UserError: An option has a value that it cannot have.
    """

    name = "lora"

    def __init__(
        self,
        rank: int = 8,
        alpha: float = 8,
        dropout_rate: float = 0.0,
        target_modules: Sequence[str] = ("q_proj", "v_proj"),
        save_strategy: str = "all",
        lr: float | None = None,
    ):
        super().__init__(target_modules, save_strategy, lr)
        require(is_whole(rank, 1), "rank", rank, "a whole number from 1 on")
        require(is_number(alpha) and alpha > 0, "alpha", alpha, "a number above 0")
        require(
            is_number(dropout_rate) and 0 <= dropout_rate < 1,
            "dropout_rate",
            dropout_rate,
            "a number from 0 on and below 1",
        )
        self.rank = rank
        self.scale = alpha / rank
        self.dropout = dropout_rate

    def adapter(self, linear: nn.Linear) -> nn.Module:
        """Draw the change of a linear layer."""
        return LowRank(linear, self.rank, self.scale, self.dropout)


def merge_lora(model: nn.Module) -> None:
    """Add a trained model's changes to the weights, and remove the adapters of LoRA."""
    for module in list(model.modules()):
        if not isinstance(module, AdaptedLinear):
            continue
        change = module.adapters.pop("lora") if "lora" in module.adapters else None
        if isinstance(change, LowRank):
            with torch.no_grad():
                module.weight += change.change()
        if not module.adapters:
            del module.adapters
            module.__class__ = nn.Linear  # type: ignore[assignment]
