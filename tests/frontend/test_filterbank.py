"""The first convolution that begins as band-pass filters."""

import numpy as np
import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.checkpoint import load_hubert
from tests.speech import TINY_HUBERT

MODEL = {
    **TINY_HUBERT,
    "conv_dim": [32, 8],
    "conv_kernel": [160, 13],
    "conv_stride": [20, 16],
}


def test_each_band_answers_most_to_its_own_frequency():
    conv = load_hubert({**MODEL, "init_filterbank": True}).model.feature_extractor
    filters = conv.conv_layers[0].conv.weight.detach().squeeze(1).double().numpy()
    spectra = np.abs(np.fft.rfft(filters, 16000))
    peaks = spectra.argmax(axis=1)  # bins of 1 Hz
    # The mel scale of the field's formula, evenly from 60 to 7400 Hz.
    mel = np.linspace(*(2595 * np.log10(1 + np.array([60, 7400]) / 700)), 16)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    for half in (peaks[1:16], peaks[17:]):  # the lowest fits no whole period
        np.testing.assert_allclose(half, hertz[1:], rtol=0.05, atol=20)
    # A cosine and a sine: together they answer to a tone whatever its phase.
    seconds = np.arange(160) / 16000
    tones = [np.cos(2 * np.pi * hertz[8] * seconds + phase) for phase in (0, 1, 2)]
    answers = [np.hypot(filters[8] @ tone, filters[24] @ tone) for tone in tones]
    np.testing.assert_allclose(answers, answers[0], rtol=0.02)


def test_all_other_weights_are_those_without():
    plain = load_hubert(MODEL).model.state_dict()
    begun = load_hubert({**MODEL, "init_filterbank": True}).model.state_dict()
    different = [name for name in plain if not torch.equal(plain[name], begun[name])]
    assert different == ["feature_extractor.conv_layers.0.conv.weight"]


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(UserError, match="needs an even number in conv_dim, not 5"):
        load_hubert({**MODEL, "conv_dim": [5, 8], "init_filterbank": True})
