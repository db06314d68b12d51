"""What an utterance sounds like as a whole: spectrum over time, and pitch.

A vocal tract, a microphone and a room leave their mark on the mean of the spectrum,
the sounds that a language prefers on its deviation, and the voice on how alike a frame
is to itself one period later. Levels leave none: every frame is relative to its own.
"""

import librosa
import torch
from torch import nn

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.pretraining.crops import FRAME_LENGTH, FRAME_SHIFT

_FFT = 1024  # longer than a frame and a period, so that none wraps around

_FLOOR = 1e-4
"""Added to a band's power before the logarithm; waveforms have unit variance."""

_HIGHEST, _LOWEST = 400, 80
"""Hz, of pitches."""


class SoundSummary(nn.Module):
    """Describes waveforms by some of their frames; nothing in it is learned.

    Args:
        n_mels: Bands, evenly on the mel scale.
        n_pitches: Pitches, evenly on a logarithmic scale.

    Attributes:
        size: Of a description.
    """

    def __init__(self, n_mels: int = 40, n_pitches: int = 16):
        super().__init__()
        filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_FFT, n_mels=n_mels)
        periods = SAMPLE_RATE / torch.logspace(
            *torch.tensor([_HIGHEST, _LOWEST]).log10().tolist(), n_pitches
        )
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
            frames: (batch, frames) bool, true on those of HuBERT's frames that count.

        Returns:
            (batch, 2 * n_mels + n_pitches) float32, over these frames: the mean of
            each band's power, in natural logarithm and relative to the mean of the
            frame's bands; its standard deviation; the mean of the autocorrelation
            after a period of each pitch, from high to low.
        """
        deviation, mean = torch.std_mean(waveforms, dim=1, keepdim=True)
        normal = (waveforms - mean) / (deviation + 1e-7)
        pieces = normal.unfold(1, FRAME_LENGTH, FRAME_SHIFT) * self.window
        power = torch.fft.rfft(pieces, _FFT).abs().square()
        bands = torch.log(power @ self.filters + _FLOOR)
        bands = bands - bands.mean(dim=2, keepdim=True)
        mean = mean_over(bands, frames)
        variance = mean_over((bands - mean.unsqueeze(1)).square(), frames)
        correlation = torch.fft.irfft(power, _FFT)
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
