"""Frames to be clustered, one for each of HuBERT's; voices of whole utterances."""

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
from transformers import HubertConfig, HubertModel

from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.crops import count_frames
from espnet2_cltm.pretraining.features import (
    HiddenLayer,
    Mfcc,
    check_frames,
    describe_voice,
)
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


@pytest.mark.parametrize("features", [Mfcc(), describe_voice])
def test_level_does_not_matter(features):
    np.testing.assert_allclose(
        features(waveform()), features(0.1 * waveform()), rtol=1e-2, atol=1e-2
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


def test_a_voice_is_mean_and_deviation_of_cepstra():
    speech = waveform()
    voice = describe_voice(speech)
    assert voice.shape == (81,) and voice.dtype == np.float32
    # MFCC has other bands than a voice: 80 in place of 40, 40 coefficients of them.
    normal = (speech - speech.mean()) / np.sqrt(speech.var() + 1e-7)
    emphasised = np.append(normal[:1], normal[1:] - 0.97 * normal[:-1])
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, 400)[::320]
    power = (
        np.abs(np.fft.rfft(windows * scipy.signal.get_window("hann", 400), 512)) ** 2
    )
    mel = power @ librosa.filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=20).T
    cepstra = scipy.fft.dct(np.log(mel + 1e-5), norm="ortho")[:, :40]
    np.testing.assert_allclose(voice[:39], cepstra.mean(axis=0)[1:], atol=1e-3)
    np.testing.assert_allclose(voice[39:79], cepstra.std(axis=0), atol=1e-3)


def test_a_voice_knows_its_pitch():
    seconds = np.arange(16000) / 16000
    for hertz in (80.0, 140.0, 330.0):
        glide = hertz * (1 + 0.02 * np.sin(2 * np.pi * 3 * seconds))
        phase = np.cumsum(glide) / 16000
        harmonics = sum(np.cos(2 * np.pi * k * phase) / k for k in range(1, 9))
        mean, deviation = describe_voice(harmonics.astype(np.float32))[-2:]
        assert np.exp(mean) * 150 == pytest.approx(hertz, rel=0.02)
        assert 0 < deviation < 0.1


def test_noise_has_no_pitch():
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    assert describe_voice(noise)[-2:].tolist() == [0, 0]


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
