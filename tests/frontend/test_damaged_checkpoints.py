"""Checkpoints as people have them: pointers, halves, other precisions, other models."""

import json
import os
import pickle
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.hubert import HubertFrontend
from tests.frontend.test_hubert import SMALL, save_checkpoint

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
WEIGHT = "encoder.layers.0.attention.q_proj.weight"


class Opener:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def checkpoint(tmp_path):
    directory = tmp_path / "encoder"
    save_checkpoint(directory, {**SMALL, "num_hidden_layers": 1})
    return directory


def change_config(**fields):
    def change(directory, name="config.json"):
        path = directory / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def change_preprocessor(**fields):
    return lambda directory: change_config(**fields)(
        directory, "preprocessor_config.json"
    )


def write(name, content):
    return lambda directory: (directory / name).write_bytes(content)


def change_weights(change):
    def rewrite(directory):
        path = directory / "model.safetensors"
        weights = load_file(path)
        change(weights)
        save_file(weights, path, metadata={"format": "pt"})

    return rewrite


def as_bin(content):
    def replace(directory):
        (directory / "model.safetensors").unlink()
        (directory / "pytorch_model.bin").write_bytes(content)

    return replace


def cut(directory):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def set_nan(weights):
    weights[WEIGHT][0, 0] = float("nan")


def set_shape(weights):
    weights[WEIGHT] = torch.zeros(32, 5)


DAMAGES = {
    "pointer": (write("model.safetensors", POINTER), "git lfs pull"),
    "pointer in bin": (as_bin(POINTER), "git lfs pull"),
    "pointer for config": (write("config.json", POINTER), "git lfs pull"),
    "cut": (cut, "download or copy it again"),
    "empty": (write("model.safetensors", b""), "download or copy it again"),
    "page": (write("model.safetensors", b"<!DOCTYPE html>" * 99), "copy it again"),
    "huge header": (write("model.safetensors", b"\xff" * 99), "copy it again"),
    "empty bin": (as_bin(b""), "download or copy it again"),
    "random bin": (as_bin(b"\x80\x02junk"), "download or copy it again"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "copy it again"),
    "half of the shards": (
        lambda d: (d / "model.safetensors").rename(d / "model-00001-of-2.safetensors"),
        "download or copy it again",
    ),
    "a missing weight": (change_weights(lambda w: w.pop(WEIGHT)), WEIGHT),
    "another shape": (change_weights(set_shape), WEIGHT),
    "not a number": (change_weights(set_nan), f"{WEIGHT} first"),
    "more layers": (change_config(num_hidden_layers=2), r"encoder\.layers\.1"),
    "quantised": (
        change_config(quantization_config={"quant_method": "bitsandbytes"}),
        "is quantised",
    ),
    "no text": (change_config(model_type=["hubert"]), "not a speech encoder"),
    "another model": (change_config(model_type="whisper"), "not a speech encoder"),
    "a list": (write("config.json", b"[1]"), "does not hold a complete encoder"),
    "deep": (write("config.json", b"[" * 9000), "does not hold a complete encoder"),
    "latin": (write("config.json", b'{"a": "\xe9"}'), "does not hold a complete"),
    "a text": (change_config(hidden_size="2026-13-01"), "hidden_size"),
    "nothing": (change_config(conv_dim=None), "does not hold a complete encoder"),
    "no stride": (change_config(conv_stride=[5, 2, 2, 0, 2, 2, 2]), "conv_stride"),
    "dtype": (change_config(dtype="float7"), "does not hold a complete encoder"),
    "another rate": (change_preprocessor(sampling_rate=8000), "8000 Hz"),
    "no truth value": (change_preprocessor(do_normalize="no"), "do_normalize: no"),
    "other features": (
        change_preprocessor(feature_extractor_type="WhisperFeatureExtractor"),
        "describes a WhisperFeatureExtractor",
    ),
    "no preprocessor": (write("preprocessor_config.json", b"\xff"), "can be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_a_sentence(checkpoint, damage):
    break_it, told = DAMAGES[damage]
    break_it(checkpoint)
    with pytest.raises(UserError, match=told) as caught:
        HubertFrontend(str(checkpoint))
    assert str(checkpoint) in str(caught.value) or damage == "no stride"
    assert "\n" not in str(caught.value)


def test_weights_run_nothing(checkpoint, tmp_path):
    as_bin(pickle.dumps({WEIGHT: Opener(tmp_path / "opened")}))(checkpoint)
    with pytest.raises(UserError, match="download or copy it again"):
        HubertFrontend(str(checkpoint))
    torch.save({WEIGHT: Opener(tmp_path / "opened")}, checkpoint / "pytorch_model.bin")
    with pytest.raises(UserError, match="download or copy it again"):
        HubertFrontend(str(checkpoint))
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    "model",
    [
        {"hidden_size": {1, 2}},
        {"a": 1},
        {"hidden_size": b"x"},
        {"hidden_size": -1},
        "",
        "a/b/c",
        5,
        "x y",
    ],
)
def test_what_names_no_encoder_is_refused_in_a_sentence(model, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", _no_network)
    with pytest.raises(UserError):
        HubertFrontend(model)


def _no_network(*_, **__):
    raise socket.gaierror(-2, "Name or service not known")
