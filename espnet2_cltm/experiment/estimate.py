"""What an experiment will cost, from small runs really made.

A run's time is taken to be what every run takes, and so much for each second of audio
that it trains on, validates on and is tested on, and for each test. Small and large
runs (:mod:`.timed_runs`) tell these apart. What a worker meets for the first time
costs it more: a length of audio, for which a CPU prepares, and a test utterance,
which is read. The runs that are left are then shared out to workers as the runner
does it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

import humanfriendly

from espnet2_cltm.corpus.utterance_list import ListedUtterance, total_seconds
from espnet2_cltm.experiment.disk import run_bytes
from espnet2_cltm.experiment.drawn import Planned
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.task_registry import drawing
from espnet2_cltm.experiment.timed_runs import (
    N_ITERATIONS,
    TimedRun,
    TimedTask,
    TimedWorker,
    time_runs,
)
from espnet2_cltm.experiment.train_config_reading import frontend_of

MOST_WORKERS = 16  # that are timed at the same time


@dataclass(frozen=True)
class Workers:
    """Who will make the runs.

    Attributes:
        total: Number of workers.
        together: How many of them share a machine's cores, or a GPU.
        ngpu: 0 for the CPU.
        audio_cache: Most MB of prepared test waveforms that each keeps.
        keep_models: Of which runs the models are kept.
    """

    total: int
    together: int
    ngpu: int = 0
    audio_cache: int = 500
    keep_models: str = "none"


@dataclass(frozen=True)
class RunCosts:
    """Measured costs of a task, in seconds.

    Attributes:
        run: Of every run.
        train: Of a second of audio in training, all epochs.
        new_length: More, of a training utterance whose length is new to the worker.
        each_test: Of every test.
        test: Of a second of audio in testing, or in a validation.
        new_test: More, of a test utterance that is new to the worker.
        n_validations: How often a run validates, where it has trials for that.
    """

    run: float
    train: float
    new_length: float
    each_test: float
    test: float
    new_test: float
    n_validations: int


@dataclass(frozen=True)
class Cost:
    """What the runs that are left will take.

    Attributes:
        runs: Their number.
        workers: Who makes them.
        seconds: By the clock.
        size: Bytes on disk.
    """

    runs: int
    workers: Workers
    seconds: float
    size: int

    def __str__(self) -> str:
        """Say it in a sentence."""
        return (
            f"{self.runs} runs are left: about "
            f"{humanfriendly.format_timespan(round(self.seconds))} "
            f"with {self.workers.total} worker(s), "
            f"{humanfriendly.format_size(self.size)} of disk"
        )


def estimate_cost(
    settings: Settings, planned: Planned, left: Sequence[PlannedRun], workers: Workers
) -> Cost:
    """Predict how long the runs that are left will take, and how much disk.

    Args:
        settings: The experiment's settings.
        planned: Its plan, for utterances to make small runs of.
        left: The runs that are not done.
        workers: Who will make them.

    Raises:
        UserError: A small run failed.
    """
    if not left:
        return Cost(0, workers, 0.0, 0)
    logging.info("A few small runs are made, to take their time")
    tasks = sorted({p.run.task for p in left})
    together = min(workers.together, workers.total, len(left), MOST_WORKERS)
    timed = time_runs(
        settings,
        planned,
        tasks,
        together,
        workers.ngpu,
        workers.audio_cache,
        workers.keep_models,
    )
    costs = {
        task: _mean([run_costs(worker.tasks[task]) for worker in timed])
        for task in tasks
    }
    for task in tasks:
        n_iterations = settings.train_config[task].get("num_iters_per_epoch")
        if n_iterations:
            costs[task] = _by_iterations(costs[task], timed, task, n_iterations)
    start = sum(_start(worker, tasks[0]) for worker in timed) / len(timed)
    seconds = start + _makespan(settings, planned, left, costs, workers.total)
    size = sum(
        run_bytes(planned, p, timed[0].tasks[p.run.task], workers.keep_models)
        for p in left
    )
    return Cost(len(left), workers, seconds, size)


def run_costs(timed: TimedTask) -> RunCosts:
    """Tell apart what the time of runs depends on.

    Args:
        timed: Small and large runs.
    """
    small, large = (_typical(runs) for runs in (timed.small, timed.large))
    test = _slope(large.test - small.test, large.test_audio - small.test_audio)
    train = _slope(large.train - small.train, large.train_audio - small.train_audio)
    validating = small.n_validations * test * small.dev_audio
    training = train * small.train_audio
    rest = max(small.whole - small.train - small.test, 0.0)
    return RunCosts(
        run=rest + max(small.train - validating - training, 0.0),
        train=train,
        new_length=_slope(timed.cold.train - large.train, len(timed.cold.lengths)),
        each_test=max(small.test - test * small.test_audio, 0.0),
        test=test,
        new_test=_slope(timed.cold.test - large.test, timed.cold.test_utterances),
        n_validations=small.n_validations,
    )


def _typical(runs: Sequence[TimedRun]) -> TimedRun:
    """Take medians of the times of runs that are otherwise alike."""
    times = ("train", "test", "whole")
    values: dict[str, Any] = {
        f.name: getattr(runs[0], f.name) for f in fields(TimedRun)
    }
    for name in times:
        values[name] = median(getattr(run, name) for run in runs)
    return TimedRun(**values)


def _slope(more: float, units: float) -> float:
    return max(more, 0.0) / units if units > 0 else 0.0


def _by_iterations(
    costs: RunCosts, timed: Sequence[TimedWorker], task: str, n_iterations: int
) -> RunCosts:
    """Take a training's time from its number of iterations, whatever the audio."""
    few = [_typical(worker.tasks[task].small) for worker in timed]
    training = sum(run.train for run in few) / len(few)
    validating = costs.n_validations * costs.test * few[0].dev_audio
    rest = costs.run - max(training - validating, 0.0)
    each = max(training - validating, 0.0) / N_ITERATIONS
    return RunCosts(
        **{
            **{f.name: getattr(costs, f.name) for f in fields(RunCosts)},
            "run": max(rest, 0.0) + n_iterations * each,
            "train": 0.0,
        }
    )


def _mean(costs: Sequence[RunCosts]) -> RunCosts:
    """Average over workers."""
    names = [f.name for f in fields(RunCosts) if f.name != "n_validations"]
    means = {
        name: sum(getattr(cost, name) for cost in costs) / len(costs) for name in names
    }
    return RunCosts(**means, n_validations=costs[0].n_validations)


def _start(worker: TimedWorker, task: str) -> float:
    """Give the seconds before a worker's first run, and what that takes more."""
    again = _typical(worker.tasks[task].small)
    return max(worker.start - again.whole, 0.0)


def _makespan(
    settings: Settings,
    planned: Planned,
    left: Sequence[PlannedRun],
    costs: Mapping[str, RunCosts],
    n_workers: int,
) -> float:
    """Share the runs out in their order, each to the worker that is free first.

    Returns:
        Seconds until the last worker has made its last run.
    """
    met: list[set] = [set() for _ in range(min(n_workers, len(left)))]
    free_at = [0.0] * len(met)
    for run in left:
        cost = costs[run.run.task]
        worker = free_at.index(min(free_at))
        seconds = cost.run + cost.train * run.train_seconds
        lengths = {
            _padded(u.num_samples, settings, run.run.task)
            for u in _training_utterances(planned, run)
        }
        seconds += cost.new_length * len(lengths - met[worker])
        met[worker] |= lengths
        seconds += cost.each_test * len(run.test_languages)
        seconds += cost.test * run.test_seconds
        for name in run.test_languages:
            test = planned.tested(run.run.task, name).utterances
            seconds += _first_time(cost, met[worker], ("test", name), test)
        for lang in run.run.languages:
            dev = planned.drawn[run.run.task, lang].dev
            if cost.n_validations and dev.trials is not None:
                audio = total_seconds(dev.utterances)
                seconds += cost.n_validations * cost.test * audio
                seconds += _first_time(cost, met[worker], ("dev", lang), dev.utterances)
        free_at[worker] += seconds
    return max(free_at)


def _first_time(
    cost: RunCosts, met: set, key: tuple[str, str], test: Sequence[ListedUtterance]
) -> float:
    if key in met:
        return 0.0
    met.add(key)
    return cost.new_test * len(test)


def _padded(num_samples: int, settings: Settings, task: str) -> tuple[str, int]:
    """Give the length at which the encoder sees an utterance."""
    config = settings.train_config[task]
    multiple = 1
    if frontend_of(config) == "hubert":
        multiple = config.get("frontend_conf", {}).get("length_multiple", 1)
    return task, -(-num_samples // multiple)


def _training_utterances(planned: Planned, run: PlannedRun) -> list[ListedUtterance]:
    n_drawn = drawing(run.run.task).n_drawn(run.run.utterances_per_language)
    return [
        utterance
        for lang in run.run.languages
        for utterance in planned.drawn[run.run.task, lang].train[run.run.seed][:n_drawn]
    ]
