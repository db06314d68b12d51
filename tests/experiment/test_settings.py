"""Settings that may not change under an experiment, and how that is said."""

from dataclasses import replace

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.settings import (
    Settings,
    check_unchanged,
    read_settings,
    read_train_config,
    write_settings,
)

CONFIG = {"frontend_conf": {"model": "m"}, "optim_conf": {"lr": 0.001}}
SETTINGS = Settings("demo", "dump", {"gender": 12}, train_config={"gender": CONFIG})


def test_settings_survive_their_file(tmp_path):
    write_settings(tmp_path / "experiment.yaml", SETTINGS)
    assert read_settings(tmp_path / "experiment.yaml") == SETTINGS
    check_unchanged(tmp_path / "experiment.yaml", SETTINGS)


def test_every_change_is_shown(tmp_path):
    write_settings(tmp_path / "experiment.yaml", SETTINGS)
    changed = replace(
        SETTINGS,
        budget={"gender": 16},
        train_config={"gender": {**CONFIG, "optim_conf": {"lr": 0.01}}},
    )
    with pytest.raises(UserError) as caught:
        check_unchanged(tmp_path / "experiment.yaml", changed)
    assert "budget.gender: 12 before, 16 now" in str(caught.value)
    assert "train_config.gender.optim_conf.lr: 0.001 before, 0.01 now" in str(
        caught.value
    )
    assert "--tag of their own" in str(caught.value)


def test_a_task_may_be_added(tmp_path):
    write_settings(tmp_path / "experiment.yaml", SETTINGS)
    more = replace(
        SETTINGS,
        budget={"gender": 12, "speaker": 3},
        train_config={"gender": CONFIG, "speaker": {"a": 1}},
    )
    check_unchanged(tmp_path / "experiment.yaml", more)


def test_damaged_settings_are_refused(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("corpus: demo\nbugdet: 3\n")
    with pytest.raises(UserError, match="is damaged"):
        read_settings(path)
    with pytest.raises(UserError, match="run stage 3 first"):
        read_settings(tmp_path / "none.yaml")


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
        ("frontend: default\n", "m", "takes no encoder: leave --model out"),
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
