"""What the frozen part of an encoder gives for an utterance, computed once and kept.

An experiment trains on an utterance in dozens of runs and tests on another in
hundreds; what lies below the first trained layer gives the same every time. It is
computed for each utterance alone, so that it does not depend on what else is in a
batch, and found again by the waveform itself: crops, other speeds and equal ids in
two corpora are told apart. It is kept in the process's memory, across models of one
checkpoint, where the model is (on a GPU in the GPU's memory).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from espnet2_cltm.corpus.bounded_cache import BoundedCache

_kept: BoundedCache[torch.Tensor] = BoundedCache(500_000_000)


def keep_frozen_states(max_bytes: int) -> None:
    """Set how much memory kept states may take, and forget those there are.

    Args:
        max_bytes: 0 keeps nothing; the default is 500 MB.
    """
    global _kept
    _kept = BoundedCache(max_bytes)


class FrozenStates:
    """Frozen outputs of utterances, by waveform.

    Args:
        frozen: The modules that make them, in evaluation mode and without gradient.
            Other weights in them give other entries.
    """

    def __init__(self, frozen: Sequence[nn.Module]):
        self._frozen = frozen
        self._weights: bytes | None = None
        for module in frozen:
            module.register_load_state_dict_post_hook(self._forget_weights)

    def get(
        self,
        waveform: torch.Tensor,
        what: str,
        make: Callable[[], tuple[torch.Tensor, ...]],
    ) -> tuple[torch.Tensor, ...]:
        """Give an utterance's frozen outputs.

        Args:
            waveform: (samples,) the utterance alone, not padded.
            what: Tells apart what can be made of a waveform.
            make: Makes it.
        """
        if self._weights is None:
            self._weights = _digest(
                tensor
                for module in self._frozen
                for tensor in module.state_dict().values()
            )
        key = (_digest([waveform]), what, str(waveform.device), self._weights)
        return _kept.get(key, make)

    def _forget_weights(self, *_: object) -> None:
        self._weights = None


def _digest(tensors: Iterable[torch.Tensor]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        # As bytes: numpy has no bfloat16.
        data = tensor.detach().cpu().reshape(-1).view(torch.uint8)
        digest.update(data.numpy().tobytes())
    return digest.digest()
