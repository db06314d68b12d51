"""A strategy of another package: only the highest transformer layer is trained."""

from torch import nn

from espnet2_cltm.strategies.strategy import Strategy, encoder_of


class Top(Strategy):
    """Train the highest layer of the encoder, and what follows it."""

    def frozen_prefix(self, model: nn.Module) -> int:
        """Return the number of the layer below the highest."""
        return encoder_of(model).hubert.config.num_hidden_layers - 1
