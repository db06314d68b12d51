"""What a dry run predicts, against costs that are known and runs that are made."""

import json
from dataclasses import replace

import pytest

from espnet2_cltm.bin import make_plan
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment import estimate
from espnet2_cltm.experiment.estimate import (
    RunCosts,
    TimedRun,
    TimedTask,
    TimedWorker,
    Workers,
    estimate_cost,
    run_bytes,
    run_costs,
    time_runs,
)
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.planning import make_plan as plan_runs
from espnet2_cltm.experiment.planning import write_experiment
from espnet2_cltm.experiment.settings import Settings
from tests.speech import TINY_GENDER, TINY_SPEAKER, write_dump

COSTS = RunCosts(
    run=0.5,
    train=0.2,
    new_length=0.05,
    each_test=0.1,
    test=0.03,
    new_test=0.01,
    n_validations=2,
)
START = 7.0
CONFIGS = {"gender": TINY_GENDER, "speaker": TINY_SPEAKER}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    write_dump(root / "demo", ["es", "fi", "tr"])
    return root


def experiment(store, task, **config):
    settings = Settings(
        "demo",
        str(store),
        {task: 2 if task == "gender" else 4},
        train_config={task: {**CONFIGS[task], **config}},
    )
    return settings, plan_runs(settings, ["es", "fi", "tr"], [42, 43])


def timed_run(costs, n, audio, test_audio, n_test, dev_audio=3.0, is_new=False):
    """Give the run that costs what ``costs`` say."""
    train = costs.run + costs.train * audio
    train += costs.n_validations * costs.test * dev_audio
    test = costs.each_test + costs.test * test_audio
    if is_new:
        train += costs.new_length * n
        test += costs.new_test * n_test
    return TimedRun(
        utterances=n,
        lengths=frozenset(range(n)),
        train_audio=audio,
        dev_audio=dev_audio,
        test_audio=test_audio,
        test_utterances=n_test,
        test_items=n_test,
        dev_utterances=2,
        train=train,
        test=test,
        whole=train + test,
        n_validations=costs.n_validations,
        files={"train.yaml": 3000, "predictions/es.tsv": 60 * n_test, "train/x": 4097},
    )


def timed_task(costs):
    small, large = (costs, 4, 10.0, 12.0, 4), (costs, 16, 41.0, 40.0, 14)
    return TimedTask(
        first=timed_run(*small, is_new=True),
        cold=timed_run(*large, is_new=True),
        large=[timed_run(*large)] * 3,
        small=[timed_run(*small)] * 3,
    )


def timed_as_known(monkeypatch, costs, n_seen=None):
    def time_runs(settings, planned, tasks, n_workers, *others):
        if n_seen is not None:
            n_seen.append(n_workers)
        task = timed_task(costs)
        start = START + task.small[0].whole
        worker = TimedWorker(start, {name: task for name in tasks})
        return [worker] * n_workers

    monkeypatch.setattr(estimate, "time_runs", time_runs)


def test_costs_are_told_apart():
    found = run_costs(timed_task(COSTS))
    for name in RunCosts.__dataclass_fields__:
        assert getattr(found, name) == pytest.approx(getattr(COSTS, name), abs=1e-9)


def test_faster_large_runs_give_no_negative_cost():
    task = timed_task(COSTS)
    slow = [replace(run, train=99.0, test=99.0, whole=200.0) for run in task.small]
    found = run_costs(replace(task, small=slow))
    assert all(getattr(found, name) >= 0 for name in RunCosts.__dataclass_fields__)


def test_one_worker_takes_the_sum_of_what_its_runs_cost(store, monkeypatch):
    costs = replace(COSTS, n_validations=0)
    timed_as_known(monkeypatch, costs)
    settings, planned = experiment(store, "gender")
    cost = estimate_cost(settings, planned, planned.runs, Workers(1, 1))
    expected = START
    for run in planned.runs:
        expected += costs.run + costs.train * run.train_seconds
        expected += costs.each_test * len(run.test_languages)
        expected += costs.test * run.test_seconds
    lengths = {
        u.num_samples
        for language in planned.drawn.values()
        for utterances in language.train.values()
        for u in utterances
    }
    expected += costs.new_length * len(lengths)
    tests = sum(len(language.test.utterances) for language in planned.drawn.values())
    expected += costs.new_test * tests
    assert cost.seconds == pytest.approx(expected)
    assert cost.runs == len(planned.runs) == 18


def test_validation_counts_for_every_epoch(store, monkeypatch):
    settings, planned = experiment(store, "speaker")
    seconds = []
    for n in (0, 1, 2):
        timed_as_known(monkeypatch, replace(COSTS, n_validations=n, new_test=0.0))
        workers = Workers(1, 1)
        seconds.append(estimate_cost(settings, planned, planned.runs, workers).seconds)
    dev = sum(
        u.num_samples / 16000
        for run in planned.runs
        for lang in run.run.languages
        for u in planned.drawn["speaker", lang].dev.utterances
    )
    assert seconds[1] - seconds[0] == pytest.approx(COSTS.test * dev)
    assert seconds[2] - seconds[1] == pytest.approx(COSTS.test * dev)


def test_more_workers_share_the_runs_and_start_together(store, monkeypatch):
    n_seen = []
    costs = replace(COSTS, new_length=0.0, new_test=0.0, n_validations=0)
    timed_as_known(monkeypatch, costs, n_seen)
    settings, planned = experiment(store, "gender")
    one, three, many = (
        estimate_cost(settings, planned, planned.runs, Workers(n, 2)).seconds - START
        for n in (1, 3, 100)
    )
    assert one / 3 <= three < one / 3 + 2  # no run takes 2 s
    assert many < 2
    assert n_seen == [1, 2, 2]


def test_epochs_of_a_fixed_number_of_iterations_take_no_longer_for_more_audio(
    store, monkeypatch
):
    costs = replace(COSTS, train=0.0, n_validations=0, new_length=0.0, new_test=0.0)
    timed_as_known(monkeypatch, costs)
    settings, planned = experiment(store, "gender", num_iters_per_epoch=30)
    cost = estimate_cost(settings, planned, planned.runs, Workers(1, 1))
    testing = sum(
        costs.each_test * len(run.test_languages) + costs.test * run.test_seconds
        for run in planned.runs
    )
    # Three iterations were timed, and took what a run's time is here.
    of_runs = 18 * costs.run * 30 / 3
    assert cost.seconds == pytest.approx(START + testing + of_runs)


def test_files_take_whole_blocks(store):
    _, planned = experiment(store, "gender")
    double = next(run for run in planned.runs if run.run.kind == "double")
    # train.yaml, the prediction, four blocks for eight lines of 256 bytes and more,
    # and three directories: the run's, predictions and train.
    eight = replace(double, utterances=8)
    size = run_bytes(planned, eight, timed_task(COSTS), "none")
    assert size == (1 + 1 + 1 + 3) * 4096


def test_disk_is_what_runs_take(store, tmp_path):
    settings, planned = experiment(store, "speaker")
    (worker,) = time_runs(settings, planned, ["speaker"], 1, 0, 0)
    directory = ExperimentDir(tmp_path / "exp")
    write_experiment(directory, planned)
    for run in planned.runs[::7]:
        make_run(directory, settings, run)
        root = directory.run(run.run.name)
        real = sum(512 * p.stat().st_blocks for p in [root, *root.rglob("*")])
        expected = run_bytes(planned, run, worker.tasks["speaker"], "none")
        assert expected == pytest.approx(real, rel=0.15)
        made = json.loads(directory.metrics(run.run.name).read_text())
        assert len(made["validation"]) == worker.tasks["speaker"].small[0].n_validations
    assert worker.start > 0
    assert all(r.whole > r.train + r.test > 0 for r in worker.tasks["speaker"].small)


def test_what_runs_cannot_do_is_said_in_their_words(store):
    settings, planned = experiment(store, "gender", optim="adamx")
    with pytest.raises(UserError, match="adamx"):
        estimate_cost(settings, planned, planned.runs, Workers(1, 1))


def test_nothing_is_timed_where_nothing_is_left(store):
    settings, planned = experiment(store, "gender")
    cost = estimate_cost(settings, planned, [], Workers(2, 2))
    assert str(cost).startswith("0 runs are left: about 0 seconds")


def workers(*options):
    required = ["--exp", "x", "--corpus", "demo", "--seeds", "1"]
    return make_plan.workers_of(
        make_plan.get_parser().parse_args([*required, *options])
    )


def test_workers_are_those_of_stage_4(tmp_path):
    assert workers("--nj", "1").together == 1
    shared = workers("--nj", "6", "--ngpu", "2", "--keep_models", "single")
    assert (shared.total, shared.together, shared.ngpu) == (6, 3, 1)
    assert shared.keep_models == "single"
    slurm = tmp_path / "slurm.yaml"
    slurm.write_text("time: 60\njobs: 20\nworkers: 3\ngpus: 1\n")
    there = workers("--executor", "slurm", "--slurm_config", str(slurm), "--nj", "2")
    assert (there.total, there.together, there.ngpu) == (60, 3, 1)
