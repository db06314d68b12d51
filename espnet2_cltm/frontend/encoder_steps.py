"""The steps of a HuBERT's forward pass, one by one, and the precision they are in.

transformers runs its modules in one call. Taken apart, what is frozen can be computed
once and kept, layers above it run alone, and lengths are known without asking the GPU.
Hidden states are numbered as in transformers: 0 enters the first layer, k leaves the
k-th.

With ``model_conf: {autocast: bfloat16}`` a model's encoder runs under PyTorch's
autocast, in training and in prediction: weights, their gradients and what follows the
encoder stay float32, and no loss is scaled, for bfloat16 has the range of float32.
ESPnet's own ``use_amp`` covers training alone, scales the loss, and does nothing on a
CPU.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from transformers import HubertModel
from transformers.masking_utils import create_bidirectional_mask

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.convolutions import MaskedBatchNorm

AUTOCAST_CHOICES = ("none", "bfloat16")


def check_autocast(autocast: str) -> None:
    """Check the name of a precision.

    Raises:
        UserError: ``autocast`` is not one of :data:`AUTOCAST_CHOICES`.
    """
    if autocast not in AUTOCAST_CHOICES:
        raise UserError(
            f"autocast: {autocast} in model_conf is unknown: give one of "
            f"{', '.join(AUTOCAST_CHOICES)}."
        )


def encoder_precision(
    autocast: str, device: torch.device
) -> AbstractContextManager[None]:
    """Return the context in which an encoder is called.

    Args:
        autocast: One of :data:`AUTOCAST_CHOICES`; ``none`` leaves the precision to
            whoever calls the model.
        device: Device of the encoder.
    """
    if autocast == "none":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def enter_transformer(
    hubert: HubertModel,
    features: torch.Tensor,
    frame_mask: torch.Tensor | None,
    mask_time_indices: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return hidden state 0: projection, SpecAugment, positions.

    Args:
        hubert: The encoder.
        features: (batch, frames, channels), output of the convolutions.
        frame_mask: (batch, frames) bool, true on valid frames; None where all are.
        mask_time_indices: (batch, frames) bool, frames to mask while training in
            place of those that SpecAugment draws.
    """
    encoder = hubert.encoder
    state = hubert.feature_projection(features)
    state = hubert._mask_hidden_states(state, mask_time_indices=mask_time_indices)
    if frame_mask is not None:
        state = state.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
    state = state + _positions(hubert, state, frame_mask)
    if not hubert.config.do_stable_layer_norm:
        state = encoder.layer_norm(state)
    return encoder.dropout(state)


def _positions(
    hubert: HubertModel, state: torch.Tensor, frame_mask: torch.Tensor | None
) -> torch.Tensor:
    """Return the convolution's positional embeddings, on a CPU always in 32 bits.

    In bfloat16, PyTorch 2.13 with oneDNN on CPUs with AMX gives wrong values where a
    group has 8 channels: errors as large as the values themselves.
    """
    embed = hubert.encoder.pos_conv_embed
    norm = getattr(embed, "batch_norm", None)
    if isinstance(norm, MaskedBatchNorm):
        norm.frame_mask = frame_mask
    if state.device.type != "cpu":
        return embed(state)
    with torch.autocast("cpu", enabled=False):
        return embed(state.float())


def states_above(
    hubert: HubertModel,
    state: torch.Tensor,
    first: int,
    frame_mask: torch.Tensor | None,
    last: int | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the hidden states above one of them, from the bottom.

    Layer drop leaves out layers only where they are in training mode.

    Args:
        hubert: The encoder.
        state: (batch, frames, size), hidden state ``first``.
        first: Number of that state.
        frame_mask: (batch, frames) bool, true on valid frames; None where all are.
        last: Number of the last state to yield; by default the encoder's last, which
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
