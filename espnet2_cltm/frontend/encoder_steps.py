"""The steps of a HuBERT's forward pass, one by one, over transformers' own modules.

transformers runs them all in one call. Taken apart, what is frozen can be computed
once and kept, layers above it run alone, and lengths are known without asking the
GPU. Hidden states are numbered as in transformers: 0 enters the first layer, k
leaves the k-th.
"""

from collections.abc import Iterator

import torch
from torch import nn
from transformers import HubertModel
from transformers.masking_utils import create_bidirectional_mask


def enter_transformer(
    hubert: HubertModel,
    features: torch.Tensor,
    frame_mask: torch.Tensor | None,
    mask_time_indices: torch.Tensor | None = None,
) -> torch.Tensor:
    """Give hidden state 0: projection, SpecAugment, positions.

    Args:
        hubert: The encoder.
        features: (batch, frames, channels), what the convolutions give.
        frame_mask: (batch, frames) bool, true on valid frames; None where all are.
        mask_time_indices: (batch, frames) bool, frames to mask while training in
            place of those that SpecAugment draws.
    """
    encoder = hubert.encoder
    state = hubert.feature_projection(features)
    state = hubert._mask_hidden_states(state, mask_time_indices=mask_time_indices)
    if frame_mask is not None:
        state = state.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
    state = state + _positions(hubert, state)
    if not hubert.config.do_stable_layer_norm:
        state = encoder.layer_norm(state)
    return encoder.dropout(state)


def _positions(hubert: HubertModel, state: torch.Tensor) -> torch.Tensor:
    """Give the convolution's positional embeddings, on a CPU always in 32 bits.

    In bfloat16, PyTorch 2.13 with oneDNN on CPUs with AMX gives wrong values where a
    group has 8 channels: errors as large as the values themselves.
    """
    if state.device.type != "cpu":
        return hubert.encoder.pos_conv_embed(state)
    with torch.autocast("cpu", enabled=False):
        return hubert.encoder.pos_conv_embed(state.float())


def states_above(
    hubert: HubertModel,
    state: torch.Tensor,
    first: int,
    frame_mask: torch.Tensor | None,
    last: int | None = None,
) -> Iterator[torch.Tensor]:
    """Give the hidden states above one of them, from the bottom.

    Layer drop leaves out layers that are in training mode only.

    Args:
        hubert: The encoder.
        state: (batch, frames, size), hidden state ``first``.
        first: Its number.
        frame_mask: (batch, frames) bool, true on valid frames; None where all are.
        last: Number of the last state to give; by default the encoder's last, which
            is normalised where the encoder does that at its end.

    Yields:
        Hidden states ``first + 1`` to ``last``, each (batch, frames, size).
    """
    encoder, config = hubert.encoder, hubert.config
    depth = len(encoder.layers)
    attention_mask = create_bidirectional_mask(
        config=config, inputs_embeds=state, attention_mask=frame_mask
    )
    for number in range(first + 1, (depth if last is None else last) + 1):
        layer = encoder.layers[number - 1]
        if not _is_dropped(layer, config.layerdrop):
            state = layer(state, attention_mask=attention_mask)
        is_normalised = number == depth and config.do_stable_layer_norm
        yield encoder.layer_norm(state) if is_normalised else state


def _is_dropped(layer: nn.Module, probability: float) -> bool:
    if not layer.training or probability <= 0.0:
        return False
    return bool(torch.rand([]) < probability)
