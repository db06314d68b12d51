"""Summaries of sound: librosa's mel spectrogram and numpy's autocorrelation."""

import librosa
import numpy as np
import pytest
import torch

from espnet2_cltm.pretraining.sound_summary import SoundSummary, mean_over
from tests.speech import voice

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
