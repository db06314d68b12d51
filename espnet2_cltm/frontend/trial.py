"""Whether an encoder's features are transformers' own, alone and in a batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite, prod

import torch
from transformers import SeamlessM4TFeatureExtractor

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import foreign
from espnet2_cltm.frontend.batches import zero_mean_unit_variance
from espnet2_cltm.frontend.checkpoint import EncoderCheckpoint, describe_encoder
from espnet2_cltm.frontend.families import (
    FAMILIES,
    has_convolutions,
    receptive_field,
    windows,
)

Features = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Trial:
    """What transformers makes of an utterance, before its modules are exchanged.

    Args:
        checkpoint: The encoder as it was read.
    """

    def __init__(self, checkpoint: EncoderCheckpoint):
        self._config = checkpoint.model.config
        with self._trying():
            hop = prod(stride for _, stride in windows(self._config))
            receptive = receptive_field(self._config)
            self._sizes = receptive + 16 * hop, receptive + 40 * hop
            generator = torch.Generator().manual_seed(0)
            self._speech = 0.1 * torch.randn(self._sizes[1], generator=generator) + 0.02
            alone = self._speech[None, : self._sizes[0]]
            if not has_convolutions(self._config):
                extractor = SeamlessM4TFeatureExtractor(
                    stride=windows(self._config)[-1][1]
                )
                alone = extractor(
                    alone[0].numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt"
                ).input_features
            elif checkpoint.normalize_waveform:
                alone = zero_mean_unit_variance(alone, None)
            with torch.no_grad():  # some keep what they compute, to train on later
                self._features = checkpoint.model(alone).last_hidden_state[0]

    def require_equal_features(self, features_of: Features) -> None:
        """Compare with a frontend's features of the utterance, alone and padded.

        Args:
            features_of: Last hidden states, (batch, frames, size), of (batch, samples)
                waveforms of (batch,) numbers of samples.

        Raises:
            UserError: They differ, or are not finite.
        """
        short, long = self._sizes
        batch = self._speech.repeat(2, 1)
        batch[0, short:] = 0.0
        with self._trying(), torch.inference_mode():
            alone = features_of(batch[:1], torch.tensor([short]))
            both = features_of(batch, torch.tensor([short, long]))
            wanted = self._features
            scale = float(wanted.abs().max())
            for features in (alone[0], both[0, : len(wanted)]):
                difference = float((features - wanted).abs().max())
                if not isfinite(difference):
                    raise ValueError("they are not finite")
                if difference > 1e-3 * scale:
                    share = difference / scale
                    raise ValueError(f"they differ by {share:.2g} of the largest")

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """Name the encoder's fields where it fails, and draw no random number.

        Some versions of transformers draw in evaluation, too, which layers to drop.
        """
        usual = describe_encoder(type(self._config)(), True)
        fields = ", ".join(
            f"{name}: {value}"
            for name, value in describe_encoder(self._config, True).items()
            if value != usual.get(name)
        )
        failure = (
            "An utterance does not have transformers' own features, alone and in a "
            f"batch, with a {FAMILIES[self._config.model_type]} of {fields}"
        )
        remedy = "give another, or replace the field with config_overrides"
        with foreign(failure, remedy), torch.random.fork_rng(devices=[]):
            yield
