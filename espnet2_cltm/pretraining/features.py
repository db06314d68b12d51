"""What targets are made of: MFCC, a hidden layer, an utterance's voice.

The first two give a vector for each of HuBERT's frames, ``(n - 400) // 320 + 1`` of n
samples. All begin with a waveform of zero mean and unit variance, so that targets do
not depend on how loud a recording is.
"""

from abc import ABC, abstractmethod

import librosa
import numpy as np
import torch

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.pretraining.crops import FRAME_LENGTH, FRAME_SHIFT, count_frames

_FFT = 512

PITCH_SIZE = 2
"""How many values at the end of a voice are of its pitch."""


class FrameFeatures(ABC):
    """Gives a vector for every frame of an utterance."""

    @abstractmethod
    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Map (samples,) float32 at 16 kHz to (frames, size) float32."""


class Mfcc(FrameFeatures):
    """13 mel cepstral coefficients with first and second differences, as HuBERT's.

    They are taken every 10 ms, so that differences span speech sounds, and every
    second one is kept.
    """

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Map (samples,) to (frames, 39)."""
        cepstra = _cepstra(waveform, FRAME_SHIFT // 2, n_mels=40, n_mfcc=13)
        # Width 5; "nearest" also serves utterances shorter than that.
        stacked = np.concatenate(
            [
                cepstra,
                *(
                    librosa.feature.delta(cepstra, width=5, order=order, mode="nearest")
                    for order in (1, 2)
                ),
            ]
        )
        return np.ascontiguousarray(stacked[:, ::2].T, dtype=np.float32)


def describe_voice(waveform: np.ndarray) -> np.ndarray:
    """Describe an utterance as a whole: who speaks and how, not what.

    Mean and deviation over time of 40 cepstral coefficients, without the mean level,
    and of the logarithm of the pitch where there is one (0 where nothing is voiced).
    What is being said averages out; vocal tract, pitch and manner of speaking are left.

    Args:
        waveform: (samples,) float32 at 16 kHz, a frame or longer.

    Returns:
        (81,) float32.
    """
    cepstra = _cepstra(waveform, FRAME_SHIFT, n_mels=80, n_mfcc=40)
    log_pitch, is_voiced = _pitch(waveform)
    log_pitch = log_pitch[is_voiced] - np.log(150) if is_voiced.any() else np.zeros(1)
    return np.concatenate(
        [
            cepstra.mean(axis=1)[1:],
            cepstra.std(axis=1),
            [log_pitch.mean(), log_pitch.std()],
        ]
    ).astype(np.float32)


def _pitch(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the pitch of each frame by autocorrelation.

    Returns:
        (frames,) natural logarithm of Hz, from 60 to 400, and (frames,) true where the
        frame is voiced: louder than a tenth of the utterance's power, and alike by
        more than 0.5 one period later. Frames are heard for 50 ms around their middle.
    """
    size, shift = 800, FRAME_SHIFT
    padded = np.pad(waveform - waveform.mean(), (size - FRAME_LENGTH) // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::shift]
    frames = frames * np.hanning(size)
    transform = 2048  # holds all lags without wrapping around
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, transform)) ** 2)
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), transform)) ** 2)
    lags = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 60 + 1)
    power = np.maximum(correlation[:, :1], 1e-9)
    alike = correlation[:, lags] / power / (window[lags] / window[0])
    # The first peak that is nearly the highest: twice the period is as good as one.
    first = (alike > 0.9 * alike.max(axis=1, keepdims=True)).argmax(axis=1)
    is_first_peak = (lags >= lags[first][:, None]) & (
        lags < 1.25 * lags[first][:, None]
    )
    best = np.where(is_first_peak, alike, -np.inf).argmax(axis=1)
    log_pitch = np.log(SAMPLE_RATE / lags[best])
    loud = power[:, 0] > 0.1 * power[:, 0].mean()
    return log_pitch, loud & (alike.max(axis=1) > 0.5)


def _cepstra(waveform: np.ndarray, shift: int, n_mels: int, n_mfcc: int) -> np.ndarray:
    """Give (n_mfcc, frames) cepstra of 25 ms windows."""
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


class HiddenLayer(FrameFeatures):
    """The output of a transformer layer of a HuBERT.

    Args:
        model: See :func:`.checkpoint.load_hubert`.
        layer: From 1 to the number of layers; those above are not computed.

    Raises:
        UserError: The encoder can't be had or has fewer layers.
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
