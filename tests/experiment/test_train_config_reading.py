"""Training configurations, and what the recipe's options replace in them."""

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.train_config_reading import (
    read_train_config,
    read_train_configs,
)


@pytest.fixture
def configs(tmp_path):
    texts = {
        "gender": "frontend_conf: {model: m}\n",
        "speaker": "frontend: melspec_torch\n",
    }
    for task, text in texts.items():
        (tmp_path / f"{task}.yaml").write_text(text)
    return {task: tmp_path / f"{task}.yaml" for task in texts}


def test_an_encoder_is_given_to_the_tasks_that_take_one(configs, caplog):
    caplog.set_level("INFO")
    read = read_train_configs(configs, "org/hubert")
    assert read == {
        "gender": {"frontend_conf": {"model": "org/hubert"}},
        "speaker": {"frontend": "melspec_torch"},
    }
    assert caplog.messages == [
        f"--model does not apply to speaker: the frontend of {configs['speaker']} is "
        "melspec_torch"
    ]


def test_an_encoder_that_no_task_takes_is_refused(configs):
    del configs["gender"]
    assert read_train_configs(configs, None)["speaker"]["frontend"] == "melspec_torch"
    with pytest.raises(UserError, match=r"--model m is of no use: the frontend of .*"):
        read_train_configs(configs, "m")


def test_small_encoder_is_taken_into_the_experiment(tmp_path):
    (tmp_path / "encoder.yaml").write_text("hidden_size: 32\n")
    config = tmp_path / "train.yaml"
    config.write_text(f"frontend_conf:\n  model: {tmp_path}/encoder.yaml\n")
    assert read_train_config(config, None)["frontend_conf"]["model"] == {
        "hidden_size": 32
    }
    assert read_train_config(config, "org/hubert")["frontend_conf"]["model"] == (
        "org/hubert"
    )


@pytest.mark.parametrize(
    ("text", "model", "message"),
    [
        ("optim: adamw\n", None, "names no encoder"),
        ("- a\n", None, "must be a training configuration"),
        ("a: [1\n", None, r"line \d, is not valid YAML"),
        ("frontend_conf: {model: none.yaml}\n", None, "HuBERT configuration, cannot"),
    ],
)
def test_configuration_that_cannot_be_used_is_refused(tmp_path, text, model, message):
    config = tmp_path / "train.yaml"
    config.write_text(text)
    with pytest.raises(UserError, match=message):
        read_train_config(config, model)


def test_missing_configuration_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml.*correct its path"):
        read_train_config(tmp_path / "none.yaml", None)


def test_empty_frontend_conf_is_named(tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text("frontend_conf:\n")
    with pytest.raises(UserError, match=r"frontend_conf in .* must hold"):
        read_train_config(config, "some/hubert")


@pytest.mark.parametrize(
    ("freeze", "options"),
    [
        ("none", {"freeze": "none", "freeze_layers": 0, "reuse_frozen": False}),
        ("cnn", {"freeze": "cnn", "freeze_layers": 0, "reuse_frozen": True}),
        ("all", {"freeze": "all", "freeze_layers": 0, "reuse_frozen": True}),
        ("8", {"freeze": "none", "freeze_layers": 8, "reuse_frozen": True}),
        ("0", {"freeze": "none", "freeze_layers": 0, "reuse_frozen": False}),
    ],
)
def test_freezing_replaces_what_the_configuration_freezes(tmp_path, freeze, options):
    config = tmp_path / "train.yaml"
    config.write_text("frontend_conf: {model: m, freeze: cnn, freeze_layers: 1}\n")
    conf = read_train_config(config, freeze=freeze)["frontend_conf"]
    assert conf == {"model": "m", **options}


def test_freezing_that_is_unknown_or_of_no_use_is_refused(configs):
    with pytest.raises(UserError, match=r"--freeze top2 is unknown: give none, cnn"):
        read_train_configs(configs, freeze="top2")
    del configs["gender"]
    with pytest.raises(UserError, match=r"--freeze cnn is of no use: the frontend"):
        read_train_configs(configs, freeze="cnn")
