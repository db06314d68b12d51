"""What an experiment will cost, from a few steps really made.

Two short trainings on utterances of the plan separate what every run costs from what
a second of audio costs; one prediction gives the cost of testing and validation.
"""

import logging
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import humanfriendly
import numpy as np
import torch

from espnet2_cltm.experiment.drawn import DrawnLanguage, DrawnSet, Planned
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.task_registry import testing
from espnet2_cltm.experiment.test_set import TestSet
from espnet2_cltm.experiment.train_config_file import write_train_config
from espnet2_cltm.experiment.training import (
    Trained,
    check_device,
    train_in_memory,
    training_arguments,
)
from espnet2_cltm.experiment.utterance_list import ListedUtterance, total_seconds
from espnet2_cltm.speaker.trials import TrialList

# Sizes measured on finished runs: files of a run, and its lines on an utterance.
RUN_BYTES = 20_000
UTTERANCE_BYTES = 200
START_SECONDS = 10.0  # a worker imports torch and ESPnet
FEW, MANY = 2, 8  # training utterances of each of up to four languages
N_TRIALS = 16


@dataclass(frozen=True)
class StepCosts:
    """Measured costs of a task on this machine.

    Attributes:
        run: Seconds that every run takes.
        train: Seconds per second of audio in training, all epochs.
        test: Seconds per second of audio in testing.
        n_validations: How often a run validates, where it has trials for that.
    """

    run: float
    train: float
    test: float
    n_validations: int


def estimate_cost(
    settings: Settings,
    planned: Planned,
    left: Sequence[PlannedRun],
    nj: int,
    ngpu: int,
) -> str:
    """Say in one sentence how long the runs that are left will take.

    Args:
        settings: The experiment's settings.
        planned: Its plan, for utterances to try steps on.
        left: The runs that are not done.
        nj: Number of worker processes.
        ngpu: Number of GPUs, 0 for the CPU.
    """
    check_device(ngpu)
    logging.info("A few training steps are made, to take their time")
    torch.set_num_threads(1)
    seconds = 0.0
    size = 0
    for task in sorted({p.run.task for p in left}):
        costs = measure_steps(settings, planned, task, ngpu)
        for run in (p for p in left if p.run.task == task):
            dev = [
                u
                for lang in run.run.languages
                if planned.drawn[task, lang].dev.trials is not None
                for u in planned.drawn[task, lang].dev.utterances
            ]
            seconds += costs.run + costs.train * run.train_seconds
            seconds += costs.test * run.test_seconds
            seconds += costs.test * costs.n_validations * total_seconds(dev)
            size += RUN_BYTES + UTTERANCE_BYTES * (run.utterances + len(dev))
            size += sum(
                testing(task).predictions_bytes(*_size_of(planned, task, name))
                for name in run.test_languages
            )
    wall = seconds / nj + (START_SECONDS if left else 0.0)
    return (
        f"{len(left)} runs are left: about "
        f"{humanfriendly.format_timespan(round(wall))} "
        f"with {nj} worker(s), {humanfriendly.format_size(size)} of disk"
    )


def measure_steps(
    settings: Settings, planned: Planned, task: str, ngpu: int
) -> StepCosts:
    """Train and predict on a few utterances and take the time.

    Raises:
        UserError: The training configuration or the encoder can't be used.
    """
    languages = [drawn for (name, _), drawn in planned.drawn.items() if name == task]
    few, many = [], []
    for drawn in languages[:4]:
        utterances = next(iter(drawn.train.values()))
        few += utterances[:FEW]
        many += utterances[:MANY]
    with tempfile.TemporaryDirectory() as name, _quiet():
        directory = Path(name)
        args = (directory, settings, task, ngpu)
        if settings.train_config[task].get("num_iters_per_epoch") is None:
            run, per_second, trained = _time_by_audio(*args, few, many)
        else:
            run, trained = _time_by_iterations(*args, languages)
            per_second = 0.0
        testing(task).cache_audio(10**9)  # a worker meets its test audio again
        test = _some(languages[0].test)
        for _ in range(2):
            started = time.monotonic()
            testing(task).predict(
                trained.model,
                test,
                directory / f"predictions{testing(task).PREDICTIONS_SUFFIX}",
                settings.test_batch_bins,
                "cuda" if ngpu > 0 else "cpu",
            )
            test_seconds = time.monotonic() - started
        testing(task).cache_audio(0)
    needs_dev = settings.rules(task).needs_dev_trials
    return StepCosts(
        run=run,
        train=per_second,
        test=test_seconds / total_seconds(test.utterances),
        n_validations=trained.last_epoch if needs_dev else 0,
    )


def _size_of(planned: Planned, task: str, name: str) -> tuple[int, int]:
    """Give the numbers of utterances and trials of a test."""
    if (task, name) in planned.across:
        test = planned.across[task, name]
    else:
        test = planned.drawn[task, name].test
    return len(test.utterances), 0 if test.trials is None else len(test.trials)


def _some(test: DrawnSet) -> TestSet:
    """Take a small part of a test set."""
    if test.trials is None:
        return TestSet("some", test.utterances[: 2 * N_TRIALS])
    utts = np.array(test.trials.utts)
    trials = TrialList.from_pairs(
        utts[test.trials.enrol[:N_TRIALS]],
        utts[test.trials.test[:N_TRIALS]],
        test.trials.is_target[:N_TRIALS],
    )
    named = set(trials.utts)
    return TestSet("some", [u for u in test.utterances if u.utt in named], trials)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ESPnet's training log and PyTorch's announcements off the screen."""
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.disable(logging.NOTSET)


def _time_by_audio(
    directory: Path,
    settings: Settings,
    task: str,
    ngpu: int,
    few: Sequence[ListedUtterance],
    many: Sequence[ListedUtterance],
) -> tuple[float, float, Trained]:
    """Time two trainings of different size.

    Returns:
        Seconds that every run takes, seconds per second of audio, a trained model.
    """
    args = (directory, settings, task, ngpu)
    _time_training(*args, many)  # prepares kernels for the lengths at hand
    run_few, _ = _time_training(*args, few)
    run_many, trained = _time_training(*args, many)
    per_second = max(run_many - run_few, 0.0) / max(
        total_seconds(many) - total_seconds(few), 1
    )
    return max(run_few - per_second * total_seconds(few), 0.0), per_second, trained


def _time_by_iterations(
    directory: Path,
    settings: Settings,
    task: str,
    ngpu: int,
    languages: Sequence[DrawnLanguage],
) -> tuple[float, Trained]:
    """Time a few iterations of a training whose epochs have a fixed number of them.

    Returns:
        Seconds of a whole training, a trained model.
    """
    config = settings.train_config[task]
    pool = [u for drawn in languages for u in next(iter(drawn.train.values()))]
    utterances = pool[: 2 * config.get("batch_size", 20)]
    args = (directory, settings, task, ngpu, utterances)
    _time_training(*args, {"num_iters_per_epoch": 1})  # prepares kernels
    one, _ = _time_training(*args, {"num_iters_per_epoch": 1})
    three, trained = _time_training(*args, {"num_iters_per_epoch": 3})
    each = max(three - one, 0.0) / 2
    return one + (config["num_iters_per_epoch"] - 1) * each, trained


def _time_training(
    directory: Path,
    settings: Settings,
    task: str,
    ngpu: int,
    utterances: Sequence[ListedUtterance],
    changes: Mapping[str, Any] | None = None,
) -> tuple[float, Trained]:
    data = testing(task).write_training_data(
        directory, utterances, [], settings.test_batch_bins
    )
    path = directory / "train.yaml"
    espnet_task = testing(task).ESPNET_TASK
    config = {**settings.train_config[task], **data, **(changes or {})}
    write_train_config(espnet_task, config, path)
    started = time.monotonic()
    options = training_arguments(espnet_task, path, ["--ngpu", str(min(ngpu, 1))])
    trained = train_in_memory(espnet_task, options)
    return time.monotonic() - started, trained
