"""What a dry run predicts, from times that are known and from runs that are made."""

import sys
from functools import partial

import pytest

from espnet2_cltm.bin import make_plan
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment import estimate
from espnet2_cltm.experiment.estimate import Workers, estimate_cost
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.executors import LocalExecutor
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.planning import make_plan as plan_runs
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.writing import write_experiment
from tests.speech import TINY_GENDER, TINY_SPEAKER

RUN, TRAIN, HEARD = 0.5, 0.2, 0.03  # seconds: of a run, of a second trained on, heard
START = 7.0
FILES = {"train.yaml": 3000, "predictions/es.tsv": 60 * 4, "train/x": 4097}
CONFIGS = {"gender": TINY_GENDER, "speaker": TINY_SPEAKER}
DUMP = {"languages": ["es", "fi", "tr"]}


def experiment(store, task, **config):
    settings = Settings(
        "demo",
        str(store),
        {task: 2 if task == "gender" else 4},
        train_config={task: {**CONFIGS[task], **config}},
    )
    return plan_runs(settings, ["es", "fi", "tr"], [42, 43])


def dev_seconds(planned, run):
    return sum(
        u.num_samples / 16000
        for lang in run.run.languages
        for u in planned.drawn[run.run.task, lang].dev.utterances
    )


def heard_seconds(planned, run, n_validations):
    """Audio of the tests, and of the dev sets that calibrate each epoch tested."""
    n_epochs = len(run.run.languages) if n_validations else 1
    return run.test_seconds + n_epochs * dev_seconds(planned, run)


def timed_as_known(monkeypatch, n_validations=0, of_training=None, seen=None):
    """Have small runs take known times; one of three of each size is slow."""

    def make_small_runs(planned, tasks, workers, n_left):
        if seen is not None:
            seen.append(min(workers.together, n_left))
        small = estimate.plan_small_runs(planned, tasks, 1)
        metrics = {}
        for index, run in enumerate(small.runs):
            train = RUN + TRAIN * run.train_seconds
            train += HEARD * n_validations * dev_seconds(small, run)
            slow = 1.5 if index < 3 else 1.0  # the very first is not used
            metrics[run.run.name] = {
                "train_seconds": slow * (of_training or train),
                "test_seconds": slow * HEARD * heard_seconds(small, run, n_validations),
                "validation": [{}] * n_validations,
            }
        return estimate.SmallRuns(
            small,
            metrics,
            dict.fromkeys(map(estimate.sort_of, small.runs), FILES),
            START,
        )

    monkeypatch.setattr(estimate, "make_small_runs", make_small_runs)


@pytest.mark.parametrize(("task", "n_validations"), [("gender", 0), ("speaker", 2)])
def test_one_worker_takes_the_sum_of_what_its_runs_take(
    store, monkeypatch, task, n_validations
):
    timed_as_known(monkeypatch, n_validations)
    planned = experiment(store, task)
    cost = estimate_cost(planned, planned.runs, Workers(1, 1))
    expected = sum(
        RUN
        + TRAIN * run.train_seconds
        + HEARD * n_validations * dev_seconds(planned, run)
        + HEARD * heard_seconds(planned, run, n_validations)
        for run in planned.runs
    )
    assert cost.seconds == pytest.approx(START + expected)
    assert cost.least == pytest.approx(START + expected)
    # One of three runs of each size took half as long again.
    assert cost.most == pytest.approx(START + 1.5 * expected)
    assert cost.runs == len(planned.runs) == 18


def test_more_workers_share_the_runs_and_start_together(store, monkeypatch):
    seen = []
    timed_as_known(monkeypatch, seen=seen)
    planned = experiment(store, "gender")
    one, three, many = (
        estimate_cost(planned, planned.runs, Workers(n, 2)).seconds - START
        for n in (1, 3, 100)
    )
    assert three == pytest.approx(one / 3)
    assert 0 < many < one / 9  # no less than the longest run
    assert seen == [2, 2, 2]


def test_epochs_of_a_fixed_number_of_iterations_take_no_longer_for_more_audio(
    store, monkeypatch
):
    timed_as_known(monkeypatch, of_training=3.0)
    planned = experiment(store, "gender", num_iters_per_epoch=30)
    cost = estimate_cost(planned, planned.runs, Workers(1, 1))
    # Three iterations were timed.
    training = 18 * 3.0 * 30 / 3
    testing = HEARD * sum(heard_seconds(planned, run, 0) for run in planned.runs)
    assert cost.seconds == pytest.approx(START + training + testing)


def test_faster_large_runs_give_no_negative_cost(store, monkeypatch):
    timed_as_known(monkeypatch)
    known = estimate.make_small_runs

    def reversed_times(*args):
        timed = known(*args)
        for metrics in timed.metrics.values():
            metrics["train_seconds"] = 1 / metrics["train_seconds"]
        return timed

    monkeypatch.setattr(estimate, "make_small_runs", reversed_times)
    planned = experiment(store, "gender")
    for run in planned.runs:
        assert estimate_cost(planned, [run], Workers(1, 1)).seconds >= START


def test_files_take_whole_blocks(store, monkeypatch):
    timed_as_known(monkeypatch)
    planned = experiment(store, "gender")
    double = next(run for run in planned.runs if run.run.kind == "double")
    cost = estimate_cost(planned, [double], Workers(1, 1))
    # train.yaml, the prediction, the data, which grows with the utterances, and three
    # directories: the run's, predictions and train.
    n_small = estimate._sizes(TINY_GENDER, 2, double.utterances)[0]
    of_data = -(-4097 * double.utterances // n_small // 4096)
    assert cost.size == (1 + 1 + of_data + 3) * 4096


def test_small_runs_foretell_real_ones(store, tmp_path, monkeypatch):
    # A clock that is not that of the files, as where a server stamps them.
    monkeypatch.setattr(estimate.time, "time", lambda: 0.0)
    planned = experiment(store, "speaker")
    made = planned.runs[::7]
    before = sorted(store.rglob("*"))
    cost = estimate_cost(planned, made, Workers(1, 1))
    assert sorted(store.rglob("*")) == before
    directory = ExperimentDir(tmp_path / "exp")
    write_experiment(directory, planned)
    for run in made:
        make_run(directory, planned.settings, run)
    real = sum(512 * p.stat().st_blocks for p in directory.runs.rglob("*"))
    assert cost.size == pytest.approx(real, rel=0.15)
    assert 0 < cost.least <= cost.seconds <= cost.most < 3600


def test_what_ends_a_worker_is_said_in_its_words(store, monkeypatch):
    script = "raise SystemExit('run_worker.py: error: optim cannot be adamx.')"
    worker = partial(LocalExecutor, command=(sys.executable, "-c", script))
    monkeypatch.setattr(estimate, "LocalExecutor", worker)
    planned = experiment(store, "gender")
    with pytest.raises(UserError, match="ended: optim cannot be adamx"):
        estimate_cost(planned, planned.runs, Workers(1, 1))


def test_nothing_is_timed_where_nothing_is_left(store):
    planned = experiment(store, "gender")
    cost = estimate_cost(planned, [], Workers(2, 2))
    assert (cost.runs, cost.seconds, cost.size) == (0, 0.0, 0)


def workers(*options):
    required = ["--exp", "x", "--corpus", "demo", "--seeds", "1"]
    return make_plan.workers_of(
        make_plan.get_parser().parse_args([*required, *options])
    )


def test_workers_are_those_of_stage_4(tmp_path):
    assert workers("--nj", "1").together == 1
    kept = ("--keep_models", "single", "--layers", "true")
    shared = workers("--nj", "6", "--ngpu", "2", *kept)
    assert (shared.total, shared.together, shared.ngpu) == (6, 3, 1)
    assert (shared.keep_models, shared.layers) == ("single", True)
    slurm = tmp_path / "slurm.yaml"
    slurm.write_text("time: 60\njobs: 20\nworkers: 3\ngpus: 1\n")
    there = workers("--executor", "slurm", "--slurm_config", str(slurm), "--nj", "2")
    assert (there.total, there.together, there.ngpu) == (60, 3, 1)


def test_the_first_small_runs_train_on_the_longest_utterance(store):
    planned = experiment(store, "gender")
    together = 2
    small = estimate.plan_small_runs(planned, ["gender"], together)
    drawn = [u for of in planned.drawn.values() for s in of.train.values() for u in s]
    longest = max(drawn, key=lambda u: u.num_samples)
    for number, run in enumerate(small.runs):
        train = small.drawn["gender", run.run.languages[0]].train[run.run.seed]
        heard = train[: run.utterances]
        assert len(heard) == run.utterances
        if number < together:
            assert longest in heard


def test_a_time_has_no_seconds_from_ten_minutes_on():
    cost = estimate.Cost(18, Workers(2, 2), 851, 74.2, 937, 1_630_000)
    assert "about 14 minutes (1 minute and 14 seconds to 16 minutes)" in str(cost)
