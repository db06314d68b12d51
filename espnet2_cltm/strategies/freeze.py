"""A part of the encoder, from the waveform up, stays as it was pretrained."""

from typing import Any

from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.frozen_states import CONVOLUTIONS
from espnet2_cltm.strategies.strategy import Strategy, at_rate, encoder_of, require_rate


class Freeze(Strategy):
    """Train the upper part of the encoder and what follows it.

    Args:
        part: ``cnn``, the convolutions; ``all``, the whole encoder; or the number of
            transformer layers that are frozen together with everything below them.
        reuse: Whether what is frozen is computed once for each utterance and kept in
            memory. SpecAugment is then off where layers are frozen.
        lr: Learning rate of what follows the encoder; None takes that of
            ``optim_conf``. It starts from nothing, and a rate that pretrained weights
            can bear teaches it little.

    Raises:
        UserError: ``part`` is none of these, or ``lr`` is not above 0.
    """

    def __init__(
        self, part: str | int = "cnn", reuse: bool = True, lr: float | None = None
    ):
        is_number = isinstance(part, int) and not isinstance(part, bool) and part >= 1
        if part not in ("cnn", "all") and not is_number:
            raise UserError(
                f"part: {part} in strategy_conf is unknown: give cnn, all or a number "
                "of transformer layers from 1 on."
            )
        self.part = part
        self.reuse_frozen = reuse
        require_rate(lr)
        self.lr = lr

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

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]] | None:
        """Return what follows the encoder apart where its rate is another."""
        if self.lr is None:
            return None
        of_encoder = set(encoder_of(model).parameters())
        head = [one for one in model.parameters() if one not in of_encoder]
        return at_rate(model, head, self.lr)
