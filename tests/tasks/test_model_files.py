"""A packed model needs nothing that lies elsewhere."""

import argparse
import pickle
import zipfile

import numpy as np
import pytest
import torch
import yaml
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.checkpoint import describe_encoder, load_encoder
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.tasks.model_files import (
    PackedModel,
    load_model,
    pack_model,
    read_packed_model,
)
from tests.frontend.test_damaged_checkpoints import Opener
from tests.speech import TINY_GENDER, TINY_HUBERT, TINY_SPEAKER

# As in "large" checkpoints.
LARGE = {
    **TINY_HUBERT,
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "mask_time_prob": 0.0,
    "architectures": ["HubertForCTC"],
    "id2label": {"0": "a", "1": "b", "2": "c"},
}


def pack(path, task, config, name="1epoch.pth"):
    defaults = vars(task.get_parser().parse_args([]))
    args = argparse.Namespace(**{**defaults, "spk_num": 3, **config, "seed": 0})
    model = task.build_model(args)
    entry = {"es": {"file": name, "epoch": 1}}
    packed = PackedModel(path, "some task", "some.run", ("es",), entry)
    pack_model(path, model, args, {name: model.state_dict()}, packed)
    return model


def build(path, task, directory):
    directory.mkdir()
    return load_model(task, **read_packed_model(path).extract(directory))


def are_equal(one, two):
    states = one.state_dict(), two.state_dict()
    return states[0].keys() == states[1].keys() and all(
        weight.equal(states[1][name]) for name, weight in states[0].items()
    )


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("config", [TINY_HUBERT, LARGE], ids=["base", "large"])
def test_a_described_encoder_has_the_shape_of_the_pretrained_one(
    tmp_path, config, normalize
):
    pretrained = HubertModel(HubertConfig(**config))
    pretrained.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(tmp_path)
    checkpoint = load_encoder(str(tmp_path))
    described = describe_encoder(checkpoint.model.config, checkpoint.normalize_waveform)
    assert yaml.safe_load(yaml.safe_dump(described)) == described
    again = load_encoder(described)
    assert again.normalize_waveform is normalize
    again.model.load_state_dict(checkpoint.model.state_dict())
    speech = torch.randn(2, 4000)
    with torch.inference_mode():
        expected = checkpoint.model(speech).last_hidden_state
        assert again.model(speech).last_hidden_state.equal(expected)


def test_changes_to_an_encoder_come_with_the_model(tmp_path):
    frontend = {"model": TINY_HUBERT, "config_overrides": {"hidden_size": 24}}
    path = tmp_path / "model.zip"
    model = pack(path, LabelEspnetTask, {**TINY_GENDER, "frontend_conf": frontend})
    again = build(path, LabelEspnetTask, tmp_path / "out")
    assert again.frontend.hubert.config.hidden_size == 24
    assert are_equal(model, again)


def test_statistics_come_with_the_model(tmp_path):
    statistics = tmp_path / "feats_stats.npz"
    np.savez(
        statistics,
        **{"count": 4, "sum": np.arange(16.0), "sum_square": np.full(16, 100.0)},
    )
    config = {
        **TINY_SPEAKER,
        "normalize": "global_mvn",
        "normalize_conf": {"stats_file": str(statistics)},
    }
    path = tmp_path / "model.zip"
    model = pack(path, SpeakerTask, config)
    statistics.unlink()
    again = build(path, SpeakerTask, tmp_path / "out")
    assert again.normalize.mean.equal(model.normalize.mean)
    assert are_equal(model, again)


def test_a_model_without_pretrained_encoder_is_packed_too(tmp_path):
    config = {**TINY_GENDER, "frontend": "default", "frontend_conf": {"n_mels": 20}}
    path = tmp_path / "model.zip"
    model = pack(path, LabelEspnetTask, config)
    assert are_equal(model, build(path, LabelEspnetTask, tmp_path / "out"))


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a.zip", "b.zip"):
        pack(tmp_path / name, LabelEspnetTask, TINY_GENDER)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_no_half_packed_model_is_left(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(UserError, match=r"model\.zip cannot be written \(No space"):
        pack(tmp_path / "model.zip", LabelEspnetTask, TINY_GENDER)
    assert list(tmp_path.iterdir()) == []


def rewrite(**members):
    """Replace members of a packed model."""

    def change(path):
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in {**content, **members}.items():
                archive.writestr(name, data)

    return change


def flip_bytes(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 9] = b"\xff" * 9
    path.write_bytes(content)


META = (
    "task: gender\nrun: r\nlanguages: [es]\ncheckpoints: {es: {file: %s, epoch: 1}}\n"
)
DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "other bytes": flip_bytes,
    "no zip": lambda path: path.write_bytes(b"\x80\x02"),
    "pointer": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1"
    ),
    "a date": rewrite(**{"meta.yaml": "task: 2026-13-01"}),
    "a list": rewrite(**{"meta.yaml": "[1, 2]"}),
    "not UTF-8": rewrite(**{"meta.yaml": b"\xff"}),
    "deep": rewrite(**{"meta.yaml": "[" * 9000}),
    "itself": rewrite(**{"meta.yaml": "a: &a [*a]"}),
    "huge": rewrite(**{"meta.yaml": b" " * 20_000_000}),
    "another place": rewrite(**{"meta.yaml": META % "../1epoch.pth"}),
    "missing weights": rewrite(**{"meta.yaml": META % "9epoch.pth"}),
    "no configuration": rewrite(**{"config.yaml": "{}"}),
    "odd configuration": rewrite(**{"config.yaml": "frontend_conf: 5\nclasses: 5"}),
    "empty weights": rewrite(**{"1epoch.pth": b""}),
    "text as weights": rewrite(**{"1epoch.pth": b"text"}),
    "a list of weights": rewrite(**{"1epoch.pth": pickle.dumps([1])}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused_in_a_sentence(tmp_path, damage):
    path = tmp_path / "model.zip"
    pack(path, LabelEspnetTask, TINY_GENDER)
    DAMAGES[damage](path)
    with pytest.raises(UserError) as caught:
        build(path, LabelEspnetTask, tmp_path / "out")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_packed_model_runs_nothing(tmp_path):
    path = tmp_path / "model.zip"
    pack(path, LabelEspnetTask, TINY_GENDER)
    rewrite(**{"1epoch.pth": pickle.dumps(Opener(tmp_path / "opened"))})(path)
    with pytest.raises(UserError):
        build(path, LabelEspnetTask, tmp_path / "out")
    assert not (tmp_path / "opened").exists()
