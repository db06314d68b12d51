"""Experiments whose frozen part is computed once: the same whatever is remembered."""

import pytest

from espnet2_cltm.bin import gender_inference, gender_train
from espnet2_cltm.experiment.encoder import read_train_config
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.label.testing import cache_audio
from tests.experiment.test_execution import make_all, new_experiment, predictions_of
from tests.speech import TINY_GENDER


def frozen_config(tmp_path, freeze):
    path = tmp_path / "train.yaml"
    path.write_text("frontend_conf: {model: m}\n")
    conf = read_train_config(path, freeze=freeze)["frontend_conf"]
    return {
        **TINY_GENDER,
        "frontend_conf": {**conf, "model": TINY_GENDER["frontend_conf"]["model"]},
    }


@pytest.mark.parametrize("freeze", ["cnn", "1", "all"])
def test_results_do_not_depend_on_what_is_remembered(tmp_path, store, freeze):
    config = frozen_config(tmp_path, freeze)
    found = []
    for name, room in (("forgetful", 0), ("mindful", 10**9)):
        cache_audio(room)
        directory = new_experiment(tmp_path / name, store, config=config)
        plan = read_plan(directory.plan)
        make_all(directory, plan if name == "mindful" else reversed(plan))
        found.append(predictions_of(directory))
    cache_audio(0)
    assert found[0] == found[1] != {}


def test_a_frozen_run_gives_the_numbers_of_the_commands(tmp_path, store):
    cache_audio(10**9)
    directory = new_experiment(
        tmp_path / "exp", store, config=frozen_config(tmp_path, "cnn")
    )
    make_all(directory, [p for p in read_plan(directory.plan) if p.run.kind == "pair"])
    cache_audio(0)
    (run_dir,) = directory.runs.iterdir()
    out = tmp_path / "command"
    gender_train.main(
        ["--config", str(run_dir / "train.yaml"), "--output_dir", str(out)]
    )
    gender_inference.main(
        [
            *("--train_config", str(out / "config.yaml")),
            *("--model_file", str(out / "latest.pth")),
            *("--data_path_and_name_and_type",),
            f"{store}/demo/es/test/wav.scp,speech,kaldi_ark",
            *("--output_dir", str(out)),
        ]
    )
    expected = (run_dir / "predictions" / "es.tsv").read_bytes()
    assert (out / "predictions.tsv").read_bytes() == expected
