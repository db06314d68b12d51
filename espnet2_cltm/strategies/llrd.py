"""Layer-wise learning-rate decay: the lower a layer, the smaller its steps.

What follows the encoder learns at the full rate, the highest of L transformer layers at
``decay`` times that, the next at ``decay**2`` times, and what lies below the first
layer at ``decay**(L + 1)`` times (as in ELECTRA, arXiv:2003.10555, and BEiT).
"""

from typing import Any

from torch import nn

from espnet2_cltm.frontend.families import norm_of_transformer
from espnet2_cltm.strategies.strategy import Strategy, encoder_of, is_number, require


class Llrd(Strategy):
    """Train everything, lower layers at lower rates.

    Args:
        decay: Factor from a layer's learning rate to that of the layer below.

    Raises:
        UserError: It is not above 0, or above 1.
    """

    def __init__(self, decay: float = 0.8):
        require(
            is_number(decay) and 0 < decay <= 1, "decay", decay, "above 0 and at most 1"
        )
        self.decay = decay

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return a group for each layer, for what is below them, and for the rest."""
        hubert = encoder_of(model).hubert
        depth = len(hubert.encoder.layers)
        height = dict.fromkeys(hubert.parameters(), 0)
        for number, layer in enumerate(hubert.encoder.layers, 1):
            height.update(dict.fromkeys(layer.parameters(), number))
        norm = norm_of_transformer(hubert, behind=True)
        if norm is not None:
            height.update(dict.fromkeys(norm.parameters(), depth))
        groups: dict[int, list[nn.Parameter]] = {}
        for parameter in model.parameters():
            groups.setdefault(height.get(parameter, depth + 1), []).append(parameter)
        return [
            {"params": parameters, "lr_scale": self.decay ** (depth + 1 - number)}
            for number, parameters in groups.items()
        ]
