"""Plain closed-set speaker identification: a linear layer and cross-entropy.

ESPnet's ``softmax`` normalises embeddings and weights and has no scale, so its logits
lie between -1 and 1 and it learns slowly; the published speaker models end in an
ordinary linear layer (arXiv:2603.08231).
"""

import torch
from espnet2.spk.loss.abs_loss import AbsLoss


class CrossEntropy(AbsLoss):
    """Linear classifier of speakers, trained with cross-entropy.

    Args:
        nout: Size of the embeddings.
        nclasses: Number of speakers.
    """

    def __init__(self, nout: int, nclasses: int):
        super().__init__(nout)
        self.classifier = torch.nn.Linear(nout, nclasses)

    def forward(
        self, x: torch.Tensor, label: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the loss of a batch.

        Args:
            x: (batch, size) embeddings.
            label: (batch,) speaker indices.

        Returns:
            The loss, the share of speakers identified, and the (batch,) guesses.
        """
        logits = self.classifier(x)
        guesses = logits.argmax(dim=1)
        loss = torch.nn.functional.cross_entropy(logits, label)
        return loss, (guesses == label).float().mean(), guesses
