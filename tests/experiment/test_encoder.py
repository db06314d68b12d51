"""Encoders in training configurations, and those that change under their name."""

import json

import pytest
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.encoder import (
    check_encoder,
    encoder_identity,
    read_encoders,
    read_train_config,
    read_train_configs,
)
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.merging import merge_experiments
from espnet2_cltm.experiment.worker import work
from tests.experiment.kept_experiments import GENDER, plan_experiment, settings_for
from tests.speech import TINY_HUBERT, write_dump


def save_encoder(directory, seed=0, normalize=True):
    torch.manual_seed(seed)
    HubertModel(HubertConfig(**TINY_HUBERT)).save_pretrained(directory)
    Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(directory)
    return str(directory)


@pytest.fixture
def planned(tmp_path):
    """An experiment, not begun, whose encoder is a directory."""
    write_dump(tmp_path / "store" / "demo", ["es", "fi"])
    model = save_encoder(tmp_path / "encoder")
    config = {**GENDER, "frontend_conf": {"model": model}}
    settings = settings_for(tmp_path / "store", train_config={"gender": config})
    return plan_experiment(tmp_path / "exp", settings, ["es", "fi"]), model


def make_nothing(directory, settings, planned, ngpu):
    raise UserError("This test makes no run.")


def test_an_encoder_that_has_changed_is_refused_before_a_run(planned):
    directory, model = planned
    work(directory, make=make_nothing)
    (known,) = read_encoders(directory).items()
    assert known[0] == model and known[1].startswith("blake2b:")
    for failure in directory.root.glob("runs/*/failed.txt"):
        failure.unlink()
    work(directory, make=make_nothing)  # as it was
    save_encoder(model, seed=1)
    with pytest.raises(UserError, match=r"encoder .*changed since .*exp"):
        work(directory, make=make_nothing)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"normalize": False}],
    ids=["weights", "how waveforms are normalised"],
)
def test_what_matters_of_a_directory_is_in_its_identity(tmp_path, change):
    before = encoder_identity(save_encoder(tmp_path / "a"))
    assert encoder_identity(save_encoder(tmp_path / "b")) == before
    (tmp_path / "b" / "README.md").write_text("a model card")
    assert encoder_identity(str(tmp_path / "b")) == before
    assert encoder_identity(save_encoder(tmp_path / "c", **change)) != before


def test_a_hub_model_is_known_by_its_commit(tmp_path, monkeypatch):
    repository = tmp_path / "models--someone--hubert"
    for commit in ("0" * 40, "1" * 40):
        (repository / "snapshots" / commit).mkdir(parents=True)
        (repository / "snapshots" / commit / "config.json").write_text("{}")
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(commit)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        assert encoder_identity("someone/hubert") == f"commit:{commit}"


@pytest.mark.parametrize("model", [None, TINY_HUBERT, "no/such", "not an id/at/all"])
def test_what_is_described_in_whole_or_not_there_has_no_identity(tmp_path, model):
    assert encoder_identity(model) is None
    check_encoder(ExperimentDir(tmp_path), model)
    assert not (tmp_path / "encoders.json").exists()


def test_experiments_with_other_encoders_of_one_name_are_not_merged(planned, tmp_path):
    first, model = planned
    second = ExperimentDir(tmp_path / "second")
    for directory in (first, second):
        check_encoder(directory, model)
        if directory is second:
            second.plan.write_bytes(first.plan.read_bytes())
            second.settings.write_bytes(first.settings.read_bytes())
    merge_experiments([first.root, second.root], tmp_path / "merged")
    merged = ExperimentDir(tmp_path / "merged")
    assert merged.encoders.read_bytes() == first.encoders.read_bytes()
    second.encoders.write_text(json.dumps({model: "blake2b:abc"}))
    with pytest.raises(UserError, match=r"the encoder .*encoder was another"):
        merge_experiments([first.root, second.root], tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    second.encoders.write_text("{")
    with pytest.raises(UserError, match=r"encoders\.json is damaged"):
        read_encoders(second)


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
    with pytest.raises(UserError, match=r"--model m .*the frontend of .*speaker"):
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
        ("frontend_conf: {model: none.yaml}\n", None, r"none\.yaml cannot"),
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


def test_freezing_that_is_of_no_use_is_refused(configs):
    del configs["gender"]
    with pytest.raises(UserError, match=r"--freeze cnn .*the frontend"):
        read_train_configs(configs, freeze="cnn")
