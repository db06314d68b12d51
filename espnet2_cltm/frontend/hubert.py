"""HuBERT as an ESPnet frontend: waveforms in, frames of hidden features out.

Takes 16 kHz waveforms with their lengths and gives (batch, frames, size) features
with the exact number of valid frames: ``floor((n - 400) / 320) + 1`` for HuBERT's
seven convolutions. An utterance gives the same features alone and padded into a
batch: padding enters neither the waveform's normalisation, nor the group norm of
the first convolution, nor attention.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from torch import nn
from transformers import HubertModel

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.checkpoint import load_hubert

LAYER_CHOICES = ("last", "mean", "weighted")


class HubertFrontend(AbsFrontend):
    """A HuBERT encoder from transformers.

    Example::

        frontend = HubertFrontend(model="utter-project/mHuBERT-147")
        feats, feats_lengths = frontend(speech, speech_lengths)

    Args:
        model: Hub id, local directory, or for random weights a YAML file or mapping
            of ``HubertConfig`` fields (see :func:`.checkpoint.load_hubert`).
        layers: ``last``: the last hidden state; ``mean``: the mean of the last
            ``num_layers`` hidden states; ``weighted``: a learned weighted sum of
            all of them, softmax weights starting equal, as in SUPERB
            (arXiv:2105.01051). The latter two need every layer in every step and
            turn layer drop off.
        num_layers: How many hidden states ``mean`` takes.
        freeze: ``none``, ``cnn`` (the convolutions), or ``all``. What is frozen
            has no gradient and stays in evaluation mode.
        freeze_layers: Freeze the first k transformer layers and all before them.
        config_overrides: ``HubertConfig`` fields that replace the checkpoint's, for
            instance ``{"layerdrop": 0.0, "apply_spec_augment": False}``.
        length_multiple: Pad waveforms to a multiple of so many samples before they
            are encoded. On a CPU every new length costs a set of kernels, as much
            time as several steps; 1600 (0.1 s) leaves some dozens of lengths.
            Features stay as they are, padding enters nothing.

    Raises:
        UserError: An argument is not among its choices, or the checkpoint can't be
            had.
    """

    def __init__(
        self,
        model: str | Mapping[str, Any] = "utter-project/mHuBERT-147",
        layers: str = "last",
        num_layers: int = 4,
        freeze: str = "none",
        freeze_layers: int = 0,
        config_overrides: Mapping[str, Any] | None = None,
        length_multiple: int = 1,
    ):
        super().__init__()
        if length_multiple < 1:
            raise UserError(
                f"length_multiple: {length_multiple} in frontend_conf must be 1 or "
                "more."
            )
        self.length_multiple = length_multiple
        if layers not in LAYER_CHOICES:
            raise UserError(
                f"layers: {layers} in frontend_conf is unknown: give one of "
                f"{', '.join(LAYER_CHOICES)}."
            )
        overrides = dict(config_overrides or {})
        if layers != "last" and overrides.setdefault("layerdrop", 0.0) > 0.0:
            raise UserError(
                f"layers: {layers} needs every layer in every step: set layerdrop to "
                "0.0 in config_overrides."
            )
        checkpoint = load_hubert(model, overrides)
        self.hubert = checkpoint.model
        self.normalize_waveform = checkpoint.normalize_waveform
        self.layers = layers
        self.num_layers = num_layers
        depth = self.hubert.config.num_hidden_layers
        if not 1 <= num_layers <= depth + 1 and layers == "mean":
            raise UserError(
                f"num_layers: {num_layers} in frontend_conf must lie between 1 and "
                f"{depth + 1} for this encoder."
            )
        if layers == "weighted":
            self.layer_weights = nn.Parameter(torch.zeros(depth + 1))
        self.group_norm = _use_masked_group_norm(self.hubert)
        self._frozen = _freeze(self.hubert, freeze, freeze_layers)

    def output_size(self) -> int:
        """Give the size of a frame's feature vector."""
        return self.hubert.config.hidden_size

    def frame_lengths(self, sample_lengths: torch.Tensor) -> torch.Tensor:
        """Count the frames of waveforms.

        Args:
            sample_lengths: (batch,) integer numbers of samples.

        Returns:
            (batch,) numbers of frames, 0 or less where a waveform is too short.
        """
        return _lengths_after(
            sample_lengths,
            self.hubert.config.conv_kernel,
            self.hubert.config.conv_stride,
        )

    def train(self, mode: bool = True) -> "HubertFrontend":
        """Set training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(
        self, input: torch.Tensor, input_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode a batch of waveforms.

        Args:
            input: (batch, samples) float waveforms at 16 kHz, zero-padded at the
                end.
            input_lengths: (batch,) numbers of valid samples.

        Returns:
            Features (batch, frames, size), zero beyond each utterance's end, and
            the (batch,) numbers of valid frames.

        Raises:
            UserError: An utterance is shorter than one frame (400 samples).
        """
        return self._features(input, input_lengths, self.layers, self.num_layers)

    def mean_of_layers(
        self, input: torch.Tensor, input_lengths: torch.Tensor, num_layers: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode as :meth:`forward`, giving the mean of the last hidden states.

        Speaker embeddings are made of them, whatever the training takes.

        Args:
            input: (batch, samples) float waveforms at 16 kHz.
            input_lengths: (batch,) numbers of valid samples.
            num_layers: How many hidden states to take, at most one more than the
                encoder has layers.
        """
        return self._features(input, input_lengths, "mean", num_layers)

    def _features(
        self,
        input: torch.Tensor,
        input_lengths: torch.Tensor,
        layers: str,
        num_layers: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        longest = int(input_lengths.max())
        padding = -longest % self.length_multiple
        input = nn.functional.pad(input[:, :longest], (0, padding))
        frame_lengths = self.frame_lengths(input_lengths)
        if int(frame_lengths.min()) < 1:
            raise UserError(
                f"An utterance of {int(input_lengths.min())} samples is too short for "
                "HuBERT, which needs 400: stage 2 leaves such utterances out."
            )
        is_padded = bool((input_lengths != input.shape[1]).any())
        sample_mask = _valid_mask(input_lengths, input.shape[1]) if is_padded else None
        if self.normalize_waveform:
            input = _zero_mean_unit_variance(input, sample_mask)
        feats = self._encode(input, sample_mask, input_lengths, layers, num_layers)
        if is_padded:
            feats = feats[:, : int(frame_lengths.max())]
            frame_mask = _valid_mask(frame_lengths, feats.shape[1])
            feats = feats.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
        return feats, frame_lengths

    def _encode(
        self,
        waveforms: torch.Tensor,
        sample_mask: torch.Tensor | None,
        sample_lengths: torch.Tensor,
        layers: str,
        num_layers: int,
    ) -> torch.Tensor:
        config = self.hubert.config
        if self.group_norm is not None:
            self.group_norm.valid_lengths = (
                None
                if sample_mask is None
                else _lengths_after(
                    sample_lengths, config.conv_kernel[:1], config.conv_stride[:1]
                ).tolist()
            )
        output = self.hubert(
            waveforms,
            attention_mask=None if sample_mask is None else sample_mask.long(),
            mask_time_indices=self._no_mask_if_short(waveforms),
            output_hidden_states=layers != "last",
            return_dict=True,
        )
        last = output.last_hidden_state
        if layers == "last":
            return last
        states = [*output.hidden_states[:-1], last]
        if layers == "mean":
            return torch.stack(states[-num_layers:]).mean(dim=0)
        weights = torch.softmax(self.layer_weights, dim=0)
        return torch.einsum("l,lbtd->btd", weights, torch.stack(states))

    def _no_mask_if_short(self, waveforms: torch.Tensor) -> torch.Tensor | None:
        """Leave out time masking where a batch is shorter than one mask.

        transformers refuses such a batch; a mask over all of an utterance would
        teach nothing either.
        """
        batch, n_samples = waveforms.shape
        n_frames = int(self.frame_lengths(torch.tensor(n_samples)))
        if not self.training or n_frames > self.hubert.config.mask_time_length:
            return None
        return torch.zeros(batch, n_frames, dtype=torch.bool, device=waveforms.device)


class MaskedGroupNorm(nn.GroupNorm):
    """Group norm over time that leaves padding out of mean and variance.

    With ``valid_lengths`` None it is ``torch.nn.GroupNorm``. Otherwise each utterance
    is cut to its length, normalised by the same kernel, and padded with zeros again:
    on a CPU that is twice as fast as masked sums over the whole batch.
    """

    valid_lengths: list[int] | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, channels, time) over time, within valid lengths."""
        if self.valid_lengths is None:
            return super().forward(input)
        size = input.shape[2]
        rows = [
            nn.functional.pad(super(MaskedGroupNorm, self).forward(row), (0, size - n))
            for n, row in (
                (n, row[None, :, :n])
                for n, row in zip(self.valid_lengths, input.unbind(0), strict=True)
            )
        ]
        return torch.cat(rows)


def _use_masked_group_norm(hubert: HubertModel) -> MaskedGroupNorm | None:
    """Put :class:`MaskedGroupNorm` where the encoder has a group norm."""
    first = hubert.feature_extractor.conv_layers[0]
    norm = getattr(first, "layer_norm", None)
    if not isinstance(norm, nn.GroupNorm):
        return None
    masked = MaskedGroupNorm(norm.num_groups, norm.num_channels, eps=norm.eps)
    masked.weight = norm.weight
    masked.bias = norm.bias
    first.layer_norm = masked
    return masked


def _freeze(hubert: HubertModel, freeze: str, freeze_layers: int) -> list[nn.Module]:
    """Take the gradient from parts of the encoder and return those parts."""
    depth = hubert.config.num_hidden_layers
    if freeze not in ("none", "cnn", "all"):
        raise UserError(
            f"freeze: {freeze} in frontend_conf is unknown: give none, cnn or all."
        )
    if not 0 <= freeze_layers <= depth:
        raise UserError(
            f"freeze_layers: {freeze_layers} in frontend_conf must lie between 0 and "
            f"{depth} for this encoder."
        )
    if freeze == "all":
        frozen: list[nn.Module] = [hubert]
    elif freeze_layers > 0:
        encoder = hubert.encoder
        frozen = [
            hubert.feature_extractor,
            hubert.feature_projection,
            encoder.pos_conv_embed,
            *encoder.layers[:freeze_layers],
        ]
        if not hubert.config.do_stable_layer_norm:
            frozen.append(encoder.layer_norm)  # stands before the first layer
    elif freeze == "cnn":
        frozen = [hubert.feature_extractor]
    else:
        return []
    hubert.feature_extractor._freeze_parameters()
    for module in frozen:
        module.requires_grad_(False)
    logging.info(
        "Frozen encoder parameters: %d of %d",
        sum(p.numel() for p in hubert.parameters() if not p.requires_grad),
        sum(p.numel() for p in hubert.parameters()),
    )
    return frozen


def _lengths_after(
    lengths: torch.Tensor, kernels: Sequence[int], strides: Sequence[int]
) -> torch.Tensor:
    for kernel, stride in zip(kernels, strides, strict=True):
        lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
    return lengths


def _valid_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    positions = torch.arange(size, device=lengths.device)
    return positions.unsqueeze(0) < lengths.unsqueeze(1)


def _zero_mean_unit_variance(
    waveforms: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Normalise each waveform as transformers' feature extractor does.

    The constant 1e-7 is ``Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm``'s.
    """
    if mask is None:
        mean = waveforms.mean(dim=1, keepdim=True)
        variance = waveforms.var(dim=1, correction=0, keepdim=True)
        return (waveforms - mean) / torch.sqrt(variance + 1e-7)
    count = mask.sum(dim=1, keepdim=True)
    mean = (waveforms * mask).sum(dim=1, keepdim=True) / count
    centred = (waveforms - mean) * mask
    variance = centred.square().sum(dim=1, keepdim=True) / count
    return centred / torch.sqrt(variance + 1e-7)
