"""hubert-small, the encoder that comes with the package."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.experiment.encoder_identity import encoder_identity
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.frontend.shipped import SHIPPED, locate_encoder
from tests.speech import voice


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
    assert json.loads((directory / "config.json").read_text())["dtype"] == "float16"


def test_its_card_tells_where_it_comes_from(directory):
    card = (directory / "README.md").read_text()
    for heading in ("Data", "Targets", "Training", "Limits", "Licence"):
        assert f"## {heading}\n" in card
    assert "license: apache-2.0" in card
    assert "not known" not in card and "Not probed yet" not in card


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
    model = AutoModel.from_pretrained(directory, dtype=torch.float32).eval()
    values = extractor(speech, sampling_rate=16000, return_tensors="pt").input_values
    frontend = HubertFrontend(directory.name).eval()
    with torch.inference_mode():
        wanted = model(values).last_hidden_state
        features, lengths = frontend(
            torch.from_numpy(speech)[None], torch.tensor([len(speech)])
        )
    assert lengths.tolist() == [wanted.shape[1]]
    torch.testing.assert_close(features, wanted, rtol=1e-3, atol=1e-3)
