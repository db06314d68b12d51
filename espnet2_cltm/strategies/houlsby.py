"""Houlsby adapters (arXiv:1902.00751): bottlenecks behind a frozen encoder's sublayers.

Behind the projection back of self-attention and of the feed-forward network, before the
residual connection, comes ``y + W_up gelu(W_down y)``. ``W_up`` starts at zero, so that
training starts from the encoder's own outputs.
"""

from collections.abc import Sequence

import torch
from torch import nn

from espnet2_cltm.strategies.adapters import Adapters
from espnet2_cltm.strategies.strategy import is_whole, require


class Bottleneck(nn.Module):
    """What an adapter adds to a layer's output.

    Args:
        size: Size of the output.
        bottleneck: Size between the two projections.
    """

    def __init__(self, size: int, bottleneck: int):
        super().__init__()
        self.down = nn.Linear(size, bottleneck)
        self.up = nn.Linear(bottleneck, size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, input: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Map the layer's output, (..., size), to (..., size)."""
        return self.up(nn.functional.gelu(self.down(output)))


class Houlsby(Adapters):
    """Train bottlenecks in the transformer's layers, and what follows the encoder.

    Args:
        bottleneck: Size between an adapter's two projections.
        target_modules: See :class:`.Adapters`.
        save_strategy: See :class:`.Adapters`.
        lr: See :class:`.Adapters`.

    Raises:
        UserError: An option has a value that it cannot have.
    """

    name = "houlsby"

    def __init__(
        self,
        bottleneck: int = 32,
        target_modules: Sequence[str] = ("out_proj", "output_dense"),
        save_strategy: str = "all",
        lr: float | None = None,
    ):
        super().__init__(target_modules, save_strategy, lr)
        wanted = "a whole number from 1 on"
        require(is_whole(bottleneck, 1), "bottleneck", bottleneck, wanted)
        self.bottleneck = bottleneck

    def adapter(self, linear: nn.Linear) -> nn.Module:
        """Draw the adapter of a linear layer."""
        return Bottleneck(linear.out_features, self.bottleneck)
