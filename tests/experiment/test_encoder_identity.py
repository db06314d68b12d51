"""An encoder that changes under its name, in an experiment and in merged ones."""

import json

import pytest
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.encoder_identity import (
    check_encoder,
    encoder_identity,
    read_encoders,
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
    with pytest.raises(UserError, match=r"is another than the one that .* begun with"):
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
