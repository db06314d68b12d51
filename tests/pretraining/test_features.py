"""What is computed from waveforms: frames' features, and a summary of the sound."""

import librosa
import numpy as np
import pytest
import scipy.fft
import torch
from transformers import HubertConfig, HubertModel

from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.crops import count_frames
from espnet2_cltm.pretraining.features import (
    HiddenLayer,
    SoundSummary,
    check_frames,
    mean_over,
    mfcc,
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
        (mfcc, 39),
        (HiddenLayer(str(two_layers[0]), 1), 16),
    ):
        frames = features(waveform(samples))
        assert frames.shape == (count_frames(samples), size)
        assert frames.dtype == np.float32
        check_frames("a", frames, samples)


def test_level_does_not_matter():
    np.testing.assert_allclose(
        mfcc(waveform()), mfcc(0.1 * waveform()), rtol=1e-2, atol=1e-2
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
    np.testing.assert_allclose(mfcc(speech)[3, :13], wanted, rtol=1e-3, atol=1e-3)


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


FRAMES = 20
SAMPLES = (FRAMES - 1) * 320 + 400


def waveforms():
    rows = [voice(gender, 1, SAMPLES) / 32768 for gender in "fm"]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def some_frames():
    frames = torch.zeros(2, FRAMES, dtype=torch.bool)
    frames[0, ::3] = frames[1, 5:] = True
    return frames


def every_frame(utterances=2):
    return torch.ones(utterances, FRAMES, dtype=torch.bool)


def normal(waveform):
    return (waveform - waveform.mean()) / waveform.std(ddof=1)


def bands_by_librosa(waveform, frames):
    power = librosa.feature.melspectrogram(
        # A window of 400 samples lies in the middle of librosa's 1024.
        y=np.pad(normal(waveform), 312),
        sr=16000,
        n_fft=1024,
        win_length=400,
        hop_length=320,
        center=False,
        n_mels=40,
    )
    bands = np.log(power + 1e-4)
    bands = (bands - bands.mean(axis=0))[:, frames]
    return np.concatenate([bands.mean(axis=1), bands.std(axis=1)])


def periodicity_by_numpy(waveform, frames):
    alike = []
    for frame in np.flatnonzero(frames):
        piece = normal(waveform)[frame * 320 : frame * 320 + 400]
        piece = piece * np.hanning(401)[:-1]
        correlation = np.correlate(piece, piece, "full")[399:]
        periods = np.rint(16000 / np.geomspace(400, 80, 16)).astype(int)
        alike.append(correlation[periods] / (correlation[0] + 1e-4))
    return np.mean(alike, axis=0)


def test_it_is_spectrum_and_periodicity_of_the_frames_that_count():
    summarise = SoundSummary()
    summary = summarise(waveforms(), some_frames())
    assert summary.shape == (2, summarise.size) == (2, 96)
    assert summary.dtype == torch.float32
    for row, waveform, frames in zip(summary, waveforms(), some_frames(), strict=True):
        speech, counted = waveform.double().numpy(), frames.numpy()
        np.testing.assert_allclose(
            row[:80].numpy(), bands_by_librosa(speech, counted), atol=2e-3
        )
        np.testing.assert_allclose(
            row[80:].numpy(), periodicity_by_numpy(speech, counted), atol=1e-4
        )


@pytest.mark.parametrize(("gain", "offset"), [(0.01, 0.0), (3.0, 0.0), (1.0, 0.2)])
def test_neither_level_nor_offset_matters(gain, offset):
    summarise = SoundSummary()
    plain = summarise(waveforms(), some_frames())
    changed = summarise(gain * waveforms() + offset, some_frames())
    torch.testing.assert_close(changed, plain, atol=1e-2, rtol=0)


def test_a_microphone_that_amplifies_high_sounds_raises_their_mean():
    summarise = SoundSummary()
    plain = summarise(waveforms(), every_frame())
    bright = torch.diff(waveforms(), prepend=torch.zeros(2, 1))
    change = (summarise(bright, every_frame()) - plain)[:, :40]
    assert (change[:, 30:].mean(dim=1) > change[:, :10].mean(dim=1) + 0.5).all()


@pytest.mark.parametrize("place", [0, 5, 10])
def test_a_pitch_is_where_a_voice_is_alike_to_itself(place):
    period = round(16000 / np.geomspace(400, 80, 16)[place])
    pulses = torch.zeros(1, SAMPLES)
    pulses[:, ::period] = 1.0
    periodicity = SoundSummary()(pulses, every_frame(1))[0, 80:]
    assert int(periodicity.argmax()) == place


def test_a_mean_over_all_frames_is_the_mean():
    vectors = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
    everything = torch.ones(3, 7, dtype=torch.bool)
    torch.testing.assert_close(mean_over(vectors, everything), vectors.mean(dim=1))
    one = torch.zeros(3, 7, dtype=torch.bool)
    one[:, 4] = True
    torch.testing.assert_close(mean_over(vectors, one), vectors[:, 4])


def test_a_mean_over_no_frame_is_zero():
    assert not mean_over(torch.ones(1, 7, 5), torch.zeros(1, 7, dtype=torch.bool)).any()
