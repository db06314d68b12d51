"""Layers measured in runs, afterwards with kept models, and summed up by stage 5."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment import layers
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layer_sample import choose_utterances
from espnet2_cltm.experiment.layer_table import LayerTable, read_views
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.results import read_metrics
from espnet2_cltm.experiment.settings import read_settings
from espnet2_cltm.experiment.similarity import linear_cka
from espnet2_cltm.experiment.states import is_done, runs_left, without_layers
from tests.experiment.kept_experiments import (
    GENDER,
    HUBERT,
    SPEAKER,
    SPEAKERS,
    plan_experiment,
    results_of,
    settings_for,
)

LANGUAGES = ["es", "fi", "tr"]
MADE = ("single.es", "double.es", "pair.es+fi", "pair.es+tr")
CONFIGS = {"gender": {**GENDER, "max_epoch": 1}, "speaker": {**SPEAKER, "max_epoch": 2}}
DUMP = {"languages": LANGUAGES, "speakers": SPEAKERS, "utterances": 3}


def planned_runs(directory):
    return [p for p in read_plan(directory.plan) if any(m in p.run.name for m in MADE)]


def made(root, store, order=1, **options):
    """Make a few runs of both tasks."""
    settings = settings_for(store, ("gender", "speaker"), train_config=CONFIGS)
    directory = plan_experiment(root, settings, LANGUAGES)
    for planned in planned_runs(directory)[::order]:
        make_run(directory, read_settings(directory.settings), planned, **options)
    return directory


@pytest.fixture(scope="module")
def measured(store, tmp_path_factory):
    return made(tmp_path_factory.mktemp("measured"), store, layers=True)


@pytest.fixture(scope="module")
def kept(store, tmp_path_factory):
    return made(tmp_path_factory.mktemp("kept"), store, -1, keep_models="all")


def layers_of(directory, planned):
    name = planned.run.name
    found = dict(read_metrics(directory.metrics(name))["layers"])
    del found["seconds"]
    with np.load(directory.layers(name)) as views:
        return found, {lang: views[lang].tobytes() for lang in views}


def test_results_are_the_same_with_and_without(measured, kept):
    assert results_of(measured) == results_of(kept)


def test_kept_models_are_measured_as_runs_are_whatever_the_order(
    measured, kept, tmp_path
):
    shutil.copytree(kept.root, tmp_path / "exp")
    directory = type(kept)(tmp_path / "exp")
    runs = planned_runs(directory)
    assert runs_left(directory, runs) == []
    left = runs_left(directory, runs, layers=True)
    assert left == runs
    settings = read_settings(directory.settings)
    for planned in left[::-1]:
        make_run(directory, settings, planned, layers=True)
        assert layers_of(directory, planned) == layers_of(measured, planned)
    assert runs_left(directory, runs, layers=True) == []
    assert results_of(directory) == results_of(kept)


def test_each_language_has_its_measures_of_every_state(measured):
    for planned in planned_runs(measured):
        found = read_metrics(measured.metrics(planned.run.name))["layers"]
        assert found["languages"] == LANGUAGES
        assert found["utterances"] == 3 * 4 * 3  # of all there are
        assert tuple(found["measures"]) == planned.run.languages
        for measures in found["measures"].values():
            assert len(measures) == 5
            for values in measures.values():
                assert len(values) == HUBERT["num_hidden_layers"] + 1
                assert all(0 <= value <= 1 for value in values)
            assert max(measures["cka_pretrained"]) < 0.9999


def test_a_run_without_a_kept_model_stays_done_and_the_remedy_is_named(
    measured, tmp_path
):
    shutil.copytree(measured.root, tmp_path / "exp")
    directory = type(measured)(tmp_path / "exp")
    first, *_ = runs = planned_runs(directory)
    path = directory.metrics(first.run.name)
    content = json.loads(path.read_text())
    del content["layers"]
    path.write_text(json.dumps(content))
    assert is_done(directory, first, layers=True)
    table = LayerTable(directory)
    for planned in runs:
        table.add(planned, read_metrics(directory.metrics(planned.run.name)))
    assert table.write()
    told = without_layers(directory, runs)
    assert told.startswith("1 runs") and str(directory.runs) in told
    assert without_layers(measured, runs) is None


def test_a_run_that_ends_while_it_is_measured_is_made_again(
    store, tmp_path, monkeypatch
):
    settings = settings_for(store, train_config={"gender": CONFIGS["gender"]})
    directory = plan_experiment(tmp_path, settings, LANGUAGES)
    settings = read_settings(directory.settings)
    planned = planned_runs(directory)[0]

    def end(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(layers, "view", end)
        with pytest.raises(KeyboardInterrupt):
            make_run(directory, settings, planned, layers=True)
    assert not is_done(directory, planned)
    make_run(directory, settings, planned, layers=True)
    assert layers_of(directory, planned)[0]["measures"]


DEEPER = {**HUBERT, "num_hidden_layers": 3}


@pytest.mark.parametrize(
    ("conf", "frozen"),
    [
        ({"frontend_conf": {"model": DEEPER, "freeze_layers": 2}}, 3),
        ({"strategy": "freeze", "strategy_conf": {"part": 1}}, 2),
        ({"strategy": "lora", "strategy_conf": {"rank": 2}}, 1),
        ({"strategy": "houlsby"}, 1),
        ({"strategy": "reinit", "strategy_conf": {"layers": 1}}, 0),
        ({"model_conf": {"autocast": "bfloat16"}}, 0),
        ({"frontend_conf": {"model": DEEPER, "layers": "weighted"}}, 0),
    ],
    ids=lambda value: str(value.get("strategy", "")) if isinstance(value, dict) else "",
)
def test_what_is_frozen_has_not_changed(store, tmp_path, conf, frozen):
    still = {**DEEPER, "layerdrop": 0.0, "apply_spec_augment": False}
    conf = {"frontend_conf": {"model": still}, **conf}
    conf["frontend_conf"] = {**conf["frontend_conf"], "model": still}
    config = {**CONFIGS["gender"], **conf, "optim_conf": {"lr": 0.03}}
    settings = settings_for(store, train_config={"gender": config})
    directory = plan_experiment(tmp_path, settings, LANGUAGES)
    settings = read_settings(directory.settings)
    planned = planned_runs(directory)[0]
    make_run(directory, settings, planned, layers=True)
    measures = layers_of(directory, planned)[0]["measures"]["es"]
    assert len(measures["cka_pretrained"]) == 4
    is_equal = [value == 1.0 for value in measures["cka_pretrained"]]
    assert is_equal == [k < frozen for k in range(4)]
    if "layers" in conf["frontend_conf"]:
        assert sum(measures["weight"]) == pytest.approx(1, abs=1e-5)
        assert len(set(measures["weight"])) > 1


def test_the_table_compares_the_runs_of_a_seed(measured):
    runs = {p.run.name: p for p in planned_runs(measured)}
    table = LayerTable(measured)
    for name, planned in runs.items():
        if planned.run.kind != "pair":  # no pair of this strategy is there
            planned = replace(planned, shared_by=("adversarial",))
        table.add(planned, read_metrics(measured.metrics(name)))
    assert not table.write()
    rows = pd.read_csv(measured.layer_table, sep="\t")
    rows = rows[(rows["task"] == "gender") & (rows["language"] == "es")]
    shared = rows["strategy"] == "adversarial"
    assert set(rows[shared]["kind"]) == {"single", "double"}
    alone = rows[(rows["strategy"] == "full") & (rows["kind"] != "pair")]
    assert rows[shared]["mean"].tolist() == alone["mean"].tolist()
    rows = rows[~shared]
    of = rows.set_index(["measure", "kind", "languages", "layer"])["mean"]
    names = {
        name.split(".")[2] + name.split(".")[1]: name for name in runs if "gen" in name
    }
    views = {k: read_views(measured.layers(n), "es") for k, n in names.items()}
    double, single = views["esdouble"], views["essingle"]
    donors = [views["es+fipair"], views["es+trpair"]]
    for layer in range(2):
        for kind, languages, found in (
            ("single", "es", single),
            ("pair", "es+fi", donors[0]),
        ):
            wanted = linear_cka(found[layer], double[layer])
            assert of["cka_double", kind, languages, layer] == pytest.approx(wanted)
        wanted = linear_cka(donors[0][layer], donors[1][layer])
        assert of["cka_donors", "pair", "es+fi", layer] == pytest.approx(wanted)
        assert wanted < 1
    assert ("cka_double", "double") not in of.index.droplevel([2, 3])


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 cut"])
def test_damaged_views_are_named(tmp_path, content):
    path = tmp_path / "layers.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"layers\.npz is missing or damaged"):
        read_views(path, "es")


def listed(labels, utterances=3):
    return [
        ListedUtterance(f"{s}-{n}", label, 100, "a.ark:1", s)
        for s, label in labels.items()
        for n in range(utterances)
    ]


def test_the_sample_has_many_speakers_and_all_labels_in_any_order_of_the_list():
    found = listed({**{f"f{k}": "f" for k in range(20)}, "m0": "m", "m1": "m"})
    chosen = choose_utterances(found, 8)
    assert chosen == choose_utterances(found[::-1], 8)
    assert [u.label for u in chosen].count("m") == 4
    assert len({u.speaker for u in chosen if u.label == "f"}) == 4
    of_speakers = listed({f"s{k}": f"s{k}" for k in range(9)}, 6)
    chosen = choose_utterances(of_speakers, 8)
    assert len({u.speaker for u in chosen}) == 2  # with four utterances each
