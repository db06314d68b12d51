"""What is computed from waveforms to be predicted from them.

Clusters are made of MFCC or of a hidden layer: a vector for each of HuBERT's frames,
``(n - 400) // 320 + 1`` of n samples. :class:`SoundSummary` describes an utterance as a
whole. All of them begin with a waveform of zero mean and unit variance, so that targets
do not depend on how loud a recording is.
"""

from collections.abc import Callable

import librosa
import numpy as np
import torch
from torch import nn

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.pretraining.crops import FRAME_LENGTH, FRAME_SHIFT, count_frames

_FFT = 512
_SUMMARY_FFT = 1024  # longer than a frame and a period, so that none wraps around
_FLOOR = 1e-4
"""Added to a band's power before the logarithm; waveforms have unit variance."""
_HIGHEST, _LOWEST = 400, 80
"""Range of pitches in Hz."""


FrameFeatures = Callable[[np.ndarray], np.ndarray]
"""Function from (samples,) float32 at 16 kHz to (frames, size) float32."""


def mfcc(waveform: np.ndarray) -> np.ndarray:
    """Return 13 mel cepstral coefficients with first and second differences.

    As HuBERT's: they are taken every 10 ms, so that differences span speech sounds, and
    every second one is kept.

    Args:
        waveform: (samples,) float32 at 16 kHz.

    Returns:
        (frames, 39) float32.
    """
    cepstra = _cepstra(waveform, FRAME_SHIFT // 2, n_mels=40, n_mfcc=13)
    # Width 5; "nearest" also serves utterances shorter than that.
    differences = (
        librosa.feature.delta(cepstra, width=5, order=order, mode="nearest")
        for order in (1, 2)
    )
    stacked = np.concatenate([cepstra, *differences])
    return np.ascontiguousarray(stacked[:, ::2].T, dtype=np.float32)


def _cepstra(waveform: np.ndarray, shift: int, n_mels: int, n_mfcc: int) -> np.ndarray:
    """Return (n_mfcc, frames) cepstra of 25 ms windows."""
    waveform = waveform - waveform.mean()
    waveform = waveform / np.sqrt(waveform.var() + 1e-7)
    emphasised = np.append(waveform[:1], waveform[1:] - 0.97 * waveform[:-1])
    mel = librosa.feature.melspectrogram(
        # The window of 400 samples lies in the middle of the transform's.
        y=np.pad(emphasised, (_FFT - FRAME_LENGTH) // 2),
        sr=SAMPLE_RATE,
        n_fft=_FFT,
        win_length=FRAME_LENGTH,
        hop_length=shift,
        center=False,
        n_mels=n_mels,
        fmin=20,
    )
    return librosa.feature.mfcc(S=np.log(mel + 1e-5), n_mfcc=n_mfcc)


class HiddenLayer:
    """The output of a transformer layer of a HuBERT.

    Args:
        model: Encoder, as :func:`.checkpoint.load_hubert` takes it.
        layer: Number of the layer, from 1; those above are not computed.

    Raises:
        UserError: The encoder is not available or has fewer layers.
    """

    def __init__(self, model: str, layer: int):
        depth = load_hubert(model).model.config.num_hidden_layers
        if not 1 <= layer <= depth:
            raise UserError(
                f"{model} has no layer {layer}: give --layer from 1 to {depth}."
            )
        self._frontend = HubertFrontend(
            model, config_overrides={"num_hidden_layers": layer}
        ).eval()

    @torch.inference_mode()
    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Map (samples,) to (frames, hidden size)."""
        features, _ = self._frontend(
            torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
        )
        return features[0].numpy()


def check_frames(utt: str, features: np.ndarray, samples: int) -> None:
    """Check that there is a finite vector for every frame.

    Raises:
        UserError: There is not.
    """
    if len(features) != count_frames(samples):
        raise RuntimeError(
            f"{utt}: {len(features)} vectors for {count_frames(samples)} frames"
        )
    if not np.isfinite(features).all():
        raise UserError(
            f"Utterance {utt} gives features that are not finite: leave it out, or "
            "train the model that they come from with a lower learning rate."
        )


class SoundSummary(nn.Module):
    """What an utterance sounds like as a whole: spectrum over time, and pitch.

    A vocal tract, a microphone and a room leave their mark on the mean of the spectrum,
    the sounds that a language prefers on its deviation, and the voice on how similar a
    frame is to itself one period later. Levels leave none: every frame is relative to
    its own. Nothing in it is learned.

    Args:
        n_mels: Number of bands, evenly spaced on the mel scale.
        n_pitches: Number of pitches, evenly spaced on a logarithmic scale.

    Attributes:
        size: Size of a description.
    """

    filters: torch.Tensor
    window: torch.Tensor
    periods: torch.Tensor

    def __init__(self, n_mels: int = 40, n_pitches: int = 16):
        super().__init__()
        filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_SUMMARY_FFT, n_mels=n_mels)
        highest, lowest = torch.tensor([_HIGHEST, _LOWEST]).log10().tolist()
        periods = SAMPLE_RATE / torch.logspace(highest, lowest, n_pitches)
        for name, constant in (
            ("filters", torch.from_numpy(filters.T.copy())),
            ("window", torch.hann_window(FRAME_LENGTH)),
            ("periods", periods.round().long()),
        ):
            self.register_buffer(name, constant, persistent=False)
        self.size = 2 * n_mels + n_pitches

    @torch.no_grad()
    def forward(self, waveforms: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Describe waveforms.

        Args:
            waveforms: (batch, samples) float32 at 16 kHz.
            frames: (batch, frames) bool, true on HuBERT's frames that are described.

        Returns:
            (batch, 2 * n_mels + n_pitches) float32, over these frames: the mean of
            each band's power, in natural logarithm and relative to the mean of the
            frame's bands; its standard deviation; the mean of the autocorrelation
            after a period of each pitch, from high to low.
        """
        deviation, level = torch.std_mean(waveforms, dim=1, keepdim=True)
        normal = (waveforms - level) / (deviation + 1e-7)
        pieces = normal.unfold(1, FRAME_LENGTH, FRAME_SHIFT) * self.window
        power = torch.fft.rfft(pieces, _SUMMARY_FFT).abs().square()
        bands = torch.log(power @ self.filters + _FLOOR)
        bands = bands - bands.mean(dim=2, keepdim=True)
        mean = mean_over(bands, frames)
        variance = mean_over((bands - mean.unsqueeze(1)).square(), frames)
        correlation = torch.fft.irfft(power, _SUMMARY_FFT)
        alike = correlation[..., self.periods] / (correlation[..., :1] + _FLOOR)
        return torch.cat([mean, variance.sqrt(), mean_over(alike, frames)], dim=1)


def mean_over(vectors: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Take the mean over some frames.

    Args:
        vectors: (batch, frames, size).
        frames: (batch, frames) bool.

    Returns:
        (batch, size), zero where no frame is taken.
    """
    weights = frames.to(vectors.dtype).unsqueeze(2)
    return (vectors * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
