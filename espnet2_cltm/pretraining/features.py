"""What clusters are made of: MFCC, or a hidden layer.

Both give a vector for each of HuBERT's frames, ``(n - 400) // 320 + 1`` of n samples,
and begin with a waveform of zero mean and unit variance, so that targets do
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
