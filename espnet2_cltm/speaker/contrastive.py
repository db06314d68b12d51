"""Contrastive loss on pairs of utterances, for Siamese training.

R. Hadsell, S. Chopra, Y. LeCun, Dimensionality reduction by learning an invariant
mapping, CVPR 2006, eq. 4: pairs of one speaker are drawn together, pairs of two
speakers are pushed apart until their distance is the margin. Distances are Euclidean,
between L2-normalised embeddings, so they lie between 0 and 2.
"""

import torch
from espnet2.spk.loss.abs_loss import AbsLoss

from espnet2_cltm.errors import UserError


class ContrastiveLoss(AbsLoss):
    """Mean of d² over target pairs and max(0, margin - d)² over the others.

    Args:
        nout: Size of the embeddings; not needed, ESPnet's interface.
        nclasses: Number of speakers; not needed, ESPnet's interface.
        margin: Distance from which two speakers' utterances are left alone.

    Raises:
        UserError: The margin is out of range.
    """

    def __init__(self, nout: int, nclasses: int | None = None, margin: float = 1.0):
        super().__init__(nout)
        if not 0 < margin <= 2:
            raise UserError(
                f"loss_conf: margin: {margin} must lie above 0 and not above 2, the "
                "largest distance of normalised embeddings."
            )
        self.margin = margin

    def forward(
        self, x: torch.Tensor, label: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the loss of pairs.

        Args:
            x: (2, pairs, size) embeddings, not normalised.
            label: (pairs,) 1 where both are one speaker's, else 0.

        Returns:
            The loss, the share of pairs on their side of half the margin, and the
            (pairs,) decisions.
        """
        first, second = torch.nn.functional.normalize(x, dim=-1)
        squared = (first - second).square().sum(dim=-1)
        # The root's gradient is infinite at 0, where two utterances are the same.
        distance = (squared + 1e-12).sqrt()
        is_target = label.bool()
        loss = torch.where(
            is_target, squared, (self.margin - distance).clamp(min=0).square()
        ).mean()
        decisions = distance < self.margin / 2
        return loss, (decisions == is_target).float().mean(), decisions.long()
