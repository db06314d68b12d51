"""The small HuBERT that comes with the project: complete, small, documented, usable."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open

import espnet2_cltm
from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.demo_config import read_config
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.frontend.hubert import HubertFrontend

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs2" / "cltm" / "ssl1"
CHECKPOINT = Path(espnet2_cltm.__file__).parent / "data" / "hubert-small"


def test_it_is_small_and_in_half_precision():
    sizes = [path.stat().st_size for path in CHECKPOINT.iterdir()]
    assert sum(sizes) < 20 * 2**20
    with safe_open(CHECKPOINT / "model.safetensors", "pt") as weights:
        names = list(weights.keys())
        assert {weights.get_slice(name).get_dtype() for name in names} == {"F16"}


def test_it_is_what_the_recipe_describes():
    wanted = yaml.safe_load((RECIPE / "conf" / "hubert_small.yaml").read_text())
    config = json.loads((CHECKPOINT / "config.json").read_text())
    for name, value in wanted.items():
        if name not in ("init_seed", "normalize_waveform"):
            assert config[name] == value, name


def test_it_is_read_whole_in_single_precision():
    checkpoint = load_hubert(str(CHECKPOINT))
    assert checkpoint.normalize_waveform
    state = checkpoint.model.state_dict()
    with safe_open(CHECKPOINT / "model.safetensors", "pt") as weights:
        assert set(weights.keys()) == set(state)
        for name, value in state.items():
            assert value.dtype == torch.float32
            assert torch.equal(value, weights.get_tensor(name).float()), name
            assert value.isfinite().all(), name


def test_it_is_not_its_random_beginning():
    random = load_hubert(str(RECIPE / "conf" / "hubert_small.yaml")).model.state_dict()
    for name, value in load_hubert(str(CHECKPOINT)).model.state_dict().items():
        assert not torch.allclose(value, random[name], atol=1e-3), name


@pytest.mark.parametrize("samples", [400, 16000, 51234])
def test_its_features_are_finite_and_those_of_the_waveform(samples):
    frontend = HubertFrontend(str(CHECKPOINT)).eval()
    speech = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    features, lengths = frontend(speech, torch.tensor([samples, samples]))
    assert features.shape == (2, int(lengths[0]), 128)
    assert features.isfinite().all()
    assert not torch.allclose(features[0], features[1], atol=1e-2)
    quieter, _ = frontend(0.01 * speech, torch.tensor([samples, samples]))
    torch.testing.assert_close(quieter, features, atol=2e-2, rtol=0)


def test_its_card_tells_where_it_comes_from():
    card = (CHECKPOINT / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert re.search(r"commit `[0-9a-f]{40}`", card)
    assert re.search(r"seed \d+", card)
    for heading in ("Data", "Targets", "Training", "Limits", "Licence"):
        assert f"## {heading}" in card
    assert "| demo | log-mel mean+sd |" in card


def test_nothing_of_the_demo_is_in_its_data():
    demo = read_config(ROOT / "conf" / "demo.yaml")
    ours = read_config(RECIPE / "conf" / "corpus.yaml")
    assert len(ours.languages) >= 40
    assert not set(ours.languages) & {
        *demo.languages,
        "zh",
        "es-419",
        "es-mx",
        "pl",
        "ur",
    }
    assert set(ours.languages) <= set(espeak.language_files())
    assert ours.seed != demo.seed
    assert not set(ours.prompts) & set(demo.prompts)
    for gender, voices in demo.voices.items():
        assert not set(ours.voices[gender].variants) & set(voices.variants)
    for name in ("rate", "volume", "flutter", "single_formants", "intonation"):
        lowest, highest = getattr(demo, name)
        wider = getattr(ours, name)
        assert wider[0] <= lowest and highest <= wider[1], name
