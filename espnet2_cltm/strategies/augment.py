"""Augmentation of the training speech: tempo, room, noise, level.

The disturbances are those of pretraining (:mod:`espnet2_cltm.corpus.augmentation`).
What an utterance gets depends on the seed, the epoch, the batch within it and the
waveform, so that no number of workers and no other utterance changes it. It is drawn in
the training process, in front of the frontend; what is tested is not disturbed.
"""

import zlib
from typing import Any

import numpy as np
import torch
from torch import nn

from espnet2_cltm.corpus.augmentation import Augmentation
from espnet2_cltm.corpus.tempo import change_tempo
from espnet2_cltm.frontend.batches import batch_of
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.strategies.strategy import Strategy, frontend_of, is_number, require


class Augment(Strategy):
    """Train everything, on speech that is disturbed anew in every batch.

    Args:
        prob: Probability that an utterance is disturbed; 0 leaves everything as in
            ``full``.
        tempo: Range of the factor of the tempo, at the same pitch; ``[1, 1]`` for none.
        reverb_prob: As in :class:`.Augmentation`, like those that follow.
        rt60: As there.
        direct_to_reverberant: As there.
        noise_prob: As there.
        noise_snr: As there.
        noise_slope: As there.
        level: As there.

    Raises:
        UserError: An option has a value that it cannot have.
    """

    def __init__(
        self,
        prob: float = 0.5,
        tempo: tuple[float, float] = (0.9, 1.1),
        reverb_prob: float = 0.3,
        rt60: tuple[float, float] = (0.1, 0.8),
        direct_to_reverberant: tuple[float, float] = (-3.0, 12.0),
        noise_prob: float = 0.5,
        noise_snr: tuple[float, float] = (5.0, 30.0),
        noise_slope: tuple[float, float] = (0.0, 2.0),
        level: tuple[float, float] = (-10.0, 6.0),
    ):
        is_share = is_number(prob) and 0 <= prob <= 1
        require(is_share, "prob", prob, "a probability from 0 to 1")
        are_two = isinstance(tempo, list | tuple) and len(tempo) == 2
        require(
            are_two and all(map(is_number, tempo)) and 0.5 <= tempo[0] <= tempo[1] <= 2,
            "tempo",
            tempo,
            "[lowest, highest] between 0.5 and 2",
        )
        self.prob = prob
        self.tempo = tempo
        self.augmentation = Augmentation(
            reverb_prob=reverb_prob,
            rt60=rt60,
            direct_to_reverberant=direct_to_reverberant,
            noise_prob=noise_prob,
            noise_snr=noise_snr,
            noise_slope=noise_slope,
            level=level,
            band_prob=0.0,
            babble_prob=0.0,
            codec_prob=0.0,
        )
        self._seed = self._epoch = self._batch = 0

    def prepare(self, model: nn.Module) -> None:
        """Put the disturbances in front of the frontend.

        Raises:
            UserError: The model has no frontend.
        """
        frontend = frontend_of(model, "augment")
        self._seed = torch.initial_seed()
        if self.prob == 0:
            return
        if isinstance(frontend, HubertFrontend):
            frontend.reuses_while_training = False  # no waveform comes again
        frontend.register_forward_pre_hook(self._disturb_batch)

    def on_epoch(self, model: nn.Module, epoch: int) -> None:
        """Note the epoch."""
        self._epoch, self._batch = epoch, 0

    def on_step(self, model: nn.Module, step: int) -> None:
        """Note the batch."""
        self._batch += 1

    def disturb(self, waveform: np.ndarray) -> np.ndarray:
        """Return a (samples,) float32 waveform as this batch disturbs it."""
        random = np.random.default_rng(
            (self._seed, self._epoch, self._batch, zlib.crc32(waveform.tobytes()))
        )
        if random.random() >= self.prob:
            return waveform
        waveform = change_tempo(waveform, float(random.uniform(*self.tempo)))
        channel = self.augmentation.draw_channel(random)
        return self.augmentation.disturb(waveform, (), channel, random)

    def _disturb_batch(
        self, frontend: nn.Module, inputs: tuple[Any, ...]
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Disturb (batch, samples) waveforms with their lengths, while training."""
        if not frontend.training:
            return None
        speech, lengths = inputs
        on_cpu = speech.detach().cpu().numpy()
        rows = zip(on_cpu, lengths.tolist(), strict=True)
        disturbed = (self.disturb(row[:length]) for row, length in rows)
        return batch_of(disturbed, speech.device)
