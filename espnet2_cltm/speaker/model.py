"""The speaker model: ESPnet's, with embeddings that can be taken at several places.

Trained as closed-set speaker identification, or on pairs of utterances with a
contrastive loss; tested by the cosine between utterances' embeddings. An embedding is
the network's own (after the projector), its pooled frames, or the mean over time of
the mean of the encoder's last hidden states (arXiv:2603.08231).
"""

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.spk.encoder.identity_encoder import IdentityEncoder
from espnet2.spk.espnet_model import ESPnetSpeakerModel
from espnet2.spk.pooling.mean_pooling import MeanPooling
from espnet2.torch_utils.device_funcs import force_gatherable

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.encoder_steps import check_autocast, encoder_precision
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.speaker.batch_norm import accept_single_values
from espnet2_cltm.speaker.contrastive import ContrastiveLoss
from espnet2_cltm.speaker.embedding_settings import EmbeddingSettings


class SpeakerModel(ESPnetSpeakerModel):
    """ESPnet's speaker model that also trains with a batch of one.

    Args:
        frontend: Waveforms to frames; None where the encoder takes waveforms.
        specaug: Augments the frames in training, or None.
        normalize: Normalises the frames, or None.
        encoder: Frames to frames of another kind.
        pooling: Frames to one vector.
        projector: That vector to the embedding, or None.
        loss: Embeddings to a loss.
        embedding: What :meth:`embed` gives and how it is asked to be tested.
        autocast: Precision of a HuBERT and of the encoder, see
            :mod:`espnet2_cltm.frontend.encoder_steps`. Features of another kind are
            computed in 32 bits.

    Raises:
        UserError: The embedding needs what the model lacks, or there is no such
            precision.
    """

    def __init__(
        self,
        frontend: AbsFrontend | None,
        specaug: torch.nn.Module | None,
        normalize: torch.nn.Module | None,
        encoder: torch.nn.Module,
        pooling: torch.nn.Module,
        projector: torch.nn.Module | None,
        loss: torch.nn.Module,
        embedding: EmbeddingSettings,
        autocast: str = "none",
    ):
        super().__init__(
            frontend, specaug, normalize, encoder, pooling, projector, loss
        )
        if embedding.source == "hidden_layers":
            _check_hidden_layers(frontend, embedding.num_layers)
        check_autocast(autocast)
        self.autocast = autocast
        self.embedding = embedding
        self.mean_pooling = MeanPooling(0)
        accept_single_values(self)

    @property
    def ignores_padding(self) -> bool:
        """Tell whether an utterance's embedding is the same in a padded batch."""
        return isinstance(self.frontend, HubertFrontend) and (
            self.embedding.source == "hidden_layers"
            or isinstance(self.encoder, IdentityEncoder)
        )

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        spk_labels: torch.Tensor,
        speech2: torch.Tensor | None = None,
        speech2_lengths: torch.Tensor | None = None,
        **kwargs: object,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Compute the loss of a batch.

        Args:
            speech: (batch, samples) waveforms at 16 kHz.
            speech_lengths: (batch,) numbers of valid samples.
            spk_labels: (batch, 1) speaker indices; for pairs 1 where both are one
                speaker's, else 0.
            speech2: The other utterances of pairs.
            speech2_lengths: Their numbers of valid samples.
            **kwargs: ``spk_labels_lengths`` and ``utt_id``, which ESPnet adds.

        Returns:
            The loss, statistics (``loss``, ``accuracy``), and the batch size as
            weight.
        """
        embeddings = self._network_embedding(speech, speech_lengths)
        if isinstance(self.loss, ContrastiveLoss):
            others = self._network_embedding(speech2, speech2_lengths)
            embeddings = torch.stack([embeddings, others])
        loss, accuracy, _ = self.loss(embeddings, spk_labels.view(-1))
        stats = {"loss": loss.detach(), "accuracy": accuracy.detach()}
        return force_gatherable((loss, stats, speech.shape[0]), loss.device)

    def embed(self, speech: torch.Tensor, speech_lengths: torch.Tensor) -> torch.Tensor:
        """Return (batch, size) embeddings, not normalised.

        Args:
            speech: (batch, samples) waveforms at 16 kHz, of one length unless
                :attr:`ignores_padding`.
            speech_lengths: (batch,) numbers of valid samples.
        """
        source = self.embedding.source
        if source == "projector":
            return self._network_embedding(speech, speech_lengths)
        if source == "pooling":
            return self._pooled(speech, speech_lengths)
        with encoder_precision(self.autocast, speech.device):
            feats, lengths = self.frontend.mean_of_layers(
                speech, speech_lengths, self.embedding.num_layers
            )
        return self.mean_pooling(feats.float().transpose(1, 2), feat_lengths=lengths)

    def _pooled(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> torch.Tensor:
        is_hubert = isinstance(self.frontend, HubertFrontend)
        of_features = self.autocast if is_hubert else "none"
        with encoder_precision(of_features, speech.device):
            feats, lengths = self.extract_feats(speech, speech_lengths)
        with encoder_precision(self.autocast, speech.device):
            frames = self.encode_frame(feats).float()
        if not isinstance(self.encoder, IdentityEncoder):
            # Such an encoder may change the number of frames, and looks at padding
            # anyway: its inputs are of one length.
            lengths = None
        return self.pooling(frames, feat_lengths=lengths)

    def _network_embedding(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> torch.Tensor:
        return self.project_spk_embd(self._pooled(speech, speech_lengths))


def _check_hidden_layers(frontend: AbsFrontend | None, num_layers: int) -> None:
    if not isinstance(frontend, HubertFrontend):
        raise UserError(
            "embedding_conf: source: hidden_layers needs the frontend hubert: choose "
            "projector or pooling."
        )
    most = frontend.hubert.config.num_hidden_layers + 1
    if num_layers > most:
        raise UserError(
            f"embedding_conf: num_layers: {num_layers} is more than this encoder's "
            f"{most} hidden states: lower it."
        )
