"""A part of the encoder, from the waveform up, stays as it was pretrained."""

from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.frozen_states import CONVOLUTIONS
from espnet2_cltm.strategies.strategy import Strategy, encoder_of


class Freeze(Strategy):
    """Train the upper part of the encoder and what follows it.

    Args:
        part: ``cnn``, the convolutions; ``all``, the whole encoder; or the number of
            transformer layers that are frozen together with everything below them.
        reuse: Whether what is frozen is computed once for each utterance and kept in
            memory. SpecAugment is then off where layers are frozen.

    Raises:
        UserError: ``part`` is none of these.
    """

    def __init__(self, part: str | int = "cnn", reuse: bool = True):
        is_number = isinstance(part, int) and not isinstance(part, bool) and part >= 1
        if part not in ("cnn", "all") and not is_number:
            raise UserError(
                f"part: {part} in strategy_conf is unknown: give cnn, all or a number "
                "of transformer layers from 1 on."
            )
        self.part = part
        self.reuse_frozen = reuse

    def frozen_prefix(self, model: nn.Module) -> int | None:
        """Return the number of the highest hidden state below the trained part.

        Raises:
            UserError: The encoder has fewer layers.
        """
        depth = encoder_of(model).hubert.config.num_hidden_layers
        if isinstance(self.part, str):
            return CONVOLUTIONS if self.part == "cnn" else depth
        if self.part > depth:
            raise UserError(
                f"part: {self.part} in strategy_conf is more than this encoder's "
                f"{depth} transformer layers: lower it."
            )
        return self.part
