"""From a projected utterance vector to the logits of the two genders."""

from abc import ABC, abstractmethod

import torch

from espnet2_cltm.corpus.datadir import GENDERS


class AbsGenderClassifier(torch.nn.Module, ABC):
    """What the gender task's ``classifier`` choices have in common."""

    @abstractmethod
    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Map (batch, input_size) to logits (batch, 2) in the order of GENDERS."""


class LinearClassifier(AbsGenderClassifier):
    """One linear layer, after dropout.

    Args:
        input_size: Size of the projected vector.
        dropout: Probability of dropping an input while training.
    """

    def __init__(self, input_size: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.linear = torch.nn.Linear(input_size, len(GENDERS))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Map (batch, input_size) to logits (batch, 2) in the order of GENDERS."""
        return self.linear(self.dropout(embedding))
