"""Batch norm for batches of one.

PyTorch refuses to train a batch norm on a single value per channel, as after pooling
with a batch of one, or in the last batch of an epoch. Such a step has no variance of
its own: here it is normalised by the running statistics, and leaves them as they are.
"""

import torch
from torch import nn


class SingleValueBatchNorm1d(nn.BatchNorm1d):
    """:class:`torch.nn.BatchNorm1d` that takes a single value per channel."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, channels) or (batch, channels, time)."""
        if self.training and input.numel() == input.shape[1]:
            return nn.functional.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=False,
                eps=self.eps,
            )
        return super().forward(input)


def accept_single_values(model: nn.Module) -> None:
    """Turn a model's one-dimensional batch norms into ones that take a single value.

    Parameters, buffers and their names stay.
    """
    for module in model.modules():
        if type(module) is nn.BatchNorm1d:
            module.__class__ = SingleValueBatchNorm1d
