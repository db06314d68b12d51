"""Linear projection of utterance vectors, the published gender head's first half."""

import torch
from espnet2.spk.projector.abs_projector import AbsProjector


class LinearProjector(AbsProjector):
    """One linear layer.

    Args:
        input_size: Size of the pooled vector.
        output_size: Size of the projection; 256 in arXiv:2603.08231.
    """

    def __init__(self, input_size: int, output_size: int = 256):
        super().__init__()
        self.linear = torch.nn.Linear(input_size, output_size)

    def output_size(self) -> int:
        """Give the size of the projection."""
        return self.linear.out_features

    def forward(self, utt_embd: torch.Tensor) -> torch.Tensor:
        """Project (batch, input_size) to (batch, output_size)."""
        return self.linear(utt_embd)
