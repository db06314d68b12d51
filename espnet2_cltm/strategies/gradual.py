"""Gradual unfreezing: the head alone, then the encoder, layer by layer from the top.

``freeze_finetune_updates`` is fairseq's option: for so many updates the whole encoder
is frozen. Then its layers join in, and after the lowest what is below it, the
convolutions last (as in ULMFiT, arXiv:1801.06146).
"""

import torch
from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.frozen_states import CONVOLUTIONS
from espnet2_cltm.strategies.strategy import Strategy, encoder_of, is_whole, require


class Gradual(Strategy):
    """Train what follows the encoder first, and more and more of the encoder.

    Nothing is kept in memory but what ``frontend_conf`` asks to be.

    Args:
        freeze_finetune_updates: Number of updates in which the encoder is frozen.
        unfreeze_every: Number of updates between a layer and the next; 0 trains all
            at once.

    Raises:
        UserError: One of them is not a whole number from 0 on.
    """

    reuse_frozen = False

    def __init__(self, freeze_finetune_updates: int = 20, unfreeze_every: int = 20):
        for name, value in (
            ("freeze_finetune_updates", freeze_finetune_updates),
            ("unfreeze_every", unfreeze_every),
        ):
            require(is_whole(value, 0), name, value, "a whole number from 0 on")
        self.freeze_finetune_updates = freeze_finetune_updates
        self.unfreeze_every = unfreeze_every
        self._update = 0

    def frozen_prefix(self, model: nn.Module) -> int | None:
        """Return the highest hidden state that is still fixed."""
        depth = encoder_of(model).hubert.config.num_hidden_layers
        since = self._update - self.freeze_finetune_updates
        if since < 0:
            return depth
        if self.unfreeze_every == 0:
            return None
        highest = depth - 1 - since // self.unfreeze_every
        return highest if highest >= CONVOLUTIONS else None

    def on_epoch(self, model: nn.Module, epoch: int) -> None:
        """Refuse several GPUs, which would not exchange what joins in later.

        Raises:
            UserError: There are several.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            raise UserError(
                "strategy: gradual trains on one GPU: set ngpu to 1, or choose another "
                "strategy."
            )

    def on_step(self, model: nn.Module, step: int) -> None:
        """Note how far the training is."""
        self._update = step
