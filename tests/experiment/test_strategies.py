"""Every strategy in an experiment: the bits of the task's own commands, and a model
that loads."""

import pytest
import torch
import yaml

from espnet2_cltm.bin import gender_inference, gender_train
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan, write_experiment
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.registry import _STRATEGIES
from espnet2_cltm.tasks.model_files import load_model, read_packed_model
from tests.speech import TINY_GENDER, TINY_HUBERT, write_dump

HUBERT = {
    **TINY_HUBERT,
    "num_hidden_layers": 2,
    "hidden_dropout": 0.1,
    "apply_spec_augment": True,
    "mask_time_prob": 0.3,
}
OPTIONS = {
    "lora": {"rank": 2, "dropout_rate": 0.2, "save_strategy": "required_grad_only"},
}
TOGETHER = {
    "lora+freeze": {"lora": {"rank": 2}, "freeze": {"part": "cnn"}},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    write_dump(root / "demo", ["es", "tr"])
    return root


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [*_STRATEGIES, *TOGETHER])
def test_a_run_is_the_commands_and_its_model_loads(strategy, store, tmp_path):
    # The encoder is a file, as a model that is not stored whole needs one to load.
    (tmp_path / "hubert.yaml").write_text(yaml.safe_dump(HUBERT))
    config = {
        **TINY_GENDER,
        "frontend_conf": {"model": str(tmp_path / "hubert.yaml")},
        "strategy": strategy,
        "strategy_conf": {**OPTIONS, **TOGETHER}.get(strategy, {}),
    }
    settings = Settings(
        "demo", str(store), {"gender": 2}, train_config={"gender": config}
    )
    directory = ExperimentDir(tmp_path / "exp")
    write_experiment(directory, make_plan(settings, ["es", "tr"], (42,)))
    planned = next(p for p in read_plan(directory.plan) if p.run.kind == "pair")
    make_run(directory, read_settings(directory.settings), planned, keep_models="all")

    trained = tmp_path / "command"
    train_yaml = directory.run(planned.run.name) / "train.yaml"
    gender_train.main(["--config", str(train_yaml), "--output_dir", str(trained)])
    (lang, *_) = planned.test_languages
    gender_inference.main(
        [
            "--train_config",
            str(trained / "config.yaml"),
            "--model_file",
            str(trained / "latest.pth"),
            "--data_path_and_name_and_type",
            f"{store}/demo/{lang}/test/wav.scp,speech,kaldi_ark",
            "--output_dir",
            str(trained),
        ]
    )
    predictions = directory.predictions(planned.run.name, lang, ".tsv")
    assert (trained / "predictions.tsv").read_bytes() == predictions.read_bytes()

    expected = torch.load(trained / "latest.pth", weights_only=True)
    packed = read_packed_model(directory.model(planned.run.name))
    kept = load_model(LabelEspnetTask, **packed.extract(tmp_path)).state_dict()
    assert kept.keys() == expected.keys()
    assert all(kept[name].equal(expected[name]) for name in kept)
