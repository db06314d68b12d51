"""Frames to be clustered, one for each of HuBERT's."""

import librosa
import numpy as np
import pytest
import scipy.fft
import torch
from transformers import HubertConfig, HubertModel

from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.crops import count_frames
from espnet2_cltm.pretraining.features import HiddenLayer, Mfcc, check_frames
from tests.speech import TINY_HUBERT, voice


def waveform(samples=16000, seed=0):
    return (voice("f", seed, samples) / 32768).astype(np.float32)


@pytest.fixture(scope="module")
def two_layers(tmp_path_factory):
    """A HuBERT of two layers, as save_pretrained writes it."""
    directory = tmp_path_factory.mktemp("hubert")
    model = HubertModel(HubertConfig(**{**TINY_HUBERT, "num_hidden_layers": 2}))
    model.save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(
        '{"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": true,'
        ' "feature_size": 1, "padding_value": 0.0, "sampling_rate": 16000}'
    )
    return directory, model.eval()


@pytest.mark.parametrize("samples", [400, 719, 720, 8000, 16079, 16080])
def test_there_is_a_vector_for_every_frame(samples, two_layers):
    for features, size in (
        (Mfcc(), 39),
        (HiddenLayer(str(two_layers[0]), 1), 16),
    ):
        frames = features(waveform(samples))
        assert frames.shape == (count_frames(samples), size)
        assert frames.dtype == np.float32
        check_frames("a", frames, samples)


def test_level_does_not_matter():
    np.testing.assert_allclose(
        Mfcc()(waveform()), Mfcc()(0.1 * waveform()), rtol=1e-2, atol=1e-2
    )


def test_cepstra_are_those_of_the_frames_own_samples():
    """Frame 3, by hand: its 400 samples, Hann, power, mel, log, orthonormal cosine."""
    speech = waveform()
    normal = (speech - speech.mean()) / np.sqrt(speech.var() + 1e-7)
    emphasised = np.append(normal[:1], normal[1:] - 0.97 * normal[:-1])
    frame = emphasised[3 * 320 : 3 * 320 + 400] * np.hanning(401)[:-1]
    # The transform's phase does not matter to its power, so neither does the padding.
    power = np.abs(np.fft.rfft(frame, 512)) ** 2
    mel = librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, fmin=20) @ power
    wanted = scipy.fft.dct(np.log(mel + 1e-5), norm="ortho")[:13]
    # librosa's decibel conversion does not take part: S is given.
    np.testing.assert_allclose(Mfcc()(speech)[3, :13], wanted, rtol=1e-3, atol=1e-3)


def test_a_hidden_layer_is_transformers_own(two_layers):
    directory, model = two_layers
    speech = waveform(6400)
    normal = (speech - speech.mean()) / np.sqrt(speech.var() + 1e-7)
    states = model(torch.from_numpy(normal)[None], output_hidden_states=True)
    for layer in (1, 2):
        np.testing.assert_allclose(
            HiddenLayer(str(directory), layer)(speech),
            states.hidden_states[layer][0].detach().numpy(),
            atol=1e-4,
        )


def test_a_layer_that_is_not_there_is_refused(two_layers):
    with pytest.raises(UserError, match="has no layer 3: give --layer from 1 to 2"):
        HiddenLayer(str(two_layers[0]), 3)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(
        UserError, match="Utterance a gives features that are not finite"
    ):
        check_frames("a", np.full((1, 2), np.nan, np.float32), 400)
