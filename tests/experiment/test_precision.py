"""A run in bfloat16 against the task's own commands, bit for bit."""

import numpy as np
import pytest

from espnet2_cltm.bin import (
    gender_inference,
    gender_train,
    speaker_inference,
    speaker_train,
)
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.writing import write_experiment
from tests.speech import TINY_GENDER, TINY_SPEAKER

COMMANDS = {
    "gender": (gender_train, gender_inference, TINY_GENDER),
    "speaker": (
        speaker_train,
        speaker_inference,
        {**TINY_SPEAKER, "checkpoint": "last"},
    ),
}
BFLOAT16 = {"model_conf": {"autocast": "bfloat16"}}


def first_run(root, store, task, extra):
    """Make an experiment's first run; give the experiment and the run's plan."""
    config = {**COMMANDS[task][2], **extra}
    settings = Settings("demo", str(store), {task: 4}, train_config={task: config})
    directory = ExperimentDir(root)
    write_experiment(directory, make_plan(settings, ["es", "tr"], [42]))
    planned = read_plan(directory.plan)[0]
    make_run(directory, read_settings(directory.settings), planned)
    return directory, planned


@pytest.mark.parametrize("task", COMMANDS)
def test_run_in_bfloat16_is_the_commands(store, tmp_path, task):
    directory, planned = first_run(tmp_path / "exp", store, task, BFLOAT16)
    train, inference, _ = COMMANDS[task]
    output = tmp_path / "command"
    config = directory.run(planned.run.name) / "train.yaml"
    train.main(["--config", str(config), "--output_dir", str(output)])
    lang = planned.test_languages[0]
    options = {
        "--train_config": output / "config.yaml",
        "--model_file": output / "latest.pth",
        "--data_path_and_name_and_type": (
            f"{store}/demo/{lang}/test/wav.scp,speech,kaldi_ark"
        ),
        "--output_dir": output,
    }
    if task == "speaker":
        options["--trials"] = directory.test_data(task, lang, "test", ".trials")
    inference.main([str(part) for option in options.items() for part in option])
    if task == "gender":
        got = (output / "predictions.tsv").read_text()
        ours = directory.predictions(planned.run.name, lang, ".tsv").read_text()
    else:
        lines = (output / "scores").read_text().splitlines()
        got = [np.float32(line.split()[2]) for line in lines]
        ours = list(np.load(directory.predictions(planned.run.name, lang, ".npy")))
    assert got == ours
    in_32_bits, _ = first_run(tmp_path / "float32", store, task, {})
    suffix = {"gender": ".tsv", "speaker": ".npy"}[task]
    assert (
        in_32_bits.predictions(planned.run.name, lang, suffix).read_bytes()
        != directory.predictions(planned.run.name, lang, suffix).read_bytes()
    )
