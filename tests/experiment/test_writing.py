"""An experiment is written, grows, and is not changed under its runs."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.writing import is_begun, write_experiment
from tests.experiment.experiments import end_run, fail_run
from tests.speech import TINY_GENDER, write_dump

LANGS = ["ca", "es", "tr"]
DUMP = {"languages": LANGS}
CLAIM = """
import pathlib, sys
from espnet2_cltm.experiment.states import Claims
Claims(pathlib.Path(sys.argv[1])).take(sys.argv[2])
print("taken", flush=True)
input()
"""


@pytest.fixture
def settings(store):
    return Settings(
        "demo", str(store), {"gender": 4}, train_config={"gender": TINY_GENDER}
    )


def begin(directory, planned):
    """Write an experiment, and leave what its first run leaves."""
    write_experiment(directory, planned)
    end_run(directory, planned.runs[0])


def test_a_language_and_a_seed_may_be_added(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, make_plan(settings, ["ca", "es"], [42]))
    before = {p.run for p in read_plan(directory.plan)}
    write_experiment(directory, make_plan(settings, LANGS, [42, 43]))
    assert before < {p.run for p in read_plan(directory.plan)}


def test_changed_settings_are_refused_before_anything_is_written(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    begin(directory, make_plan(settings, LANGS, [42]))
    plan = directory.plan.read_bytes()
    smaller = replace(settings, budget={"gender": 2})
    with pytest.raises(UserError, match=r"budget\.gender: 4 before, 2 now"):
        write_experiment(directory, make_plan(smaller, LANGS, [42]))
    assert directory.plan.read_bytes() == plan


def test_an_experiment_without_runs_is_made_anew(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    corrected = replace(settings, budget={"gender": 2})
    write_experiment(directory, make_plan(settings, LANGS, [42]))
    fail_run(directory, "gender.single.ca.n4.s42")
    write_experiment(directory, make_plan(corrected, LANGS, [42]))
    for damaged in (directory.settings, directory.plan):
        damaged.write_text("nonsense")
        write_experiment(directory, make_plan(corrected, LANGS, [42]))
    assert {p.run.budget for p in read_plan(directory.plan)} == {2}
    assert not directory.runs.exists()


def test_a_run_that_another_process_makes_begins_an_experiment(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    planned = make_plan(settings, LANGS, [42])
    write_experiment(directory, planned)
    name = planned.runs[0].run.name
    directory.run(name).mkdir(parents=True)
    assert not is_begun(directory)
    holder = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(directory.claims), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline()
    assert is_begun(directory)
    holder.communicate(b"\n")
    assert not is_begun(directory)


def test_audio_that_changed_under_an_experiment_is_refused(settings, tmp_path):
    write_dump(tmp_path / "dump/demo", ["ca", "es"])
    directory = ExperimentDir(tmp_path / "exp")
    own = replace(settings, dumpdir=str(tmp_path / "dump"))
    begin(directory, make_plan(own, ["ca", "es"], [42]))
    lengths = tmp_path / "dump/demo/es/test/utt2num_samples"
    first, *others = lengths.read_text().splitlines(keepends=True)
    lengths.write_text("".join([first.replace("\n", "0\n"), *others]))
    with pytest.raises(UserError, match=r"es/test\.tsv would be drawn differently"):
        write_experiment(directory, make_plan(own, ["ca", "es"], [42]))


def test_trials_that_change_under_an_experiment_are_refused(bilingual, tmp_path):
    directory = ExperimentDir(tmp_path)
    planned = make_plan(bilingual, LANGS, [42])
    begin(directory, planned)
    for name in ("ca", "ca~es"):
        path = directory.test_data("speaker", name, "test", ".trials")
        whole = path.read_text()
        first, rest = whole.split("\n", 1)
        path.write_text(f"{rest}{first}\n")
        with pytest.raises(UserError, match=rf"{name}/test\.trials would be drawn"):
            write_experiment(directory, planned)
        path.write_text(whole)
    write_experiment(directory, planned)


def test_fewer_tasks_leave_the_runs_of_the_other_in_peace(bilingual, tmp_path, caplog):
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, make_plan(bilingual, LANGS, [42]))
    fewer = replace(
        bilingual,
        budget={"speaker": 8},
        train_config={"speaker": bilingual.train_config["speaker"]},
    )
    write_experiment(directory, make_plan(fewer, LANGS, [42]))
    assert {p.run.task for p in read_plan(directory.plan)} == {"speaker"}
    assert re.search(r"9 runs .*gender\.single\.ca\.n4\.s42 first", caplog.text)
    write_experiment(directory, make_plan(bilingual, LANGS, [42]))
    assert len(read_plan(directory.plan)) == 18


def test_a_damaged_list_is_to_be_deleted_and_then_made_again(bilingual, tmp_path):
    directory = ExperimentDir(tmp_path)
    planned = make_plan(bilingual, LANGS, [42])
    begin(directory, planned)
    for path in (
        directory.utterance_list("speaker", "ca", "dev"),
        directory.test_data("speaker", "es", "test", ".trials"),
    ):
        whole = path.read_text()
        path.write_text("")
        with pytest.raises(UserError, match="is damaged: delete it and run stage 3"):
            write_experiment(directory, planned)
        path.unlink()
        write_experiment(directory, planned)
        assert path.read_text() == whole
