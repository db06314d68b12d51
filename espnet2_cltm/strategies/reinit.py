"""The encoder's highest layers are drawn anew before training.

They are the most specialised on what was pretrained; drawn anew they help recognition
of languages with little data (Pasad et al., arXiv:2107.04734).
"""

from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.strategies.strategy import Strategy, encoder_of, is_whole, require


class Reinit(Strategy):
    """Train everything, the highest transformer layers from new weights.

    Args:
        layers: Number of layers that are drawn.

    Raises:
        UserError: It is not a whole number from 1 on.
    """

    def __init__(self, layers: int = 1):
        require(is_whole(layers, 1), "layers", layers, "a whole number from 1 on")
        self.layers = layers

    def prepare(self, model: nn.Module) -> None:
        """Draw the layers, as transformers draws those of a new encoder.

        Raises:
            UserError: The encoder has fewer.
        """
        hubert = encoder_of(model).hubert
        depth = hubert.config.num_hidden_layers
        if self.layers > depth:
            raise UserError(
                f"layers: {self.layers} in strategy_conf is more than this encoder's "
                f"{depth} transformer layers: lower it."
            )
        for layer in hubert.encoder.layers[-self.layers :]:
            # Of a new layer: transformers leaves weights alone that it has loaded.
            drawn = type(layer)(hubert.config).apply(hubert._init_weights)
            layer.load_state_dict(drawn.state_dict(), strict=False)  # adapters stay
