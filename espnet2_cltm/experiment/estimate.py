"""What an experiment will cost, from a few steps really made.

Two short trainings on utterances of the plan separate what every run costs from what
a second of audio costs; one prediction gives the cost of testing.
"""

import logging
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import humanfriendly
import torch
import yaml

from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.planning import Planned
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.task_registry import testing
from espnet2_cltm.experiment.training import (
    check_device,
    train_in_memory,
    training_arguments,
)
from espnet2_cltm.experiment.utterance_list import (
    ListedUtterance,
    espnet_data_options,
    total_seconds,
    write_espnet_data,
)

# Sizes measured on finished runs: files of a run, and one line of predictions.
RUN_BYTES = 30_000
PREDICTION_BYTES = 60
START_SECONDS = 10.0  # a worker imports torch and ESPnet


@dataclass(frozen=True)
class StepCosts:
    """Measured costs of a task on this machine.

    Attributes:
        run: Seconds that every run takes.
        train: Seconds per second of audio in training, all epochs.
        test: Seconds per second of audio in testing.
    """

    run: float
    train: float
    test: float


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
    torch.set_num_threads(1)
    seconds = 0.0
    for task in sorted({p.run.task for p in left}):
        costs = measure_steps(settings, planned, task, ngpu)
        seconds += sum(
            costs.run + costs.train * p.train_seconds + costs.test * p.test_seconds
            for p in left
            if p.run.task == task
        )
    size = sum(RUN_BYTES + PREDICTION_BYTES * p.test_utterances for p in left)
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
    few: list[ListedUtterance] = []
    many: list[ListedUtterance] = []
    for drawn in languages[:4]:
        utterances = next(iter(drawn.train.values()))
        few += utterances[:2]
        many += utterances[:8]
    with tempfile.TemporaryDirectory() as directory, _quiet():
        args = (Path(directory), settings, task, ngpu)
        _time_training(*args, many)  # prepares kernels for the lengths at hand
        run_few, _ = _time_training(*args, few)
        run_many, model = _time_training(*args, many)
        test = languages[0].test[:32]
        started = time.monotonic()
        testing(task).predict(
            model,
            test,
            Path(directory) / "predictions.tsv",
            settings.test_batch_bins,
            "cuda" if ngpu > 0 else "cpu",
        )
        test_seconds = time.monotonic() - started
    per_second = max(run_many - run_few, 0.0) / max(
        total_seconds(many) - total_seconds(few), 1
    )
    return StepCosts(
        run=max(run_few - per_second * total_seconds(few), 0.0),
        train=per_second,
        test=test_seconds / total_seconds(test),
    )


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


def _time_training(
    directory: Path,
    settings: Settings,
    task: str,
    ngpu: int,
    utterances: Sequence[ListedUtterance],
) -> tuple[float, torch.nn.Module]:
    write_espnet_data(directory, utterances)
    config = {
        **settings.train_config[task],
        **espnet_data_options(directory, "train"),
        **espnet_data_options(directory, "valid"),
    }
    path = directory / "train.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    started = time.monotonic()
    espnet_task = testing(task).ESPNET_TASK
    options = training_arguments(espnet_task, path, ["--ngpu", str(min(ngpu, 1))])
    model = train_in_memory(espnet_task, options)
    return time.monotonic() - started, model
