"""From a projected utterance vector to the logits of the classes."""

from abc import ABC, abstractmethod

import torch


class AbsClassifier(torch.nn.Module, ABC):
    """What the label task's ``classifier`` choices have in common."""

    @abstractmethod
    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Map (batch, input_size) to logits (batch, n_classes)."""


class LinearClassifier(AbsClassifier):
    """One linear layer, after dropout.

    Args:
        input_size: Size of the projected vector.
        n_classes: Number of classes.
        dropout: Probability of dropping an input while training.
    """

    def __init__(self, input_size: int, n_classes: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.linear = torch.nn.Linear(input_size, n_classes)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Map (batch, input_size) to logits (batch, n_classes)."""
        return self.linear(self.dropout(embedding))
