"""Losses of speaker training beside ESPnet's: cross-entropy and a contrastive one."""

import torch
from espnet2.spk.loss.abs_loss import AbsLoss

from espnet2_cltm.errors import UserError


class CrossEntropy(AbsLoss):
    """Linear classifier of speakers, trained with cross-entropy.

    The published speaker models end this way (arXiv:2603.08231). ESPnet's ``softmax``
    normalises embeddings and weights without a scale: its logits lie between -1 and 1,
    and it learns slowly.

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
            The loss, the share of speakers identified, and the (batch,) predictions.
        """
        logits = self.classifier(x)
        guesses = logits.argmax(dim=1)
        loss = torch.nn.functional.cross_entropy(logits, label)
        return loss, (guesses == label).float().mean(), guesses


class ContrastiveLoss(AbsLoss):
    """Mean of d² over target pairs and max(0, margin - d)² over the others.

    R. Hadsell, S. Chopra, Y. LeCun, Dimensionality reduction by learning an invariant
    mapping, CVPR 2006, eq. 4. Distances d are Euclidean, between L2-normalised
    embeddings, so they lie between 0 and 2.

    Args:
        nout: Size of the embeddings; unused, part of ESPnet's interface.
        nclasses: Number of speakers; unused, part of ESPnet's interface.
        margin: Distance beyond which utterances of two speakers add no loss.

    Raises:
        UserError: The margin is out of range.
    """

    def __init__(self, nout: int, nclasses: int | None = None, margin: float = 1.0):
        super().__init__(nout)
        if not 0 < margin <= 2:
            raise UserError(
                f"loss_conf: margin: {margin} must be above 0 and at most 2, the "
                "largest distance between normalised embeddings."
            )
        self.margin = margin

    def forward(
        self, x: torch.Tensor, label: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the loss of pairs.

        Args:
            x: (2, pairs, size) embeddings, not normalised.
            label: (pairs,) 1 where both utterances are by one speaker, else 0.

        Returns:
            The loss, the share of pairs on the right side of half the margin, and the
            (pairs,) decisions.
        """
        first, second = torch.nn.functional.normalize(x, dim=-1)
        squared = (first - second).square().sum(dim=-1)
        # The gradient of the square root is infinite at 0, for identical utterances.
        distance = (squared + 1e-12).sqrt()
        is_target = label.bool()
        loss = torch.where(
            is_target, squared, (self.margin - distance).clamp(min=0).square()
        ).mean()
        decisions = distance < self.margin / 2
        return loss, (decisions == is_target).float().mean(), decisions.long()
