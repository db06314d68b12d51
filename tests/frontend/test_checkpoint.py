"""Reading encoders: hubert-small, which comes with the package, and random ones."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.encoder import encoder_identity
from espnet2_cltm.frontend.checkpoint import (
    SHIPPED,
    _read_once,
    load_hubert,
    locate_encoder,
)
from espnet2_cltm.frontend.hubert import HubertFrontend
from tests.speech import TINY_HUBERT, voice

RECIPE = Path(__file__).parents[2] / "egs2" / "cltm" / "ssl1"
WITH_BANDS = {
    **TINY_HUBERT,
    "conv_dim": [32, 8],
    "conv_kernel": [160, 13],
    "conv_stride": [20, 16],
}


@pytest.fixture(params=SHIPPED)
def directory(request):
    return Path(locate_encoder(request.param))


def waveform(gender, seed):
    return (voice(gender, seed, 32000) / 32768).astype(np.float32)


def test_it_is_small_and_in_half_precision(directory):
    files = {path.name for path in directory.iterdir()}
    assert files == {
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert sum(path.stat().st_size for path in directory.iterdir()) < 20e6
    with safe_open(directory / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {  # noqa: SIM118
            torch.float16
        }


def test_its_card_tells_where_it_comes_from(directory):
    card = (directory / "README.md").read_text()
    for heading in ("Data", "Targets", "Training", "Limits", "Licence"):
        assert f"## {heading}\n" in card
    assert "license: apache-2.0" in card
    assert re.search(r"commit `[0-9a-f]{40}`", card)
    assert re.search(r"seed \d+", card)
    assert "not known" not in card and "Not probed yet" not in card
    for corpus in ("demo", "common_voice"):
        for features in ("trained layer 4", "random layer 4", "log-mel mean+sd"):
            assert f"| {corpus} | {features} |" in card


def test_it_is_what_the_recipe_describes(directory):
    wanted = yaml.safe_load((RECIPE / "conf" / "hubert_small.yaml").read_text())
    config = json.loads((directory / "config.json").read_text())
    for name, value in wanted.items():
        if name not in ("init_seed", "init_filterbank", "normalize_waveform"):
            assert config[name] == value, name


def test_it_is_read_whole(directory):
    checkpoint = load_hubert(directory.name)
    assert checkpoint.normalize_waveform
    state = checkpoint.model.state_dict()
    with safe_open(directory / "model.safetensors", "pt") as weights:
        assert set(weights.keys()) == set(state)
        for name, value in state.items():
            assert torch.equal(value, weights.get_tensor(name).float()), name
            assert value.isfinite().all(), name


def test_it_is_not_what_training_began_with(directory):
    start = load_hubert(str(RECIPE / "conf" / "hubert_small.yaml")).model.state_dict()
    for name, value in load_hubert(directory.name).model.state_dict().items():
        assert not torch.allclose(value, start[name], atol=1e-3), name


@pytest.mark.parametrize("samples", [400, 16000, 51234])
def test_its_features_are_finite_and_do_not_depend_on_the_level(directory, samples):
    frontend = HubertFrontend(directory.name).eval()
    speech = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([samples, samples])
    with torch.inference_mode():
        features, frames = frontend(speech, lengths)
        quieter, _ = frontend(0.01 * speech, lengths)
    assert features.shape == (2, int(frames[0]), frontend.output_size())
    assert features.isfinite().all()
    assert not torch.allclose(features[0], features[1], atol=1e-2)
    torch.testing.assert_close(quieter, features, atol=2e-2, rtol=0)


def test_it_is_known_by_its_name_wherever_one_is(directory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_name = load_hubert(directory.name).model.state_dict()
    for name, value in load_hubert(str(directory)).model.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(by_name[name], value), name
    assert encoder_identity(directory.name) == encoder_identity(str(directory))


def test_other_names_stay_as_they_are():
    assert locate_encoder("utter-project/mHuBERT-147") == "utter-project/mHuBERT-147"
    assert locate_encoder("./hubert-small") == "./hubert-small"


def test_transformers_reads_it_and_agrees(directory):
    speech = waveform("f", 0)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(directory)
    model = AutoModel.from_pretrained(directory).eval()
    values = extractor(speech, sampling_rate=16000, return_tensors="pt").input_values
    frontend = HubertFrontend(directory.name).eval()
    with torch.inference_mode():
        wanted = model(values).last_hidden_state
        features, lengths = frontend(
            torch.from_numpy(speech)[None], torch.tensor([len(speech)])
        )
    assert lengths.tolist() == [wanted.shape[1]]
    torch.testing.assert_close(features, wanted, rtol=1e-3, atol=1e-3)


def test_each_band_answers_most_to_its_own_frequency():
    conv = load_hubert({**WITH_BANDS, "init_filterbank": True}).model.feature_extractor
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
    plain = load_hubert(WITH_BANDS).model.state_dict()
    begun = load_hubert({**WITH_BANDS, "init_filterbank": True}).model.state_dict()
    different = [name for name in plain if not torch.equal(plain[name], begun[name])]
    assert different == ["feature_extractor.conv_layers.0.conv.weight"]


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(UserError, match="needs an even number in conv_dim, not 5"):
        load_hubert({**WITH_BANDS, "conv_dim": [5, 8], "init_filterbank": True})


def test_few_encoders_are_held_in_memory():
    for seed in range(6):
        load_hubert({**TINY_HUBERT, "init_seed": seed})
    assert _read_once.cache_info().currsize == 4
