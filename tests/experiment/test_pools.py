"""Pool runs and few shots: from the plan to results."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from espnet2_cltm.bin import gender_train
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import training_utterances
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.kept_models import START
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.merging import merge_experiments
from espnet2_cltm.experiment.plan import OWN_ALONE, Run, read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.pools import pool_runs
from espnet2_cltm.experiment.settings import read_settings
from espnet2_cltm.experiment.states import is_done, runs_left
from espnet2_cltm.experiment.worker import work
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.pools import ChosenPool, PoolOptions, read_pools
from espnet2_cltm.tasks.model_files import read_packed_model
from tests.experiment.kept_experiments import (
    SPEAKERS,
    make_left,
    results_of,
    settings_for,
)

LANGS = ["ca", "es", "tr"]
DUMP = {"languages": LANGS, "speakers": SPEAKERS}


def for_tr(task, languages):
    return [ChosenPool("tr", "all", ("ca", "es"))]


def planned(store, chosen=for_tr, tasks=("gender",), **options):
    asked = {"pools": ("all",), "shots": (1,), **options}
    settings = settings_for(store, tasks, pools=PoolOptions(**asked), steps="equal")
    return make_plan(settings, LANGS, [42], choose_pools=chosen)


codes = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


@given(codes, st.integers(6, 40), st.integers(0, 100))
@limits(max_examples=50, deadline=None)
def test_a_total_is_divided_evenly_and_each_donor_takes_turns(donors, budget, seed):
    run = Run("gender", "pool", tuple(sorted(donors)), budget, seed, size="total")
    sizes = [n for _, n in run.parts]
    assert sum(sizes) == budget
    assert max(sizes) - min(sizes) <= 1
    over = [
        sum(dict(replace(run, seed=s).parts)[lang] for s in range(len(donors)))
        for lang in sorted(donors)
    ]
    assert {*over} == {budget}


@given(codes, st.sampled_from(["each", "total"]), st.integers(0, 3))
@limits(max_examples=50, deadline=None)
def test_names_tell_runs_apart(donors, size, shots):
    of = Run("gender", "pool", tuple(sorted(donors)), 8, 1, size=size)
    runs = {of, replace(of, size="each"), replace(of, seed=2)}
    runs |= {replace(of, target="z", shots=shots)} if shots else set()
    assert len({run.name for run in runs}) == len(runs)


def test_many_donors_make_a_short_name():
    donors = tuple(f"lang-{k:03d}" for k in range(100))
    name = Run("gender", "pool", donors, 8, 1, target="gl", shots=4).name
    assert len(name) < 100
    assert name != Run("gender", "pool", donors[1:], 8, 1, target="gl", shots=4).name


def test_a_target_cannot_be_in_its_own_pool():
    with pytest.raises(UserError, match="gl"):
        Run("gender", "pool", ("ca", "gl"), 8, 1, target="gl", shots=4)


def test_runs_are_shared_by_targets_and_nested_in_the_same_draw(store, tmp_path):
    def choose(task, languages):
        return [
            ChosenPool("es", "nearest:1", ("ca",)),
            ChosenPool("tr", "nearest:1", ("ca",)),
            ChosenPool("tr", "all", ("ca", "es")),
        ]

    plan = planned(store, choose, sizes=("each", "total"))
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, plan)
    settings = read_settings(directory.settings)
    lines = read_plan(directory.plan)
    assert [p.run for p in lines] == [p.run for p in plan.runs]
    utts = {
        p.run: [u.utt for u in training_utterances(directory, settings, p.run)]
        for p in lines
    }
    single = {
        (run.languages[0], run.budget): of
        for run, of in utts.items()
        if run.kind == "single"
    }
    pools = [run for run in utts if run.kind == "pool" and not run.shots]
    # A pool of one donor is its single run.
    assert {run.languages for run in pools} == {("ca", "es")}
    for run in pools:
        for lang, n in run.parts:
            part = [utt for utt in utts[run] if utt.startswith(lang)]
            assert part == single[lang, 2][: 2 * n]
    assert {sum(n for _, n in run.parts) for run in pools} == {2, 4}
    shots = [run for run in utts if run.shots]
    assert {(run.languages, run.target) for run in shots} == {
        (("ca",), "es"),
        (("ca",), "tr"),
        (("ca", "es"), "tr"),
    }
    for run in shots:
        assert utts[run] == single[run.target, 1] == single[run.target, 2][:2]
    # Each comes behind the run whose model it goes on with.
    order = [p.run for p in lines]
    assert all(order.index(run.start) < order.index(run) for run in shots)
    again = planned(store, choose)
    assert {p.run for p in again.runs} < {p.run for p in plan.runs}


def test_pools_of_two_machines_are_merged(store, tmp_path):
    for seed in (42, 43):
        asked = PoolOptions(("all",), (1,))
        settings = settings_for(store, pools=asked, steps="equal")
        chosen = [ChosenPool("tr", "random:1", ("ca",), seed), *for_tr("gender", LANGS)]
        plan = make_plan(settings, LANGS, [seed], choose_pools=lambda *_, c=chosen: c)
        write_experiment(ExperimentDir(tmp_path / str(seed)), plan)
    merged = tmp_path / "merged"
    plan = merge_experiments([tmp_path / "42", tmp_path / "43"], merged)
    assert {p.run.seed for p in plan if p.run.shots} == {42, 43}
    assert [p.run for p in read_plan(merged / "plan.tsv")] == [p.run for p in plan]
    pools = read_pools(ExperimentDir(merged).pools("gender"))
    assert [p.seed for p in pools] == [42, None, 43]


def test_more_shots_than_there_are_are_refused(store):
    with pytest.raises(UserError, match="--shots 64 does not go with gender in ca"):
        planned(store, shots=(64,))
    # Donors of the only target need none.
    with pytest.raises(UserError, match="--shots 64 does not go with gender in tr"):
        planned(store, shots=(64,), targets=("tr",))


def test_a_total_too_small_to_divide_is_refused():
    chosen = [ChosenPool("d", "all", ("a", "b", "c"))]
    options = PoolOptions(("all",), sizes=("total",))
    with pytest.raises(UserError, match="--pool_sizes total: N = 2"):
        pool_runs("gender", chosen, options, ["d"], 2, [1], "equal", OWN_ALONE)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["gender", "speaker"])
def test_shots_go_on_with_the_pools_model(store, tmp_path, task):
    options = {"speaker": (3,), "gender": (1,)}
    plan = planned(store, tasks=(task,), targets=("tr",), shots=options[task])
    runs = [p for p in plan.runs if p.run.kind == "pool"]
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, replace(plan, runs=runs))
    pool, shots = read_plan(directory.plan)
    assert pool.needed_by == (shots.run.name,)
    seen = {}

    def make(directory, settings, planned, **options):
        make_run(directory, settings, planned, **options)
        seen[planned.run] = directory.model(pool.run.name).exists()

    made = make_left(directory, make=make)
    assert made == [pool.run.name, shots.run.name]
    # Kept as long as it is needed, though no model was asked for.
    assert seen == {pool.run: True, shots.run: False}
    assert not (directory.run(shots.run.name) / "start.pth").exists()
    assert is_done(directory, pool)
    assert not runs_left(directory, read_plan(directory.plan))
    text = (directory.run(shots.run.name) / "train.yaml").read_text()
    assert "start.pth" in text
    lines = results_of(directory).decode().splitlines()
    header = lines[0].split("\t")
    rows = [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]
    assert {(r["kind"], r["languages"], r["test_language"]) for r in rows} == {
        ("pool", "ca+es", "tr")
    }
    assert {r["shots"] for r in rows} == {"0", str(options[task][0])}


@pytest.mark.slow
def test_a_worker_waits_for_what_a_run_needs(store, tmp_path):
    plan = planned(store, targets=("tr",))
    runs = [p for p in plan.runs if p.run.kind == "pool"][::-1]
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, replace(plan, runs=runs))
    made = work(directory)
    assert made == [p.run.name for p in runs[::-1]]


@pytest.mark.slow
def test_a_run_fails_with_what_it_needs(store, tmp_path):
    plan = planned(store, targets=("tr",))
    runs = [p for p in plan.runs if p.run.kind == "pool"]
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, replace(plan, runs=runs))

    def fail(directory, settings, planned, ngpu):
        raise UserError("out of luck")

    assert work(directory, make=fail) == []
    reason = directory.failure(runs[1].run.name).read_text()
    assert runs[0].run.name in reason


@pytest.mark.slow
def test_the_commands_give_the_same_numbers_from_the_pools_weights(store, tmp_path):
    plan = planned(store, targets=("tr",))
    runs = [p for p in plan.runs if p.run.kind == "pool"]
    directory = ExperimentDir(tmp_path / "exp")
    write_experiment(directory, replace(plan, runs=runs))
    make_left(directory, keep_models="all")
    pool, shots = (directory.run(p.run.name) for p in runs)
    files = read_packed_model(pool / "model.zip").extract(tmp_path, "tr")
    Path(files["model_file"]).rename(shots / START)
    out = tmp_path / "command"
    train = ["--config", str(shots / "train.yaml"), "--output_dir", str(out)]
    gender_train.main(train)
    trained = torch.load(out / "latest.pth", weights_only=True)
    kept = read_packed_model(shots / "model.zip").extract(tmp_path, "tr")
    expected = torch.load(kept["model_file"], weights_only=True)
    assert trained.keys() == expected.keys()
    assert all(torch.equal(trained[name], expected[name]) for name in expected)
    start = torch.load(shots / START, weights_only=True)
    assert any(not torch.equal(start[name], expected[name]) for name in expected)
