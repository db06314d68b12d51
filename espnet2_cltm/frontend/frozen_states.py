"""The frozen part of an encoder: which modules it is, and what it gives, computed once.

An experiment trains on an utterance in dozens of runs and tests on another in hundreds;
what lies below the first trained layer gives the same every time. It is computed for
each utterance alone, so that it does not depend on what else is in a batch, and found
again by the waveform itself: crops, other speeds and equal ids in two corpora are told
apart. It is kept in the process's memory, across models of one checkpoint, where the
model is (on a GPU in the GPU's memory).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from espnet2_cltm.corpus.bounded_cache import BoundedCache
from espnet2_cltm.frontend.families import (
    Encoder,
    has_convolutions,
    norm_of_transformer,
)

CONVOLUTIONS = -1
"""Stands for what the convolutions give, or log-mel features, below hidden state 0."""

_kept: BoundedCache[torch.Tensor] = BoundedCache(500_000_000)


def keep_frozen_states(max_bytes: int) -> None:
    """Set how much memory kept states may take, and forget those there are.

    Args:
        max_bytes: Most bytes; 0 keeps nothing, the default is 500 MB.
    """
    global _kept
    _kept = BoundedCache(max_bytes)


@contextmanager
def without_frozen_states() -> Iterator[None]:
    """Compute frozen parts anew within a ``with``, and keep what is kept as it is."""
    global _kept
    kept, _kept = _kept, BoundedCache(0)
    try:
        yield
    finally:
        _kept = kept


def frozen_modules(encoder: Encoder, highest: int) -> list[nn.Module]:
    """Return the modules that make the hidden states up to one of them.

    Args:
        encoder: The encoder.
        highest: Number of the highest state, or :data:`CONVOLUTIONS`.
    """
    config, transformer = encoder.config, encoder.encoder
    convolutions = [encoder.feature_extractor] if has_convolutions(config) else []
    if highest == CONVOLUTIONS:
        return convolutions
    if highest == config.num_hidden_layers:
        return [encoder]
    optional = (
        getattr(transformer, "pos_conv_embed", None),
        norm_of_transformer(encoder, behind=False),
    )
    return [
        *convolutions,
        encoder.feature_projection,
        transformer.dropout,
        *transformer.layers[:highest],
        *(module for module in optional if module is not None),
    ]


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
        """Return an utterance's frozen outputs.

        Args:
            waveform: (samples,) the utterance alone, not padded.
            what: Which of its outputs.
            make: Function that computes them where they are not kept.
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
