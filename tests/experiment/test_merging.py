"""Merged experiments against one that was made at once, and what cannot be merged."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from espnet2_cltm.bin.merge_experiments import main
from espnet2_cltm.corpus.utterance_list import read_utterance_list
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment import execution, merging
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.merging import merge_experiments
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.settings import read_settings, write_settings
from tests.experiment.kept_experiments import (
    SPEAKERS,
    make_left,
    plan_experiment,
    predictions_of,
    results_of,
    settings_for,
)

BOTH = ("gender", "speaker")
fork = multiprocessing.get_context("fork")
DUMP = {"languages": ["es", "fi", "tr"], "speakers": SPEAKERS, "utterances": 3}


def made(root, settings, languages, seeds=(42,), keep_models="none"):
    directory = plan_experiment(root, settings, languages, seeds)
    make_left(directory, keep_models)
    return directory


@pytest.fixture(scope="module")
def by_seed(store, tmp_path_factory):
    """Two seeds at once, and each alone."""
    root = tmp_path_factory.mktemp("by_seed")
    settings = settings_for(
        store, BOTH, options={"speaker": {"cross_language_trials": True}}
    )
    return (
        made(root / "at_once", settings, ["es", "fi"], (42, 43)),
        made(root / "a", settings, ["es", "fi"], (42,), "single"),
        made(root / "b 2", settings, ["es", "fi"], (43,)),
    )


@pytest.fixture(scope="module")
def by_language(store, tmp_path_factory):
    """Three languages at once, and two pairs of them."""
    root = tmp_path_factory.mktemp("by_language")
    settings = settings_for(store)
    return (
        made(root / "at_once", settings, ["es", "fi", "tr"]),
        made(root / "a", settings, ["es", "fi"], (42,), "single"),
        made(root / "b", settings, ["es", "tr"], (42,), "single"),
    )


def roots(*directories):
    return [directory.root for directory in directories]


def contents(directory):
    """Return every file's content and time, to see that nothing was touched."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in directory.root.rglob("*")
        if path.is_file()
    }


def test_seeds_made_apart_are_those_made_at_once(by_seed, tmp_path, capsys):
    at_once, a, b = by_seed
    before = {d.root: contents(d) for d in (a, b)}
    merged = ExperimentDir(tmp_path / "exp")
    main(["--exp", str(a.root), str(b.root), "--outdir", str(merged.root)])
    output = capsys.readouterr().out
    assert "20 runs planned, 20 done." in output
    assert f"Next: ./run.sh --stage 5 --expdir {tmp_path} --tag exp" in output
    assert merged.plan.read_bytes() == at_once.plan.read_bytes()
    assert merged.settings.read_bytes() == at_once.settings.read_bytes()
    assert make_left(merged) == []
    assert results_of(merged) == results_of(at_once)
    assert predictions_of(merged) == predictions_of(at_once)
    assert {p.parent.name for p in merged.root.glob("runs/*/model.zip")} == {
        p.parent.name for p in a.root.glob("runs/*/model.zip")
    }
    for part in ("data/gender", "data/speaker"):
        files = sorted((at_once.root / part).rglob("*.*"))
        assert files
        for path in files:
            copy = merged.root / path.relative_to(at_once.root)
            assert copy.read_bytes() == path.read_bytes()
    assert {d.root: contents(d) for d in (a, b)} == before


def test_a_merged_run_can_be_trained_where_it_is_now(by_seed, tmp_path):
    _, a, b = by_seed
    merged = ExperimentDir(tmp_path / "exp")
    merge_experiments(roots(a, b), merged.root)
    for planned in read_plan(merged.plan):
        name = planned.run.name
        text = (merged.run(name) / "train.yaml").read_text()
        config = yaml.safe_load(text)
        assert str(a.root) not in text and str(b.root) not in text
        files = [
            *config["train_shape_file"],
            *(entry[0] for entry in config["valid_data_path_and_name_and_type"]),
            *(entry[0] for entry in config.get("valid_trials", ())),
        ]
        assert all(Path(file).is_file() for file in files)
    # What make_run would write there is the same.
    planned = read_plan(merged.plan)[0]
    path = merged.run(planned.run.name) / "train.yaml"
    before = yaml.safe_load(path.read_text())
    make_run(merged, read_settings(merged.settings), planned)
    assert yaml.safe_load(path.read_text()) == before


def test_languages_made_apart_grow_together(
    by_language, store, tmp_path, monkeypatch, capsys
):
    at_once, a, b = by_language
    trained = []
    train = execution._Making.train_and_test

    def note(making, *others):
        trained.append(making.run.name)
        train(making, *others)

    monkeypatch.setattr(execution._Making, "train_and_test", note)
    root = tmp_path / "exp"
    main(["--exp", str(a.root), str(b.root), "--outdir", str(root)])
    output = capsys.readouterr().out
    assert "8 runs planned, 8 done." in output
    assert "1 run of its languages and seeds is in no plan" in output
    assert "--stage 3 " in output
    # Stage 3 adds the pair that neither has, and tests on the other's language, which
    # kept models allow without training.
    grown = plan_experiment(root, settings_for(store), ["es", "fi", "tr"])
    singles = [f"gender.single.{lang}.n2.s42" for lang in ("es", "fi", "tr")]
    assert make_left(grown) == [*singles, "gender.pair.fi+tr.n2.s42"]
    assert trained == ["gender.pair.fi+tr.n2.s42"]
    assert grown.plan.read_bytes() == at_once.plan.read_bytes()
    assert results_of(grown) == results_of(at_once)
    assert predictions_of(grown) == predictions_of(at_once)


def merge_until_killed(experiments, outdir, n_runs):
    merge_run = merging._merge_run

    def merge(*args):
        nonlocal n_runs
        if n_runs == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        n_runs -= 1
        return merge_run(*args)

    merging._merge_run = merge
    merge_experiments(experiments, outdir)


@pytest.mark.parametrize("n_runs", [0, 3])
def test_a_merge_goes_on_after_a_kill(by_seed, tmp_path, n_runs):
    at_once, a, b = by_seed
    merged = ExperimentDir(tmp_path / "exp")
    process = fork.Process(
        target=merge_until_killed, args=(roots(a, b), merged.root, n_runs)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not merged.plan.exists()  # nothing would take it for whole
    done = {path: path.stat().st_mtime_ns for path in merged.runs.glob("*/*.json")}
    assert len(done) == n_runs
    merge_experiments(roots(a, b), merged.root)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert results_of(merged) == results_of(at_once)


def test_merging_again_takes_over_what_is_new(by_seed, tmp_path):
    at_once, a, b = by_seed
    later = tmp_path / "b"
    shutil.copytree(b.root, later, ignore=shutil.ignore_patterns("*pair*"))
    merged = ExperimentDir(tmp_path / "exp")
    merge_experiments([a.root, later], merged.root)
    before = {p: p.stat().st_mtime_ns for p in merged.runs.rglob("*") if p.is_file()}
    shutil.copytree(b.root, later, dirs_exist_ok=True)
    merge_experiments([a.root, later], merged.root)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert results_of(merged) == results_of(at_once)


def test_what_is_made_in_the_merged_one_changes_nothing_in_the_others(
    by_seed, tmp_path
):
    _, a, b = by_seed
    before = {d.root: contents(d) for d in (a, b)}
    merged = ExperimentDir(tmp_path / "exp")
    merge_experiments(roots(a, b), merged.root)
    settings = read_settings(merged.settings)
    for planned in read_plan(merged.plan)[:3]:
        merged.metrics(planned.run.name).unlink()
        make_run(merged, settings, planned, keep_models="all")
    assert {d.root: contents(d) for d in (a, b)} == before


def test_files_are_copied_where_there_are_no_hard_links(by_seed, tmp_path, monkeypatch):
    def refuse(path, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    at_once, a, b = by_seed
    merged = ExperimentDir(tmp_path / "exp")
    merge_experiments(roots(a, b), merged.root)
    assert results_of(merged) == results_of(at_once)
    assert predictions_of(merged) == predictions_of(at_once)


@pytest.fixture
def changed(by_seed, tmp_path):
    """A copy of an experiment, to be changed."""
    _, a, _ = by_seed
    shutil.copytree(a.root, tmp_path / "changed")
    return ExperimentDir(tmp_path / "changed")


def refused(experiments, tmp_path, message):
    outdir = tmp_path / "refused"
    with pytest.raises(UserError, match=message) as refusal:
        merge_experiments(experiments, outdir)
    assert str(refusal.value).endswith(".") and "\n" not in str(refusal.value)
    assert not (outdir / "plan.tsv").exists()


def test_another_result_of_the_same_run_is_refused(by_seed, changed, tmp_path):
    _, a, b = by_seed
    name = "gender.single.es.n2.s42"
    metrics = json.loads(changed.metrics(name).read_text())
    value = metrics["test"]["fi"]["accuracy"]
    metrics["test"]["fi"]["accuracy"] = value + 2**-40
    changed.metrics(name).write_text(json.dumps(metrics))
    refused(
        roots(a, b, changed),
        tmp_path,
        rf"{name} .*accuracy on fi .*{a.root} \({value}\) .*"
        rf"{changed.root} \({value + 2**-40}\)",
    )


def change_settings(directory, **changes):
    settings = read_settings(directory.settings)
    directory.settings.unlink()
    write_settings(directory.settings, replace(settings, **changes))


def test_different_settings_are_refused_with_the_difference(by_seed, changed, tmp_path):
    a = by_seed[1]
    config = read_settings(a.settings).train_config
    gender = {**config["gender"], "optim_conf": {"lr": 0.5, "weight_decay": 0.0}}
    change_settings(
        changed,
        train_config={**config, "gender": gender},
        budget={"gender": 2, "speaker": 5},
    )
    refused(
        roots(a, changed),
        tmp_path,
        r"budget\.speaker: 4 and 5; train_config\.gender\.optim_conf\.lr: 0\.001 and "
        r"0\.5",
    )


def test_places_of_the_audio_may_differ(by_seed, changed, store, tmp_path):
    at_once, _, b = by_seed
    change_settings(changed, dumpdir="/elsewhere/dump")
    for path in changed.root.glob("data/*/*/*.tsv"):
        text = path.read_text().replace(str(store), "/elsewhere/dump")
        path.write_text(text)
    merged = ExperimentDir(tmp_path / "exp")
    merge_experiments(roots(b, changed), merged.root)
    # The first says where the audio is.
    assert read_settings(merged.settings).dumpdir == str(store)
    listed = read_utterance_list(merged.utterance_list("gender", "es", "test"))
    assert all(u.audio.startswith(str(store)) for u in listed)
    assert results_of(merged) == results_of(at_once)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "gender/es/test.tsv",
            lambda lines: [*lines[:2], lines[2].replace("\tf\t", "\tm\t"), *lines[3:]],
            r"test\.tsv and .*test\.tsv .*line 3 \(es-\S+ f \d+ and es-\S+ m \d+\)",
        ),
        (
            "gender/fi/dev.tsv",
            lambda lines: lines[:-1],
            r"dev\.tsv .*line \d+ \(fi-\S+ m \d+ and no line\)",
        ),
        (
            "speaker/es/test.trials",
            lambda lines: [*lines, lines[-1]],
            r"test\.trials .*line \d+ \(no line and es-\S+ ",
        ),
    ],
)
def test_other_data_is_refused_with_the_first_difference(
    by_seed, changed, tmp_path, name, change, message
):
    path = changed.root / "data" / name
    lines = change(path.read_text().splitlines())
    path.write_text("\n".join(lines) + "\n")
    refused(roots(by_seed[1], changed), tmp_path, message)


def test_languages_of_shared_speakers_must_be_the_same(by_language, tmp_path):
    _, a, b = by_language
    copies = []
    for directory in (a, b):
        copy = tmp_path / directory.root.name
        shutil.copytree(directory.root, copy)
        change_settings(ExperimentDir(copy), shared_speakers=True)
        copies.append(copy)
    refused(copies, tmp_path, "--shared_speakers .*gender, fi ")


def test_a_share_of_the_pairs_may_be_drawn_in_each(store, tmp_path):
    parts = []
    for seed, fraction in ((0, 0.4), (1, 0.7)):
        settings = settings_for(store, pairs_fraction=fraction, pairs_seed=seed)
        parts.append(
            plan_experiment(tmp_path / f"p{seed}", settings, ["es", "fi", "tr"])
        )
    plan = merge_experiments(roots(*parts), tmp_path / "exp")
    pairs = {p.run.languages for p in plan if p.run.kind == "pair"}
    drawn = [
        {p.run.languages for p in read_plan(d.plan) if p.run.kind == "pair"}
        for d in parts
    ]
    assert pairs == drawn[0] | drawn[1]
    assert read_settings(tmp_path / "exp" / "experiment.yaml").pairs_fraction == 0.7


def test_learning_curves_of_different_lengths_are_merged(store, tmp_path):
    parts = []
    for name, grid in (("a", (1, 2)), ("b", (1, 2, 4))):
        settings = settings_for(store, budget={}, regime_budgets=grid, zero_shot=False)
        parts.append(plan_experiment(tmp_path / name, settings, ["es", "fi"]))
    plan = merge_experiments(roots(*parts), tmp_path / "exp")
    assert [p.run for p in plan] == [p.run for p in read_plan(parts[1].plan)]
    assert read_settings(tmp_path / "exp" / "experiment.yaml").regime_budgets == (
        *(1, 2, 4),
    )
    merged = ExperimentDir(tmp_path / "exp")
    for lang in ("es", "fi"):
        path = merged.train_list("gender", lang, 42)
        assert path.read_bytes() == parts[1].train_list("gender", lang, 42).read_bytes()


def test_what_is_no_set_of_experiments_is_one_sentence(by_seed, tmp_path):
    _, a, b = by_seed
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for experiments, outdir, message in [
        ([a.root, a.root], tmp_path / "x", "--exp"),
        ([a.root, b.root], b.root, f"{b.root} .*--outdir"),
        ([a.root, b.root], tmp_path / "full", f"{tmp_path}/full .*--outdir"),
        ([a.root, tmp_path / "none"], tmp_path / "x", "none/experiment.yaml .*stage 3"),
    ]:
        with pytest.raises(UserError, match=message):
            merge_experiments(experiments, outdir)
    assert not (tmp_path / "x").exists()
