"""conf/slurm.yaml: what is read, and what is said about mistakes."""

from pathlib import Path

import pytest
import yaml

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.slurm_settings import SlurmSettings, read_slurm_settings

ROOT = Path(__file__).parents[2]


def test_the_file_of_the_recipe_shows_every_key_with_its_default():
    path = ROOT / "conf" / "slurm.yaml"
    settings = read_slurm_settings(path)
    assert settings == SlurmSettings(time=240, memory="8G")
    assert yaml.safe_load(path.read_text()).keys() == settings.__dict__.keys()


def test_keys_that_are_left_out_have_their_defaults(tmp_path):
    path = tmp_path / "slurm.yaml"
    path.write_text("time: 30\njobs: 4\nenvironment: null\nsbatch: {qos: long}\n")
    assert read_slurm_settings(path) == SlurmSettings(30, 4, sbatch={"qos": "long"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no keys"),
        ("time: [", "is no YAML"),
        ("jobs: 3", "lacks time: give the minutes"),
        ("{time: 5, gpu: 1}", "has the unknown key gpu: give time, jobs,"),
        ("{time: 4:00:00}", "time takes minutes, a whole number, not 4:00:00"),
        ("{time: 5, jobs: 0}", "jobs takes a whole number from 1 on, not 0"),
        ("{time: 5, cpus: true}", "cpus takes a whole number from 1 on, not True"),
        ("{time: 5, gpus: 2}", "gpus is 2, but a run uses one GPU at most"),
        ("{time: 5, account: 12}", "account takes a text, not 12"),
        ("{time: 5, setup: module load}", "setup takes a list of texts"),
        ("{time: 5, sbatch: [qos]}", "sbatch takes options and values"),
        ("{time: 1, signal_seconds: 60}", "signal_seconds (60) is not less than time"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path, text, message):
    path = tmp_path / "slurm.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_slurm_settings(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml cannot be read \(No such file"):
        read_slurm_settings(tmp_path / "none.yaml")
