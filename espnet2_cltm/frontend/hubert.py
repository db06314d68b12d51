"""A speech encoder as an ESPnet frontend: from waveforms to frames of hidden features.

The encoder is a HuBERT or of a related family (:mod:`.families`). The frontend takes 16
kHz waveforms with their lengths and returns (batch, frames, size) features with the
exact number of valid frames: ``floor((n - 400) / 320) + 1`` for HuBERT's seven
convolutions. An utterance has the same features alone and padded into a batch: padding
enters neither the waveform's normalisation, nor the group norm of the first
convolution, nor the convolutions and the batch norm of the positions, nor attention.
Whether that holds, and whether they are transformers' own features, is tried once for
each configuration.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from torch import nn

from espnet2_cltm.errors import UserError, require_known
from espnet2_cltm.frontend.attention import use_modular_attention
from espnet2_cltm.frontend.batches import (
    in_full_scale,
    padded,
    valid_mask,
    zero_mean_unit_variance,
)
from espnet2_cltm.frontend.checkpoint import load_encoder
from espnet2_cltm.frontend.convolutions import (
    use_masked_batch_norm,
    use_masked_group_norm,
    use_matrix_products,
)
from espnet2_cltm.frontend.encoder_steps import enter_transformer, states_above
from espnet2_cltm.frontend.families import (
    has_convolutions,
    receptive_field,
    windows,
)
from espnet2_cltm.frontend.frozen_states import (
    CONVOLUTIONS,
    FrozenStates,
    frozen_modules,
)
from espnet2_cltm.frontend.log_mel import log_mel
from espnet2_cltm.frontend.trial import Trial

Lengths = TypeVar("Lengths", int, torch.Tensor)
LAYER_CHOICES = ("last", "mean", "weighted")
FREEZE_CHOICES = ("none", "cnn", "all")

_exact: set[str] = set()  # configurations whose features were found right


class HubertFrontend(AbsFrontend):
    """A HuBERT, or another encoder of its kind, from transformers.

    Example::

        frontend = HubertFrontend(model="utter-project/mHuBERT-147")
        feats, feats_lengths = frontend(speech, speech_lengths)

    Args:
        model: Hub id, local directory, ``hubert-small``, which comes with the package,
            or for random weights a YAML file or mapping of configuration fields (see
            :func:`.checkpoint.load_encoder`).
        layers: ``last``: the last hidden state; ``mean``: the mean of the last
            ``num_layers`` hidden states; ``weighted``: a learned weighted sum of
            all of them, softmax weights starting equal, as in SUPERB
            (arXiv:2105.01051). The latter two need every layer in every step and
            turn layer drop off.
        num_layers: Number of hidden states that ``mean`` takes.
        freeze: ``none``, ``cnn`` (the convolutions; log-mel features, which w2v-BERT
            has in their place, have no weights), or ``all``. What is frozen has no
            gradient and stays in evaluation mode.
        freeze_layers: Number of transformer layers, from the first, that are frozen
            together with everything below them.
        config_overrides: Configuration fields that replace the checkpoint's, such as
            ``{"layerdrop": 0.0, "apply_spec_augment": False}``.
        length_multiple: Number of samples to whose multiples waveforms are padded
            before they are encoded, where every new length has a cost of its own: on a
            CPU under autocast oneDNN prepares kernels for each. Features stay as they
            are.
        reuse_frozen: Whether what is frozen is computed once for each utterance and
            kept in memory (:mod:`.frozen_states`) for later epochs and models.
            SpecAugment, which comes before the layers, is turned off where layers are
            frozen.

    Attributes:
        ignores_padding: Whether an utterance has the same features in a padded batch.
        hubert: The encoder, of whichever family: the name is that of the first.
        highest_frozen: Number of the highest hidden state that training leaves as it
            is, :data:`.CONVOLUTIONS`, or None where nothing is frozen.
        highest_reused: Number of the highest hidden state that is computed once for
            each utterance and kept, as ``highest_frozen``.
        reuses_while_training: Whether training reuses what is frozen as well; set to
            False by tasks that train on random crops, none of which comes again.

    Raises:
        UserError: An argument is not among its choices, or the checkpoint is not
            available.
    """

    ignores_padding = True

    def __init__(
        self,
        model: str | Mapping[str, Any] = "utter-project/mHuBERT-147",
        layers: str = "last",
        num_layers: int = 4,
        freeze: str = "none",
        freeze_layers: int = 0,
        config_overrides: Mapping[str, Any] | None = None,
        length_multiple: int = 1,
        reuse_frozen: bool = False,
    ):
        super().__init__()
        if length_multiple < 1:
            raise UserError(
                f"length_multiple: {length_multiple} in frontend_conf must be 1 or "
                "more."
            )
        self.length_multiple = length_multiple
        require_known("layers", layers, LAYER_CHOICES, "in frontend_conf")
        require_known("freeze", freeze, FREEZE_CHOICES, "in frontend_conf")
        overrides = dict(config_overrides or {})
        if layers != "last" and overrides.setdefault("layerdrop", 0.0) > 0.0:
            raise UserError(
                f"layers: {layers} needs every layer in every step: set layerdrop to "
                "0.0 in config_overrides."
            )
        if reuse_frozen and freeze == "none" and freeze_layers == 0:
            raise UserError(
                "reuse_frozen in frontend_conf has nothing to reuse: set freeze or "
                "freeze_layers beside it, or leave it out."
            )
        checkpoint = load_encoder(model, overrides)
        self.hubert = checkpoint.model
        self.normalize_waveform = checkpoint.normalize_waveform
        key = (
            f"{type(self).__name__} {self.normalize_waveform} {checkpoint.model.config}"
        )
        trial = None if key in _exact else Trial(checkpoint)
        self.layers = layers
        self.num_layers = num_layers
        depth = self.hubert.config.num_hidden_layers
        if layers == "mean":
            _check_range("num_layers", num_layers, 1, depth + 1)
        _check_range("freeze_layers", freeze_layers, 0, depth)
        if layers == "weighted":
            self.layer_weights = nn.Parameter(torch.zeros(depth + 1))
        self.group_norm = use_masked_group_norm(self.hubert)
        use_masked_batch_norm(self.hubert)
        use_matrix_products(self.hubert)
        use_modular_attention(self.hubert)
        self.reuses_while_training = True
        self._wants_spec_augment = bool(overrides.get("apply_spec_augment"))
        self._applies_spec_augment = getattr(
            self.hubert.config, "apply_spec_augment", True
        )
        self._frozen: list[nn.Module] = []
        self._frozen_parameters: list[nn.Parameter] = []
        self.highest_frozen: int | None = None
        self.highest_reused: int | None = None
        self._kept: FrozenStates | None = None
        if trial is not None:
            self.training = False
            trial.require_equal_features(
                lambda waveforms, lengths: self._features(
                    waveforms, lengths, "last", 1
                )[0]
            )
            self.training = True
            _exact.add(key)
        highest = {"none": None, "cnn": CONVOLUTIONS, "all": depth}[freeze]
        if freeze_layers > 0 and freeze != "all":
            highest = freeze_layers
        self._frozen_by_options = highest, reuse_frozen
        self.freeze_up_to(None)

    def output_size(self) -> int:
        """Return the size of a frame's feature vector."""
        return self.hubert.config.hidden_size

    def frame_lengths(self, sample_lengths: Lengths) -> Lengths:
        """Return the numbers of frames of waveforms.

        Args:
            sample_lengths: (batch,) integer numbers of samples, or one number.

        Returns:
            As many numbers of frames, 0 or less where a waveform is too short.
        """
        for kernel, stride in windows(self.hubert.config):
            sample_lengths = (sample_lengths - kernel) // stride + 1
        return sample_lengths

    def freeze_up_to(self, highest: int | None, reuse: bool = True) -> None:
        """Take the encoder below a hidden state out of training.

        What the frontend's own options freeze stays frozen, and is reused if they say
        so. A later call replaces an earlier one, so that parts can be trained again.

        Args:
            highest: Number of the highest hidden state that training leaves as it is,
                :data:`.CONVOLUTIONS`, or None for nothing.
            reuse: Whether to compute what is frozen once, as ``reuse_frozen``.

        Raises:
            UserError: SpecAugment was asked for and would not be applied.
        """
        own, reuse_own = self._frozen_by_options
        reused = own if reuse_own else None
        if highest is None or (own is not None and own > highest):
            highest = own
        elif reuse:
            reused = highest
        if (highest, reused) == (self.highest_frozen, self.highest_reused):
            return
        reuses_layers = reused is not None and reused != CONVOLUTIONS
        if reuses_layers and self._wants_spec_augment:
            raise UserError(
                "Reusing what is frozen needs SpecAugment off where layers are frozen: "
                "set apply_spec_augment to false in config_overrides."
            )
        config = self.hubert.config
        config.apply_spec_augment = self._applies_spec_augment and not reuses_layers
        for parameter in self._frozen_parameters:
            parameter.requires_grad_(True)
        self.highest_frozen, self.highest_reused = highest, reused
        self._frozen = [] if highest is None else frozen_modules(self.hubert, highest)
        self._frozen_parameters = [
            parameter
            for module in self._frozen
            for parameter in module.parameters()
            if parameter.requires_grad
        ]
        for parameter in self._frozen_parameters:
            parameter.requires_grad_(False)
        if has_convolutions(config):
            # transformers' own sign that the waveform needs no gradient.
            self.hubert.feature_extractor._requires_grad = highest is None
        self._kept = None
        if reused is not None:
            self._kept = FrozenStates(frozen_modules(self.hubert, reused))
        self.train(self.training)
        logging.info(
            "Frozen encoder parameters: %d of %d",
            sum(p.numel() for p in self.hubert.parameters() if not p.requires_grad),
            sum(p.numel() for p in self.hubert.parameters()),
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
                end, in [-1, 1] or in the scale of 16-bit integers, as ESPnet's type
                ``kaldi_ark`` delivers them.
            input_lengths: (batch,) numbers of valid samples.

        Returns:
            Features (batch, frames, size), zero beyond each utterance's end, and
            the (batch,) numbers of valid frames.

        Raises:
            UserError: An utterance is shorter than one frame, in HuBERT 400 samples.
        """
        return self._features(input, input_lengths, self.layers, self.num_layers)

    def mean_of_layers(
        self, input: torch.Tensor, input_lengths: torch.Tensor, num_layers: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode as :meth:`forward`, into the mean of the last hidden states.

        Speaker embeddings are made of it, whatever ``layers`` is in training.

        Args:
            input: (batch, samples) float waveforms at 16 kHz.
            input_lengths: (batch,) numbers of valid samples.
            num_layers: Number of hidden states, at most one more than the encoder has
                layers.
        """
        return self._features(input, input_lengths, "mean", num_layers)

    def hidden_states(
        self, input: torch.Tensor, input_lengths: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Encode as :meth:`forward`, into every hidden state.

        Args:
            input: (batch, samples) float waveforms at 16 kHz.
            input_lengths: (batch,) numbers of valid samples.

        Returns:
            Each state (batch, frames, size), from the one that enters the first layer
            to the one that leaves the last, with any values beyond an utterance's end;
            and the (batch,) numbers of valid frames.
        """
        states = self._states_of(input, input_lengths.tolist(), lowest=0)
        return states, self.frame_lengths(input_lengths)

    def _states_of(
        self, input: torch.Tensor, n_samples: Sequence[int], lowest: int
    ) -> list[torch.Tensor]:
        """Check and scale waveforms, and return the states from ``lowest`` on."""
        if self.frame_lengths(min(n_samples)) < 1:
            raise UserError(
                f"An utterance of {min(n_samples)} samples is too short for this "
                f"encoder, which needs {receptive_field(self.hubert.config)}: leave "
                "it out."
            )
        return self._states(
            in_full_scale(input[:, : max(n_samples)]), n_samples, lowest
        )

    def _features(
        self,
        input: torch.Tensor,
        input_lengths: torch.Tensor,
        layers: str,
        num_layers: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        n_samples = input_lengths.tolist()  # the only time that the GPU is waited for
        depth = self.hubert.config.num_hidden_layers
        first = {"last": depth, "mean": depth + 1 - num_layers, "weighted": 0}
        lowest = first[layers]
        states = self._states_of(input, n_samples, lowest)
        if layers == "last":
            feats = states[-1]
        elif layers == "mean":
            feats = torch.stack(states).mean(dim=0)
        else:
            weights = torch.softmax(self.layer_weights, dim=0)
            feats = torch.einsum("l,lbtd->btd", weights, torch.stack(states))
        feats = feats[:, : self.frame_lengths(max(n_samples))]
        frame_mask = self._frame_mask(n_samples, feats)
        if frame_mask is not None:
            feats = feats.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
        return feats, self.frame_lengths(input_lengths)

    def _states(
        self, input: torch.Tensor, n_samples: Sequence[int], lowest: int
    ) -> list[torch.Tensor]:
        """Return the hidden states from ``lowest`` to the last."""
        reuses = not self.training or self.reuses_while_training
        highest = self.highest_reused
        if self._kept is None or highest is None or not reuses:
            features = self._convolve(input, n_samples)
            frame_mask = self._frame_mask(n_samples, features)
            return self._states_above_convolutions(features, frame_mask, lowest)
        kept = [
            self._kept_states(self._kept, row[:n], min(lowest, highest), highest)
            for n, row in zip(n_samples, input.unbind(0), strict=True)
        ]
        longest = max(n_samples)
        n_frames = self.frame_lengths(longest + self._padding(longest))
        *below, state = (
            padded(utterances, n_frames) for utterances in zip(*kept, strict=True)
        )
        frame_mask = self._frame_mask(n_samples, state)
        if highest == CONVOLUTIONS:
            return self._states_above_convolutions(state, frame_mask, lowest)
        above = states_above(self.hubert, state, highest, frame_mask)
        # Of what is below, the states that were asked for.
        n_states = self.hubert.config.num_hidden_layers + 1 - lowest
        return [*below, state, *above][-n_states:]

    def _kept_states(
        self, kept: FrozenStates, waveform: torch.Tensor, lowest: int, highest: int
    ) -> tuple[torch.Tensor, ...]:
        """Return hidden states or the convolutions' output, (frames, size) each."""

        def compute() -> tuple[torch.Tensor, ...]:
            # A prediction's tensors could not be trained on later.
            with torch.inference_mode(False), torch.no_grad():
                n_samples = [len(waveform)]
                states = [self._convolve(waveform.clone().unsqueeze(0), n_samples)]
                if highest != CONVOLUTIONS:
                    frame_mask = self._frame_mask(n_samples, states[0])
                    states = self._states_above_convolutions(
                        states[0], frame_mask, lowest, highest
                    )
                n_frames = self.frame_lengths(len(waveform))
                return tuple(state[0, :n_frames].clone() for state in states)

        precision = "float32"
        if torch.is_autocast_enabled(waveform.device.type):
            precision = str(torch.get_autocast_dtype(waveform.device.type))
        what = f"states {lowest} to {highest} in {precision}"
        if not has_convolutions(self.hubert.config):
            what += f" of log-mel {windows(self.hubert.config)}"  # have no weights
        return kept.get(waveform, what, compute)

    def _convolve(self, input: torch.Tensor, n_samples: Sequence[int]) -> torch.Tensor:
        """Return the convolutions' output or log-mel, (batch, frames, channels)."""
        config = self.hubert.config
        if not has_convolutions(config):
            size = input.shape[1] + self._padding(input.shape[1])
            stacked = windows(config)[-1][1]
            rows = zip(n_samples, input.unbind(0), strict=True)
            features = [log_mel(row[:n], stacked) for n, row in rows]
            return padded(features, self.frame_lengths(size))
        input = nn.functional.pad(input, (0, self._padding(input.shape[1])))
        is_padded = min(n_samples) < input.shape[1]
        if self.normalize_waveform:
            mask = None
            if is_padded:
                mask = valid_mask(n_samples, input.shape[1], input.device)
            input = zero_mean_unit_variance(input, mask)
        if self.group_norm is not None:
            kernel, stride = config.conv_kernel[0], config.conv_stride[0]
            self.group_norm.valid_lengths = (
                [(n - kernel) // stride + 1 for n in n_samples] if is_padded else None
            )
        return self.hubert.feature_extractor(input).transpose(1, 2)

    def _states_above_convolutions(
        self,
        features: torch.Tensor,
        frame_mask: torch.Tensor | None,
        lowest: int,
        highest: int | None = None,
    ) -> list[torch.Tensor]:
        """Return the hidden states ``lowest`` to ``highest``, by default the last."""
        state = enter_transformer(
            self.hubert, features, frame_mask, self._no_mask_if_short(features)
        )
        above = states_above(self.hubert, state, 0, frame_mask, highest)
        return [state, *above][lowest:]

    def _frame_mask(
        self, n_samples: Sequence[int], frames: torch.Tensor
    ) -> torch.Tensor | None:
        n_frames = [self.frame_lengths(n) for n in n_samples]
        if min(n_frames) == frames.shape[1]:
            return None
        return valid_mask(n_frames, frames.shape[1], frames.device)

    def _padding(self, n_samples: int) -> int:
        return -n_samples % self.length_multiple

    def _no_mask_if_short(self, features: torch.Tensor) -> torch.Tensor | None:
        """Return an empty time mask where a batch is shorter than one masked span.

        transformers refuses such a batch; a mask over all of an utterance would
        teach nothing either.
        """
        batch, n_frames, _ = features.shape
        config = self.hubert.config
        is_long = n_frames > config.mask_time_length
        if not self.training or is_long or config.mask_time_prob == 0:
            return None
        return torch.zeros(batch, n_frames, dtype=torch.bool, device=features.device)


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise UserError(
            f"{name}: {value} in frontend_conf must lie between {lowest} and "
            f"{highest} for this encoder."
        )
