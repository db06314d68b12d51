"""Experiments that grow by a language, with kept models and without them."""

import json
import multiprocessing
import os
import shutil
import signal
import zipfile
from pathlib import Path

import pytest

from espnet2_cltm.experiment import execution
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.settings import read_settings
from espnet2_cltm.experiment.states import is_done, runs_left
from tests.experiment.kept_experiments import (
    SPEAKERS,
    make_left,
    plan_experiment,
    predictions_of,
    results_of,
    settings_for,
)

BOTH = ("gender", "speaker")
# Forked where nothing is trained, which is what a forked process may not: imports cost
# seconds.
fork = multiprocessing.get_context("fork")
spawn = multiprocessing.get_context("spawn")
DUMP = {"languages": ["es", "fi", "tr"], "speakers": SPEAKERS, "utterances": 3}


@pytest.fixture(scope="module")
def settings(store):
    # write_dump names its speakers alike, so that there are trials across languages.
    return settings_for(
        store, BOTH, options={"speaker": {"cross_language_trials": True}}
    )


@pytest.fixture(scope="module")
def at_once(settings, tmp_path_factory):
    """An experiment that had three languages from the start."""
    directory = plan_experiment(
        tmp_path_factory.mktemp("at_once"), settings, ["es", "fi", "tr"]
    )
    make_left(directory)
    return directory


@pytest.fixture(scope="module")
def kept(settings, tmp_path_factory):
    """An experiment on two languages, all models kept."""
    directory = plan_experiment(tmp_path_factory.mktemp("kept"), settings, ["es", "fi"])
    make_left(directory, "all")
    return directory


@pytest.fixture
def grown(kept, settings, tmp_path):
    """The same with a third language, of which nothing is made yet."""
    shutil.copytree(kept.root, tmp_path / "exp")
    return plan_experiment(tmp_path / "exp", settings, ["es", "fi", "tr"])


@pytest.fixture
def trained(monkeypatch):
    """Names of the runs that are trained, in order."""
    names = []
    train = execution._Making.train_and_test

    def note(making, *others):
        names.append(making.run.name)
        train(making, *others)

    monkeypatch.setattr(execution._Making, "train_and_test", note)
    return names


def without_times(path):
    content = json.loads(path.read_text())
    for name in ("train_seconds", "test_seconds", "costs", "added_tests"):
        content.pop(name, None)
    for entry in content["checkpoints"].values():
        # The own language's EER is the mean over a single run's languages.
        entry.pop("criterion", None)
    return content


def test_a_language_that_is_added_is_only_tested_on_kept_models(
    grown, at_once, kept, trained
):
    before = {p.run.name for p in read_plan(kept.plan)}
    made = make_left(grown, "single")
    assert {n for n in made if ".single." in n} & before  # they lacked a test
    assert set(trained) == {p.run.name for p in read_plan(grown.plan)} - before
    assert results_of(grown) == results_of(at_once)
    assert predictions_of(grown) == predictions_of(at_once)
    for planned in read_plan(at_once.plan):
        name = planned.run.name
        metrics = without_times(grown.metrics(name))
        assert metrics == without_times(at_once.metrics(name))
        assert list(metrics["test"]) == list(planned.test_languages)


def test_without_kept_models_the_runs_are_trained_again(
    kept, settings, at_once, tmp_path, trained
):
    shutil.copytree(
        kept.root, tmp_path / "exp", ignore=shutil.ignore_patterns("model.zip")
    )
    grown = plan_experiment(tmp_path / "exp", settings, ["es", "fi", "tr"])
    assert trained == make_left(grown)
    assert {"gender.single.es.n2.s42", "speaker.double.fi.n4.s42"} <= set(trained)
    assert results_of(grown) == results_of(at_once)


def test_what_is_added_is_noted_with_its_versions(grown, at_once):
    make_left(grown)
    name = "gender.single.es.n2.s42"
    metrics = json.loads(grown.metrics(name).read_text())
    (added,) = metrics["added_tests"]
    assert added["languages"] == ["tr"]
    assert added["versions"] == metrics["versions"]
    assert "Tested the kept model on tr" in (grown.run(name) / "train.log").read_text()
    assert "added_tests" not in json.loads(at_once.metrics(name).read_text())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-3000]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: flip_a_weight(path), "is damaged"),
        (
            lambda path: shutil.copy(
                path.parents[1] / "gender.single.fi.n2.s42" / "model.zip", path
            ),
            "is the model of gender.single.fi.n2.s42",
        ),
    ],
    ids=["cut off", "empty", "a byte changed", "another run's"],
)
def test_a_run_whose_kept_model_cannot_be_used_is_made_again(
    grown, at_once, trained, damage, reason
):
    planned = next(
        p for p in read_plan(grown.plan) if p.run.name == "gender.single.es.n2.s42"
    )
    damage(grown.model(planned.run.name))
    execution.make_run(grown, read_settings(grown.settings), planned)
    assert trained == [planned.run.name]
    log = (grown.run(planned.run.name) / "train.log").read_text()
    (warning,) = [line for line in log.splitlines() if "WARNING" in line]
    assert reason in warning and warning.endswith("The run will be repeated.")
    assert is_done(grown, planned)
    name = planned.run.name
    assert without_times(grown.metrics(name)) == without_times(at_once.metrics(name))


def flip_a_weight(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def grow_until_killed(root, stop_at):
    from espnet2_cltm.experiment.layout import ExperimentDir

    written = execution.write_metrics

    def write(path, content):
        if "added_tests" in content:
            os.kill(os.getpid(), signal.SIGKILL)
        written(path, content)

    def replaced(*args):
        # Predictions on the new language are there, metrics.json is the old one.
        original(*args)
        os.kill(os.getpid(), signal.SIGKILL)

    if stop_at == "before metrics.json":
        execution.write_metrics = write
    else:
        original = os.replace
        Path.replace = replaced
    make_left(ExperimentDir(Path(root)))


@pytest.mark.parametrize("stop_at", ["before metrics.json", "after the first file"])
def test_growing_goes_on_after_a_kill(grown, at_once, trained, stop_at):
    process = fork.Process(target=grow_until_killed, args=(grown.root, stop_at))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(runs_left(grown, read_plan(grown.plan))) > 0
    make_left(grown, "single")
    assert not any(".fi." in name or ".es." in name for name in trained)
    assert results_of(grown) == results_of(at_once)


def weights_in(path):
    with zipfile.ZipFile(path) as archive:
        return {
            entry.filename: archive.read(entry)
            for entry in archive.infolist()
            if entry.filename.endswith(".pth")
        }


def test_models_are_kept_of_the_runs_that_were_asked_for(settings, kept, tmp_path):
    kinds = {
        path.parent.name.split(".")[1] for path in kept.root.glob("runs/*/model.zip")
    }
    assert kinds == {"single", "double", "pair"}
    directory = plan_experiment(tmp_path / "single", settings, ["es", "fi"])
    make_left(directory, "single")
    names = {path.parent.name for path in directory.root.glob("runs/*/model.zip")}
    assert names == {
        f"{task}.single.{lang}.n{n}.s42"
        for task, n in (("gender", 2), ("speaker", 4))
        for lang in ("es", "fi")
    }
    # The choice changes no result.
    assert results_of(directory) == results_of(kept)
    for name in names:
        assert weights_in(directory.model(name)) == weights_in(kept.model(name))


def test_a_seed_that_is_added_makes_its_own_runs_only(kept, settings, tmp_path):
    shutil.copytree(kept.root, tmp_path / "exp")
    before = predictions_of(kept)
    grown = plan_experiment(tmp_path / "exp", settings, ["es", "fi"], seeds=(42, 43))
    left = [p.run for p in runs_left(grown, read_plan(grown.plan))]
    assert len(left) == 10 and {run.seed for run in left} == {43}
    assert predictions_of(grown) == before


def keep_until_killed(root):
    from espnet2_cltm.experiment.layout import ExperimentDir
    from espnet2_cltm.tasks import model_files

    def save(state, output):
        output.write(b"half a model")
        os.kill(os.getpid(), signal.SIGKILL)

    model_files.torch.save = save
    make_left(ExperimentDir(Path(root)), "all")


def test_a_kill_while_a_model_is_packed_leaves_no_model_and_no_rest(store, tmp_path):
    directory = plan_experiment(tmp_path / "exp", settings_for(store), ["es", "fi"])
    process = spawn.Process(target=keep_until_killed, args=(directory.root,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    planned = read_plan(directory.plan)[0]
    run_dir = directory.run(planned.run.name)
    assert not is_done(directory, planned)
    assert [p.name for p in run_dir.iterdir() if "model.zip" in p.name] != ["model.zip"]
    execution.make_run(
        directory, read_settings(directory.settings), planned, keep_models="all"
    )
    assert [p.name for p in run_dir.iterdir() if "model.zip" in p.name] == ["model.zip"]
    assert is_done(directory, planned)
