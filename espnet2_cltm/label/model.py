"""The label model: frontend, pooling over time, projection, classifier.

Labels are integers in the order of the model's classes.
"""

from collections.abc import Sequence

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.spk.pooling.abs_pooling import AbsPooling
from espnet2.spk.projector.abs_projector import AbsProjector
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_cltm.frontend.encoder_steps import check_autocast, encoder_precision


class LinearClassifier(torch.nn.Module):
    """Dropout and one linear layer.

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


class LabelModel(AbsESPnetModel):
    """Model that predicts a label of speech, trained with cross-entropy.

    Args:
        frontend: Module from waveforms to frames.
        pooling: Module from (batch, size, frames) and lengths to one vector.
        projector: Module from that vector to a smaller one.
        classifier: Module from that vector to one logit per class.
        classes: Labels in the order of the logits.
        extract_feats_in_collect_stats: Whether ESPnet's ``collect_stats`` computes
            features; training needs no more than the lengths of the audio.
        autocast: Precision of the frontend, see
            :mod:`espnet2_cltm.frontend.encoder_steps`.

    Raises:
        UserError: The precision is not known.
    """

    def __init__(
        self,
        frontend: AbsFrontend,
        pooling: AbsPooling,
        projector: AbsProjector,
        classifier: torch.nn.Module,
        classes: Sequence[str],
        extract_feats_in_collect_stats: bool = False,
        autocast: str = "none",
    ):
        super().__init__()
        check_autocast(autocast)
        self.autocast = autocast
        self.frontend = frontend
        self.pooling = pooling
        self.projector = projector
        self.classifier = classifier
        self.classes = tuple(classes)
        self.extract_feats_in_collect_stats = extract_feats_in_collect_stats

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        label: torch.Tensor,
        **kwargs: object,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Compute the loss of a batch.

        Args:
            speech: (batch, samples) waveforms at 16 kHz.
            speech_lengths: (batch,) numbers of valid samples.
            label: (batch, 1) class indices.
            **kwargs: ``label_lengths`` and ``utt_id``, which ESPnet adds.

        Returns:
            Mean cross-entropy, statistics (``loss``, ``acc``), and the batch size
            as weight.
        """
        logits = self.logits(speech, speech_lengths)
        target = label.view(-1)
        loss = torch.nn.functional.cross_entropy(logits, target)
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        stats = {"loss": loss.detach(), "acc": accuracy}
        return force_gatherable((loss, stats, speech.shape[0]), loss.device)

    def logits(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return (batch, n_classes) logits in the order of the classes."""
        with encoder_precision(self.autocast, speech.device):
            feats, feats_lengths = self.frontend(speech, speech_lengths)
        frames = feats.float().transpose(1, 2)
        pooled = self.pooling(frames, feat_lengths=feats_lengths)
        return self.classifier(self.projector(pooled))

    def collect_feats(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, **kwargs: object
    ) -> dict[str, torch.Tensor]:
        """Return the frontend's features, for ESPnet's ``collect_stats``."""
        feats, feats_lengths = self.frontend(speech, speech_lengths)
        return {"feats": feats, "feats_lengths": feats_lengths}
