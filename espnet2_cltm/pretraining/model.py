"""HuBERT's masked prediction: which cluster a frame belongs to that is not heard.

Takes crops of waveforms and the k-means cluster of each of their frames. Spans of
frames are hidden from the transformer; each hidden frame's output is compared with a
learned embedding of every cluster, and the cross-entropy over clusters is the loss
(arXiv:2106.07447, section II-B: logits are cosines divided by 0.1; the loss is
``alpha L_m + (1 - alpha) L_u``, of masked and of heard frames).

Two more losses keep in the features who speaks and how, which a small encoder otherwise
forgets. Both are of the mean over time of the frames that are heard, which is what
later tasks use: linear regression on it has to give what these frames sound like as a
whole (:class:`.SoundSummary`), disturbances included; and crops of two utterances of
one speaker have to be more alike than crops of two speakers (the contrastive loss of
SimCLR, arXiv:2002.05709, equation 1).

Captions of pictures, which come in batches of their own, are trained on by masked
prediction, too, and have to find their pictures (:mod:`.grounding`); nothing is hidden
from the vectors that are compared.

Where it is known which phone is spoken, frames can also have to tell its articulatory
features (:mod:`.articulation`).
"""

from collections.abc import Mapping
from typing import Any

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch import nn

from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.frontend.batches import valid_mask
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.frontend.encoder_steps import check_autocast, encoder_precision
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.pretraining.articulation import ArticulatoryHead
from espnet2_cltm.pretraining.crops import NO_TARGET
from espnet2_cltm.pretraining.features import SoundSummary, mean_over
from espnet2_cltm.pretraining.grounding import Grounding


def draw_spans(batch: int, frames: int, share: float, length: int) -> torch.Tensor:
    """Draw hidden spans of frames from PyTorch's global CPU generator.

    As in wav2vec 2.0 and HuBERT, ``share * frames / length`` spans (rounded up or down
    at random) start at places drawn without repetition; they may overlap. All
    utterances get the same number of spans.

    Args:
        batch: Number of utterances.
        frames: Number of frames of each.
        share: Share of frames in spans, overlaps counted twice.
        length: Number of frames in a span; an utterance's where that is shorter.

    Returns:
        (batch, frames) bool, true where hidden; at least one span each.
    """
    length = min(length, frames)
    places = frames - length + 1
    number = int(share * frames / length + float(torch.rand(())))
    number = min(max(number, 1), places)
    starts = torch.rand(batch, places).topk(number, dim=1).indices
    hidden = starts.unsqueeze(2) + torch.arange(length)
    mask = torch.zeros(batch, frames, dtype=torch.bool)
    return mask.scatter_(1, hidden.flatten(1), True)


class MaskedHubert(HubertFrontend):
    """The frontend, with frames hidden from its transformer.

    Args:
        model: See :class:`HubertFrontend`; further pretraining of a checkpoint and
            training from random weights are the same.
    """

    _mask: torch.Tensor | None = None

    def __init__(self, model: str | Mapping[str, Any]):
        load_hubert(model)
        # Whole layers are not dropped: which ones would depend on the process.
        super().__init__(
            model,
            config_overrides={
                "apply_spec_augment": True,
                "mask_time_prob": 0.05,  # above 0, for there to be a mask embedding
                "mask_feature_prob": 0.0,
                "layerdrop": 0.0,
            },
        )
        # The fastest for backward passes of short crops on a CPU.
        self.hubert.set_attn_implementation("eager")

    def masked(
        self,
        speech: torch.Tensor,
        mask: torch.Tensor,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Encode waveforms with some frames hidden.

        Args:
            speech: (batch, samples) waveforms at 16 kHz.
            mask: (batch, frames) bool, true where a frame is hidden.
            lengths: (batch,) numbers of samples; None where nothing is padded.

        Returns:
            (batch, frames, size) last hidden states.
        """
        if lengths is None:
            lengths = torch.full((len(speech),), speech.shape[1])
        self._mask = mask
        try:
            features, _ = self(speech, lengths)
        finally:
            self._mask = None
        return features

    def heard(
        self, speech: torch.Tensor, lengths: torch.Tensor, layer: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode waveforms with nothing hidden, in training either.

        Args:
            speech: (batch, samples) waveforms at 16 kHz.
            lengths: (batch,) numbers of samples.
            layer: Number of the hidden state.

        Returns:
            (batch, frames, size) hidden states, and (batch, frames) bool, true where
            there is speech.
        """
        n_frames = self.frame_lengths(lengths).tolist()
        frames = valid_mask(n_frames, max(n_frames), speech.device)
        self._mask = torch.zeros_like(frames)
        try:
            states = self._states_of(speech, lengths.tolist(), layer)
        finally:
            self._mask = None
        return states[0], frames

    def _no_mask_if_short(self, waveforms: torch.Tensor) -> torch.Tensor | None:
        if self._mask is not None:
            return self._mask
        return super()._no_mask_if_short(waveforms)


class ClusterHead(nn.Module):
    """Compares frames with a learned embedding of every cluster.

    Args:
        input_size: Size of a frame.
        num_clusters: Number of clusters.
        code_size: Size of the embeddings that both are compared in.
        temperature: Divisor of the cosines.
    """

    def __init__(
        self, input_size: int, num_clusters: int, code_size: int, temperature: float
    ):
        super().__init__()
        self.final_proj = nn.Linear(input_size, code_size)
        # All in one orthant at first: cosines then differ little, and so do clusters.
        self.label_embeddings = nn.Parameter(torch.rand(num_clusters, code_size))
        self.temperature = temperature

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map (frames, input_size) to (frames, num_clusters) logits."""
        codes = nn.functional.normalize(self.final_proj(hidden), dim=1)
        labels = nn.functional.normalize(self.label_embeddings, dim=1)
        return codes @ labels.T / self.temperature


class MaskedPredictionModel(AbsESPnetModel):
    """HuBERT with the parts that pretraining needs besides.

    Args:
        hubert: The encoder.
        num_clusters: Number of clusters in ``target``.
        summary_weight: Weight of the loss of the sound's summary, beside 1 for that of
            ``target``.
        contrast_weight: Weight of the loss of telling speakers apart. Above 0 a batch
            holds crops in pairs: of all utterances, and then, in the same order, of
            another utterance of each one's speaker.
        contrast_temperature: Divisor of that loss's cosines.
        grounding_weight: Weight of the loss of finding captions by pictures and
            pictures by captions. Above 0 some batches are of captions.
        grounding_conf: Arguments of :class:`.Grounding`.
        feature_weight: Weight of the loss of articulatory features; masked and heard
            frames count as they do for ``target``.
        picture_size: Width and height of pictures; needed with ``grounding_weight``.
        code_size: Size of the embeddings that outputs and clusters are compared in.
        mask_share: Share of frames in spans, before spans overlap.
        mask_length: Number of frames in a span.
        masked_weight: ``alpha``. With less than 1 the disturbed but heard frames
            teach too, and first: a small encoder then learns much sooner.
        temperature: Divisor of the cosines.
        autocast: Precision of the encoder: ``none`` or ``bfloat16``.
        extract_feats_in_collect_stats: Option that ESPnet's ``collect_stats`` reads.
    """

    def __init__(
        self,
        hubert: MaskedHubert,
        num_clusters: int,
        summary_weight: float = 0.0,
        contrast_weight: float = 0.0,
        contrast_temperature: float = 0.1,
        grounding_weight: float = 0.0,
        grounding_conf: Mapping[str, Any] | None = None,
        feature_weight: float = 0.0,
        picture_size: int = 0,
        code_size: int = 64,
        mask_share: float = 0.8,
        mask_length: int = 10,
        masked_weight: float = 1.0,
        temperature: float = 0.1,
        autocast: str = "none",
        extract_feats_in_collect_stats: bool = False,
    ):
        super().__init__()
        check_autocast(autocast)
        if not 0 < mask_share <= 1 or mask_length < 1:
            raise UserError(
                f"mask_share: {mask_share} in model_conf must lie above 0 and at most "
                f"at 1, mask_length: {mask_length} must be 1 or more."
            )
        if not 0 < masked_weight <= 1:
            raise UserError(
                f"masked_weight: {masked_weight} in model_conf must lie above 0 and at "
                "most at 1."
            )
        self.hubert = hubert
        size = hubert.output_size()
        self.target_head = ClusterHead(size, num_clusters, code_size, temperature)
        self.summary_weight = summary_weight
        if summary_weight > 0:
            self.summary = SoundSummary()
            # Only for mean and variance of all batches so far.
            self.summary_scale = nn.BatchNorm1d(
                self.summary.size, affine=False, momentum=None
            )
            self.summary_head = nn.Linear(size, self.summary.size)
        self.contrast_weight = contrast_weight
        self.contrast_temperature = contrast_temperature
        self.mask_share = mask_share
        self.mask_length = mask_length
        self.masked_weight = masked_weight
        self.autocast = autocast
        self.extract_feats_in_collect_stats = extract_feats_in_collect_stats
        self.grounding_weight = grounding_weight
        if grounding_weight > 0:
            # Made behind the others, so that these are as without it.
            layers = hubert.hubert.config.num_hidden_layers
            with foreign("grounding_conf cannot be used", "correct it"):
                self.grounding = Grounding(
                    size, layers, picture_size, **(grounding_conf or {})
                )
        self.feature_weight = feature_weight
        if feature_weight > 0:
            self.feature_head = ArticulatoryHead(size, masked_weight)

    def forward(
        self,
        speech: torch.Tensor,
        target: torch.Tensor,
        speaker: torch.Tensor | None = None,
        speech_lengths: torch.Tensor | None = None,
        picture: torch.Tensor | None = None,
        picture_id: torch.Tensor | None = None,
        segment: torch.Tensor | None = None,
        **kwargs: object,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Compute the loss of a batch; which frames are hidden is drawn here.

        Args:
            speech: (batch, samples) waveforms at 16 kHz, of one length but for
                captions.
            target: (batch, frames) int64 clusters.
            speaker: (utterances, 1) int64 numbers of the speakers; needed with
                ``contrast_weight``.
            speech_lengths: (batch,) numbers of samples of captions.
            picture: (batch, size, size, 3) uint8 pictures of captions.
            picture_id: (batch,) int64 numbers, equal where pictures are the same.
            segment: (batch, frames) int64 rows of the table of articulatory features,
                :data:`.crops.NO_TARGET` where not known; needed with
                ``feature_weight``.
            **kwargs: ``utt_id``, which ESPnet adds.

        Returns:
            Loss; statistics, of which ``acc`` is the share of masked frames whose
            ``target`` is found, ``acc_heard`` that of the others, ``acc_contrast`` the
            share of crops whose pair is found, ``acc_grounding`` that of captions whose
            picture is, ``acc_features`` that of masked frames' features that are right;
            the batch size as weight.

        Raises:
            UserError: ``speaker`` or ``segment`` is needed and not given.
        """
        if speech_lengths is not None and not (picture is None or picture_id is None):
            return self._ground(
                speech, speech_lengths, target, picture, picture_id, segment
            )
        if self.contrast_weight > 0 and speaker is None:
            raise UserError(
                "contrast_weight needs the data speaker: give utt2spk, or set it to 0."
            )
        batch, frames = target.shape
        mask = draw_spans(batch, frames, self.mask_share, self.mask_length)
        mask = mask.to(speech.device)
        with encoder_precision(self.autocast, speech.device):
            hidden = self.hubert.masked(speech, mask)
        logits = self.target_head(hidden.flatten(0, 1).float())
        loss, stats = self._compare(logits, target.flatten(), mask.flatten())
        loss = self._add_features(loss, stats, hidden, segment, mask)
        mean = mean_over(hidden.float(), ~mask)
        if self.summary_weight > 0:
            summary_loss = nn.functional.smooth_l1_loss(
                self.summary_head(mean), self._summarise(speech, ~mask)
            )
            loss = loss + self.summary_weight * summary_loss
            stats["loss_summary"] = summary_loss.detach()
        if speaker is not None and self.contrast_weight > 0:
            logits, other = compare_pairs(
                mean, speaker.flatten(), self.contrast_temperature
            )
            contrast = nn.functional.cross_entropy(logits, other)
            loss = loss + self.contrast_weight * contrast
            stats["loss_contrast"] = contrast.detach()
            stats["acc_contrast"] = (logits.argmax(dim=1) == other).float().mean()
        stats["loss"] = loss.detach()
        return force_gatherable((loss, stats, batch), loss.device)

    def _ground(
        self,
        speech: torch.Tensor,
        lengths: torch.Tensor,
        target: torch.Tensor,
        pictures: torch.Tensor,
        picture_ids: torch.Tensor,
        segment: torch.Tensor | None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Compute the loss of a batch of captions."""
        lengths = lengths.cpu()
        batch, frames = target.shape
        mask = draw_spans(batch, frames, self.mask_share, self.mask_length)
        mask = mask.to(speech.device)
        spoken = target != NO_TARGET
        with encoder_precision(self.autocast, speech.device):
            hidden = self.hubert.masked(speech, mask, lengths)
            states, heard = self.hubert.heard(speech, lengths, self.grounding.layer)
        logits = self.target_head(hidden[spoken].float())
        loss, stats = self._compare(logits, target[spoken], mask[spoken])
        loss = self._add_features(loss, stats, hidden, segment, mask)
        grounding, found = self.grounding(
            self.grounding.embed_speech(states.float(), heard),
            self.grounding.embed_pictures(pictures),
            picture_ids,
        )
        loss = loss + self.grounding_weight * grounding
        stats |= {
            "loss_grounding": grounding.detach(),
            "acc_grounding": found,
            "loss": loss.detach(),
        }
        return force_gatherable((loss, stats, batch), loss.device)

    def _add_features(
        self,
        loss: torch.Tensor,
        stats: dict[str, torch.Tensor],
        hidden: torch.Tensor,
        segment: torch.Tensor | None,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss with that of articulatory features, and note this one."""
        if not self.feature_weight > 0:
            return loss
        if segment is None:
            raise UserError(
                "feature_weight needs the data segment: give segment.scp of the "
                "targets, as run.sh --feature_weight does, or set it to 0."
            )
        features, found = self.feature_head(
            hidden.flatten(0, 1).float(), segment.flatten(), mask.flatten()
        )
        stats["loss_features"] = features.detach()
        stats["acc_features"] = found
        return loss + self.feature_weight * features

    def _summarise(self, speech: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        """Return summaries, normalised by the mean and variance of all so far.

        Those of the batch would remove what tells its language from others.
        """
        summary = self.summary(speech, heard)
        scale = self.summary_scale
        if self.training and len(summary) > 1:  # one alone has no variance
            scale(summary)
        return nn.functional.batch_norm(
            summary, scale.running_mean, scale.running_var, eps=scale.eps
        )

    def _compare(
        self, logits: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weigh the losses of masked and heard frames, both of which are there."""
        losses = nn.functional.cross_entropy(logits, target, reduction="none")
        hits = (logits.argmax(dim=1) == target).float()
        loss = self.masked_weight * losses[mask].mean()
        stats = {"acc": hits[mask].mean(), "acc_heard": hits[~mask].mean()}
        if self.masked_weight < 1:
            loss = loss + (1 - self.masked_weight) * losses[~mask].mean()
        return loss, stats

    def collect_feats(
        self, speech: torch.Tensor, **kwargs: object
    ) -> dict[str, torch.Tensor]:
        """Return nothing: the audio store's lengths are all that training needs."""
        return {}


def compare_pairs(
    vectors: torch.Tensor, speakers: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare each crop with its pair's other one and with all of other speakers.

    Args:
        vectors: (2 * pairs, size): the first crops of all pairs, then the second ones
            in the same order.
        speakers: (pairs,) int64 numbers.
        temperature: Divisor of the cosines.

    Returns:
        (2 * pairs, 2 * pairs) logits, the lowest number where crops are not compared;
        and (2 * pairs,) int64 indices of the right ones.
    """
    vectors = nn.functional.normalize(vectors, dim=1)
    logits = (vectors @ vectors.T) / temperature
    right = torch.arange(len(vectors), device=vectors.device).roll(len(speakers))
    speakers = speakers.repeat(2)
    left_out = speakers.unsqueeze(1) == speakers
    left_out.scatter_(1, right.unsqueeze(1), False)
    return logits.masked_fill(left_out, torch.finfo(logits.dtype).min), right
