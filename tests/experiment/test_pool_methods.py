"""Ways to make a pool's model: from the plan to results."""

import json
from dataclasses import replace

import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.pool_methods import train_pool
from espnet2_cltm.experiment.settings import read_settings
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.pooling.methods import read_pool_method
from espnet2_cltm.pools import ChosenPool, PoolOptions
from espnet2_cltm.tasks.model_files import read_packed_model
from espnet2_cltm.tasks.training import training_arguments
from tests.experiment.kept_experiments import (
    SPEAKERS,
    make_left,
    results_of,
    settings_for,
)

LANGS = ["ca", "es", "tr"]
METHODS = ("merge", "fedavg", "reptile", "fomaml")
DUMP = {"languages": LANGS, "speakers": SPEAKERS}


def for_tr(task, languages, donors=("ca", "es")):
    return [ChosenPool("tr", "all", donors)]


def planned(store, methods, tasks=("gender",), chosen=for_tr, own=None, **options):
    asked = {"pools": ("all",), "targets": ("tr",), "methods": methods, **options}
    settings = settings_for(
        store,
        tasks,
        pools=PoolOptions(**asked),
        pool_methods={m: read_pool_method(m) for m in methods} | (own or {}),
        steps="equal",
    )
    return make_plan(settings, LANGS, [42], choose_pools=chosen)


def experiment(root, plan):
    """Write a plan of its pools and what they need."""
    directory = ExperimentDir(root)
    needed = {other.run for p in plan.runs for other in p.needs}
    runs = [p for p in plan.runs if p.run.kind == "pool" or p.run in needed]
    write_experiment(directory, replace(plan, runs=runs))
    return directory


def predictions_of(directory, run, lang="tr"):
    return directory.predictions(run.name, lang, ".tsv").read_bytes()


@pytest.fixture(scope="module")
def made(store, tmp_path_factory):
    plan = planned(store, ("joint", *METHODS), shots=(1,))
    directory = experiment(tmp_path_factory.mktemp("exp"), plan)
    make_left(directory)
    return directory


def pools_of(directory):
    return {
        p.run.method: p.run
        for p in read_plan(directory.plan)
        if p.run.kind == "pool" and not p.run.shots
    }


def test_a_merge_needs_single_runs_of_as_much_as_each_donor_gives(store):
    plan = planned(store, ("merge",), sizes=("each", "total"))
    merges = [p for p in plan.runs if p.run.method == "merge"]
    needs = {p.run.size: [n.run for n in p.needs] for p in merges}
    assert {run.kind for runs in needs.values() for run in runs} == {"single"}
    assert [run.budget for run in needs["each"]] == [2, 2]
    assert [run.budget for run in needs["total"]] == [1, 1]
    tested = {p.run: p.test_languages for p in plan.runs}
    assert tested[needs["total"][0]] == ("ca",)


def test_each_method_is_a_run_with_a_name_of_its_own(store):
    plan = planned(store, ("joint", *METHODS), shots=(1,))
    runs = [p.run for p in plan.runs if p.run.kind == "pool"]
    assert {run.method for run in runs} == {"joint", *METHODS}
    assert len({run.name for run in runs}) == 2 * 5
    assert "gender.pool.ca+es.n2.fedavg.equal.s42" in {run.name for run in runs}


def test_more_clients_than_donors_are_refused_in_stage_3(store):
    with pytest.raises(UserError, match="clients: 3"):
        planned(store, ("fedavg",), own={"fedavg": {"clients": 3}})


@pytest.mark.slow
def test_every_method_gives_a_model_that_differs_and_is_tested(made):
    pools = pools_of(made)
    of = {method: predictions_of(made, run) for method, run in pools.items()}
    assert set(of) == {"joint", *METHODS}
    assert len(set(of.values())) == len(of)
    lines = results_of(made).decode().splitlines()
    header = lines[0].split("\t")
    rows = [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]
    of_pools = {(r["method"], r["shots"]) for r in rows if r["kind"] == "pool"}
    assert of_pools == {(m, shots) for m in of for shots in "01"}


@pytest.mark.slow
def test_rounds_record_what_was_sent(made):
    pools = pools_of(made)
    metrics = json.loads(made.metrics(pools["fedavg"].name).read_text())
    rounds = metrics["rounds"]["by_round"]
    assert len(rounds) == 2 and all(one["clients"] == ["ca", "es"] for one in rounds)
    trained = metrics["costs"]["trainable_parameters"]
    assert rounds[0]["bytes_up"] >= 2 * 4 * trained
    assert metrics["costs"]["sent_bytes"] == sum(
        one["bytes_up"] + one["bytes_down"] for one in rounds
    )
    # What silos train on is there for one that trains elsewhere.
    silo = made.run(pools["fedavg"].name) / "silos/es/train/wav.scp"
    assert {line[:2] for line in silo.read_text().splitlines()} == {"es"}
    other = json.loads(made.metrics(pools["fomaml"].name).read_text())
    assert "rounds" not in other and "sent_bytes" not in other["costs"]


@pytest.mark.slow
def test_the_same_seed_makes_the_same_models(made, store, tmp_path):
    again = experiment(tmp_path, planned(store, METHODS[::-1]))
    torch.rand(5)
    make_left(again)
    for method, run in pools_of(again).items():
        assert predictions_of(again, run) == predictions_of(
            made, pools_of(made)[method]
        )


@pytest.mark.slow
def test_the_merge_of_one_donor_is_its_single_run(store, tmp_path):
    def one(task, languages):
        return for_tr(task, languages, ("ca",))

    directory = experiment(tmp_path, planned(store, ("merge",), chosen=one))
    make_left(directory)
    (merge,) = pools_of(directory).values()
    single = merge.needs[0]
    assert predictions_of(directory, merge) == predictions_of(directory, single)
    # Nothing needs the donor's model any more.
    assert not directory.model(single.name).exists()


@pytest.mark.slow
def test_task_arithmetic_moves_from_the_start_in_proportion(store, tmp_path):
    own = {"merge": {"scale": 0.5}}
    directory = experiment(tmp_path, planned(store, ("merge",), own=own))
    make_left(directory, keep_models="all")
    (run,) = pools_of(directory).values()
    settings = read_settings(directory.settings)
    config = directory.run(run.name) / "train.yaml"
    from espnet2_cltm.label.espnet_task import LabelEspnetTask
    from espnet2_cltm.tasks.building import start_model

    args = training_arguments(LabelEspnetTask, config)
    begun = start_model(LabelEspnetTask, args).state_dict()
    merged = train_pool(directory, settings, run, args, ())[0].model.state_dict()
    donors = []
    for k, needed in enumerate(run.needs):
        place = tmp_path / f"donor{k}"
        place.mkdir()
        files = read_packed_model(directory.model(needed.name)).extract(place)
        donors.append(torch.load(files["model_file"], weights_only=True))
    name = "classifier.linear.weight"
    change = sum(donor[name] - begun[name] for donor in donors) / 2
    torch.testing.assert_close(merged[name], begun[name] + 0.5 * change)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["merge", "fedavg"])
def test_speakers_of_other_languages_do_not_stand_in_the_way(store, tmp_path, method):
    plan = planned(store, (method,), tasks=("speaker",))
    directory = experiment(tmp_path, plan)
    make_left(directory)
    (run,) = pools_of(directory).values()
    assert json.loads(directory.metrics(run.name).read_text())["test"].keys() == {"tr"}
