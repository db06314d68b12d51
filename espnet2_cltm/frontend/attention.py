"""WavLM's attention by way of its own linear layers.

transformers hands the weights of the projections to one function of PyTorch. What is
put into a linear layer, such as an adapter, would then never be called.
"""

import torch
from torch import nn
from transformers.models.wavlm.modeling_wavlm import WavLMAttention


class ModularAttention(WavLMAttention):
    """WavLM's attention, equal but that it calls its projections as modules."""

    def torch_multi_head_self_attention(  # type: ignore[override]
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
        gated_position_bias: torch.Tensor,
        *_: object,
    ) -> tuple[torch.Tensor, None]:
        """Attend within (batch, frames, size), with a bias for each pair of frames."""
        batch, n_frames, _size = hidden_states.shape
        shape = batch, n_frames, self.num_heads, self.head_dim
        query, key, value = (
            projection(hidden_states).view(shape).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        bias = gated_position_bias.view(batch, self.num_heads, n_frames, n_frames)
        if attention_mask is not None:
            padding = ~attention_mask.bool()[:, None, None]
            bias = bias.masked_fill(padding, float("-inf"))
        attended = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias.to(query.dtype),
            dropout_p=self.dropout if self.training else 0.0,
        )
        joined = attended.transpose(1, 2).reshape(batch, n_frames, -1)
        return self.out_proj(joined), None


def use_modular_attention(encoder: nn.Module) -> None:
    """Make WavLM's attention call its projections; others do that already.

    Args:
        encoder: Encoder, changed in place; parameters and their names stay.
    """
    for module in encoder.modules():
        if isinstance(module, WavLMAttention):
            module.__class__ = ModularAttention
