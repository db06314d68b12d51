"""The steps of an encoder's forward pass, one by one, and the precision they are in.

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
from typing import Any

import torch
from torch import nn
from transformers import masking_utils

from espnet2_cltm.errors import require_known
from espnet2_cltm.frontend.convolutions import MaskedBatchNorm
from espnet2_cltm.frontend.families import Encoder, norm_of_transformer

AUTOCAST_CHOICES = ("none", "bfloat16")


def check_autocast(autocast: str) -> None:
    """Check the name of a precision.

    Raises:
        UserError: ``autocast`` is not one of :data:`AUTOCAST_CHOICES`.
    """
    require_known("autocast", autocast, AUTOCAST_CHOICES, "in model_conf")


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
    encoder: Encoder,
    features: torch.Tensor,
    frame_mask: torch.Tensor | None,
    mask_time_indices: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return hidden state 0: projection, SpecAugment, positions.

    Args:
        encoder: The encoder.
        features: (batch, frames, channels), output of the convolutions.
        frame_mask: (batch, frames) bool, true on valid frames; None where all are.
        mask_time_indices: (batch, frames) bool, frames to mask while training in
            place of those that SpecAugment draws.
    """
    transformer = encoder.encoder
    # Most families return the projection's input beside it.
    state = _first(encoder.feature_projection(features))
    state = encoder._mask_hidden_states(state, mask_time_indices=mask_time_indices)
    if frame_mask is not None:
        state = state.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
    if hasattr(transformer, "pos_conv_embed"):
        state = state + _positions(transformer.pos_conv_embed, state, frame_mask)
    norm = norm_of_transformer(encoder, behind=False)
    return transformer.dropout(state if norm is None else norm(state))


def _first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def _positions(
    embed: nn.Module, state: torch.Tensor, frame_mask: torch.Tensor | None
) -> torch.Tensor:
    """Return the convolution's positional embeddings, on a CPU always in 32 bits.

    In bfloat16, PyTorch 2.13 with oneDNN on CPUs with AMX gives wrong values where a
    group has 8 channels: errors as large as the values themselves.
    """
    norm = getattr(embed, "batch_norm", None)
    if isinstance(norm, MaskedBatchNorm):
        norm.frame_mask = frame_mask
    if state.device.type != "cpu":
        return _convolve(embed, state, frame_mask)
    with torch.autocast("cpu", enabled=False):
        return _convolve(embed, state.float(), frame_mask)


def _convolve(
    embed: nn.Module, state: torch.Tensor, frame_mask: torch.Tensor | None
) -> torch.Tensor:
    """Apply one positional convolution, or several that do not see padding."""
    if not hasattr(embed, "layers"):
        return embed(state)
    channels = state.transpose(1, 2)
    for layer in embed.get_submodule("layers").children():
        channels = layer(channels)
        if frame_mask is not None:
            channels = channels.masked_fill(~frame_mask.unsqueeze(1), 0.0)
    return channels.transpose(1, 2)


def states_above(
    encoder: Encoder,
    state: torch.Tensor,
    first: int,
    frame_mask: torch.Tensor | None,
    last: int | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the hidden states above one of them, from the bottom.

    Layer drop leaves out layers only where they are in training mode.

    Args:
        encoder: The encoder.
        state: (batch, frames, size), hidden state ``first``.
        first: Number of that state.
        frame_mask: (batch, frames) bool, true on valid frames; None where all are.
        last: Number of the last state to yield; by default the encoder's last, which
            is normalised where the encoder does that at its end.

    Yields:
        Hidden states ``first + 1`` to ``last``, each (batch, frames, size).
    """
    layers = encoder.encoder.layers
    shared = _shared_by_layers(encoder, state, frame_mask)
    norm = norm_of_transformer(encoder, behind=True)
    for number in range(first + 1, (len(layers) if last is None else last) + 1):
        layer = layers[number - 1]
        if not _is_dropped(layer, encoder.config.layerdrop):
            state = _first(layer(state, **shared))
        is_normalised = number == len(layers) and norm is not None
        yield norm(state) if is_normalised else state


def _shared_by_layers(
    encoder: Encoder, state: torch.Tensor, frame_mask: torch.Tensor | None
) -> dict[str, Any]:
    """Return what every layer is given beside the state: masks and positions."""
    transformer = encoder.encoder
    batch, n_frames, _ = state.shape
    attention: Any = getattr(transformer.layers[0], "attention", None)
    if hasattr(attention, "rel_attn_embed"):  # WavLM's first layer has it for all
        bias = attention.compute_bias(n_frames, n_frames).repeat(batch, 1, 1)
        return {"attention_mask": frame_mask, "position_bias": bias}
    shared: dict[str, Any] = {
        "attention_mask": _attention_mask(encoder.config, state, frame_mask)
    }
    if hasattr(transformer, "embed_positions"):
        positions = None
        if transformer.embed_positions is not None:
            # It keeps what it has computed, on which training could not build else.
            with torch.inference_mode(False):
                positions = transformer.embed_positions(state)
        shared["relative_position_embeddings"] = positions
        shared["conv_attention_mask"] = frame_mask
    return shared


def _attention_mask(
    config: Any, state: torch.Tensor, frame_mask: torch.Tensor | None
) -> Any:
    """Return the mask of (batch, 1, frames, frames), as transformers makes it."""
    if hasattr(masking_utils, "create_bidirectional_mask"):
        return masking_utils.create_bidirectional_mask(config, state, frame_mask)
    # Before transformers 5 each model made it: what is added to the attention's logits.
    if frame_mask is None:
        return None
    beyond = ~frame_mask[:, None, None, :].expand(-1, 1, state.shape[1], -1)
    lowest = torch.finfo(state.dtype).min
    return state.new_zeros(beyond.shape).masked_fill(beyond, lowest)


def _is_dropped(layer: nn.Module, probability: float) -> bool:
    if not layer.training or probability <= 0.0:
        return False
    return bool(torch.rand([]) < probability)
