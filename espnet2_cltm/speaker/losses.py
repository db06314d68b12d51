"""Losses of speaker training beside ESPnet's: of speakers and of pairs."""

from collections.abc import Sequence

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


class PairLoss(AbsLoss):
    """Base of the losses of pairs: (2, pairs, size) embeddings, and who spoke them."""


class ContrastiveLoss(PairLoss):
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


class PairMlp(PairLoss):
    """A network that scores pairs of embeddings, trained with binary cross-entropy.

    It takes ``[|a - b|, a * b]`` of two L2-normalised embeddings, through linear layers
    with ReLU and dropout, to one score: the logarithm of the odds that one person spoke
    both, where half of the pairs are of one. As in the published speech LLM system
    (arXiv:2603.08231), where the embeddings are frozen.

    Args:
        nout: Size of the embeddings.
        nclasses: Number of speakers; unused, part of ESPnet's interface.
        hidden_sizes: Sizes of the hidden layers.
        dropout_rate: Dropout behind each of them.
    """

    def __init__(
        self,
        nout: int,
        nclasses: int | None = None,
        hidden_sizes: Sequence[int] = (512, 256),
        dropout_rate: float = 0.1,
    ):
        super().__init__(nout)
        layers: list[torch.nn.Module] = []
        size = 2 * nout
        for hidden in hidden_sizes:
            layers += [torch.nn.Linear(size, hidden), torch.nn.ReLU()]
            layers.append(torch.nn.Dropout(dropout_rate))
            size = hidden
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(size, 1))

    def score(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Score (pairs, size) embeddings of unit length against others: (pairs,)."""
        sides = torch.cat([(first - second).abs(), first * second], dim=1)
        return self.layers(sides).squeeze(1)

    def forward(
        self, x: torch.Tensor, label: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the loss of pairs.

        Args:
            x: (2, pairs, size) embeddings, not normalised.
            label: (pairs,) 1 where both utterances are by one speaker, else 0.

        Returns:
            The loss, the share of pairs on the right side of 0, and the (pairs,)
            decisions.
        """
        scores = self.score(*torch.nn.functional.normalize(x, dim=-1))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            scores, label.to(scores.dtype)
        )
        decisions = (scores > 0).long()
        return loss, (decisions == label).float().mean(), decisions
