"""The speaker model: ESPnet's, with embeddings that can be taken from several places.

It is trained as closed-set speaker identification, or on pairs of utterances with a
contrastive loss, and tested by the cosine between utterances' embeddings; or a small
network is trained to score pairs of embeddings. An embedding
is the network's own (after the projector), its pooled frames, or the mean over time of
the mean of the encoder's last hidden states (arXiv:2603.08231).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.spk.encoder.identity_encoder import IdentityEncoder
from espnet2.spk.espnet_model import ESPnetSpeakerModel
from espnet2.spk.pooling.mean_pooling import MeanPooling
from espnet2.torch_utils.device_funcs import force_gatherable

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.encoder_steps import check_autocast, encoder_precision
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.speaker.losses import PairLoss, PairMlp

SOURCES = ("hidden_layers", "pooling", "projector")


@dataclass(frozen=True)
class EmbeddingSettings:
    """Settings of ``embedding_conf``: how an utterance becomes an embedding.

    Attributes:
        source: ``projector``, the network's own embedding; ``pooling``, the input of
            the projector; or ``hidden_layers``, the mean over time of the mean of the
            last ``num_layers`` hidden states of the frontend ``ssl``.
        num_layers: Number of hidden states that ``hidden_layers`` takes.
        speeds: Tempo factors (0.98 is slower); an utterance's embedding is the mean
            over them of normalised embeddings, normalised again.
        trim_db: Level in dB below the loudest frame under which leading and trailing
            frames count as silence and are cut; None cuts nothing.
        length_multiple: Number of samples to a multiple of which waveforms are cut
            where padding would change an embedding (``ecapa_tdnn`` and other encoders
            that see it), so that batches of one length can be formed.

    Raises:
        UserError: A value is out of range.
    """

    source: str = "projector"
    num_layers: int = 4
    speeds: Sequence[float] = (1.0, 0.98, 1.02)
    trim_db: float | None = 20.0
    length_multiple: int = 1600

    def __post_init__(self) -> None:
        problem = None
        if self.source not in SOURCES:
            problem = f"source: {self.source} is unknown: give {', '.join(SOURCES)}"
        elif self.num_layers < 1:
            problem = f"num_layers: {self.num_layers} must be 1 or more"
        elif not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            problem = f"speeds: {self.speeds} must be factors between 0.5 and 2"
        elif self.trim_db is not None and not self.trim_db > 0:
            problem = f"trim_db: {self.trim_db} must be above 0, or null"
        elif self.length_multiple < 1:
            problem = f"length_multiple: {self.length_multiple} must be 1 or more"
        if problem:
            raise UserError(f"embedding_conf: {problem}.")


class SpeakerModel(ESPnetSpeakerModel):
    """ESPnet's speaker model, which here also trains on batches of one.

    Args:
        frontend: Module from waveforms to frames; None where the encoder takes
            waveforms.
        specaug: Augmentation of the frames in training, or None.
        normalize: Normalisation of the frames, or None.
        encoder: Module from frames to frames.
        pooling: Module from frames to one vector.
        projector: Module from that vector to the embedding, or None.
        loss: Module from embeddings to a loss.
        embedding: What :meth:`embed` returns, and from which waveforms.
        autocast: Precision of the frontend ``ssl`` and of the encoder, see
            :mod:`espnet2_cltm.frontend.encoder_steps`. Features of another kind are
            computed in 32 bits.

    Raises:
        UserError: The embedding needs something that the model lacks, or the precision
            is not known.
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
        """Whether an utterance's embedding is the same in a padded batch."""
        return getattr(self.frontend, "ignores_padding", False) and (
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
            spk_labels: (batch, 1) speaker indices; of pairs, 1 where both utterances
                are by one speaker, else 0.
            speech2: The other utterance of each pair.
            speech2_lengths: Their numbers of valid samples.
            **kwargs: ``spk_labels_lengths`` and ``utt_id``, which ESPnet adds.

        Returns:
            The loss, statistics (``loss``, ``accuracy``), and the batch size as
            weight.
        """
        # A scorer is trained on what it will score.
        scores = isinstance(self.loss, PairMlp)
        embed = self.embed if scores else self._network_embedding
        embeddings = embed(speech, speech_lengths)
        if isinstance(self.loss, PairLoss):
            assert speech2 is not None and speech2_lengths is not None
            others = embed(speech2, speech2_lengths)
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
        is_ssl = isinstance(self.frontend, HubertFrontend)
        of_features = self.autocast if is_ssl else "none"
        with encoder_precision(of_features, speech.device):
            feats, lengths = self.extract_feats(speech, speech_lengths)
        with encoder_precision(self.autocast, speech.device):
            frames = self.encode_frame(feats).float()
        if not isinstance(self.encoder, IdentityEncoder):
            # Such an encoder may change the number of frames, and sees padding in any
            # case: its inputs are of one length.
            lengths = None
        return self.pooling(frames, feat_lengths=lengths)

    def _network_embedding(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> torch.Tensor:
        return self.project_spk_embd(self._pooled(speech, speech_lengths))


def _check_hidden_layers(frontend: AbsFrontend | None, num_layers: int) -> None:
    if not isinstance(frontend, HubertFrontend):
        raise UserError(
            "embedding_conf: source: hidden_layers needs the frontend ssl: set "
            "source to projector or pooling."
        )
    most = frontend.hubert.config.num_hidden_layers + 1
    if num_layers > most:
        raise UserError(
            f"embedding_conf: num_layers: {num_layers} is more than this encoder's "
            f"{most} hidden states: lower it."
        )


class SingleValueBatchNorm1d(torch.nn.BatchNorm1d):
    """:class:`torch.nn.BatchNorm1d` that takes a single value per channel.

    PyTorch refuses to train on one, as occurs after pooling a batch of one. Such a step
    has no variance of its own: here it is normalised by the running statistics, which
    it leaves unchanged.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, channels) or (batch, channels, time)."""
        if self.training and input.numel() == input.shape[1]:
            return torch.nn.functional.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=False,
                eps=self.eps,
            )
        return super().forward(input)


def accept_single_values(model: torch.nn.Module) -> None:
    """Make a model's one-dimensional batch norms take a single value per channel.

    Parameters, buffers and their names stay the same.
    """
    for module in model.modules():
        if type(module) is torch.nn.BatchNorm1d:
            module.__class__ = SingleValueBatchNorm1d
