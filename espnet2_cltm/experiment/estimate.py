"""What an experiment will cost, from small runs that are really made.

A run is taken to need some time of its own, and so much for each second of audio that
it trains on and that it hears, in tests and validations. Small runs with few and with
more training utterances tell these apart. As many workers as will share a processor or
a GPU make them at the same time, with the experiment's settings and data. The fastest
and the slowest give the range.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import humanfriendly
import numpy as np
from scipy.optimize import nnls

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.utterance_list import ListedUtterance, total_seconds
from espnet2_cltm.counting import agreeing, counted
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.calibration import calibration_utterances
from espnet2_cltm.experiment.drawn import DrawnLanguage, DrawnSet, Planned
from espnet2_cltm.experiment.executors import LocalExecutor
from espnet2_cltm.experiment.layer_sample import sample_seconds
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, Run
from espnet2_cltm.experiment.results import read_metrics
from espnet2_cltm.experiment.states import RunCounts, log_lines
from espnet2_cltm.experiment.strategies import config_of
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.pooling.methods import trainings
from espnet2_cltm.progress import progress
from espnet2_cltm.registry import find_task

MOST_TOGETHER = 16  # workers whose runs are timed at the same time
FEW = (4, 16)  # training utterances of a small run: a batch, at least and at most
MANY = 4  # times those of a small run
TEST_SECONDS, DEV_SECONDS = 20.0, 10.0
REPEATS = 3
N_ITERATIONS = 3  # of an epoch, where the configuration gives their number
POLL_SECONDS = 0.2
BLOCK = 4096  # bytes, the unit of the usual file systems
METRICS_BYTES = 400  # of each further test in metrics.json
_ESPNET_EPOCHS = 40  # where the configuration does not say


@dataclass(frozen=True)
class Workers:
    """Who will make the runs.

    Attributes:
        total: Number of workers.
        together: Number of those that share a machine's cores, or a GPU.
        ngpu: 0 for the CPU.
        audio_cache: MB of prepared test audio that each keeps at most.
        keep_models: Runs whose models are kept, one of ``KEEP_CHOICES``.
        layers: Whether layers are measured.
    """

    total: int
    together: int
    ngpu: int = 0
    audio_cache: int = 500
    keep_models: str = "none"
    layers: bool = False


@dataclass(frozen=True)
class Cost:
    """What the runs that are left will take.

    Attributes:
        runs: Number of runs.
        workers: Who makes them.
        seconds: Time by the clock.
        least: The same where every run is as fast as the fastest small one.
        most: The same where every run is as slow as the slowest small one.
        size: Bytes on disk.
    """

    runs: int
    workers: Workers
    seconds: float
    least: float
    most: float
    size: int

    def __str__(self) -> str:
        """Return all of it in a sentence."""
        seconds, least, most = (
            _timespan(value) for value in (self.seconds, self.least, self.most)
        )
        return (
            f"{counted(self.runs, 'run')} {agreeing(self.runs, 'is', 'are')} left: "
            f"about {seconds} ({least} to {most}) with "
            f"{counted(self.workers.total, 'worker')}, "
            f"{humanfriendly.format_size(self.size)} of disk"
        )


def _timespan(seconds: float) -> str:
    """Return a time in words, from ten minutes on without seconds, which are noise."""
    step = 60 if seconds >= 600 else 1
    return humanfriendly.format_timespan(round(seconds / step) * step)


Sort = tuple[str, str, bool]
"""Task and strategy of runs, and whether that is the configuration's own."""


def sort_of(planned: PlannedRun) -> Sort:
    """Return the sort of a run."""
    return planned.run.task, planned.run.strategy, planned.run.is_own


@dataclass(frozen=True)
class SmallRuns:
    """Small runs that were made.

    Attributes:
        planned: Their plan.
        metrics: Content of their ``metrics.json`` by name.
        files: Sizes in bytes of the files of each task's and strategy's last run, by
            path in it.
        start_seconds: From the workers' start to the beginning of the first run.
    """

    planned: Planned
    metrics: Mapping[str, Mapping[str, Any]]
    files: Mapping[Sort, Mapping[str, int]]
    start_seconds: float

    def of_sort(self, sort: Sort) -> list[PlannedRun]:
        """Return a sort's runs, in the order in which they were made."""
        return [p for p in self.planned.runs if sort_of(p) == sort]

    def n_validations(self, sort: Sort) -> int:
        """Return how often a run of a sort validates."""
        return len(self.metrics[self.of_sort(sort)[0].run.name]["validation"])


def estimate_cost(
    planned: Planned, left: Sequence[PlannedRun], workers: Workers
) -> Cost:
    """Predict how long the runs that are left will take, and how much disk.

    Args:
        planned: The experiment's plan, whose utterances the small runs take.
        left: The runs that are not done.
        workers: Who will make them.

    Raises:
        UserError: A small run failed.
    """
    if not left:
        return Cost(0, workers, 0.0, 0.0, 0.0, 0)
    logging.info("Timing a few small runs")
    tasks = sorted({p.run.task for p in left})
    small = make_small_runs(planned, tasks, workers, len(left))
    # To hear the sample of the layers takes as long as to test on it.
    heard = {task: _heard(planned, task) if workers.layers else 0.0 for task in tasks}
    units = [
        np.sum([*_units(planned, p, small), (0.0, 0.0, heard[p.run.task])], axis=0)
        for p in left
    ]

    def seconds(choose: Callable[[Sequence[float]], float]) -> float:
        rates = {sort: _rates(small, sort, choose) for sort in {*map(sort_of, left)}}
        of_runs = [
            float(rates[sort_of(p)] @ of_run)
            for p, of_run in zip(left, units, strict=True)
        ]
        return small.start_seconds + max(sum(of_runs) / workers.total, *of_runs)

    size = sum(_run_bytes(planned, p, small, workers.keep_models) for p in left)
    return Cost(len(left), workers, seconds(median), seconds(min), seconds(max), size)


def make_small_runs(
    planned: Planned, tasks: Sequence[str], workers: Workers, n_left: int
) -> SmallRuns:
    """Make small runs of some tasks and read what they left.

    Args:
        planned: The experiment's plan.
        tasks: Names of the tasks.
        workers: Who will make the experiment's runs.
        n_left: Number of the experiment's runs that are left.

    Raises:
        UserError: A run failed, or a worker ended too early.
    """
    together = min(workers.together, workers.total, n_left, MOST_TOGETHER)
    small = plan_small_runs(planned, tasks, together)
    with tempfile.TemporaryDirectory() as temporary:
        directory = ExperimentDir(Path(temporary))
        write_experiment(directory, small)
        keep_models = "none" if workers.keep_models == "none" else "all"
        executor = LocalExecutor(
            directory,
            together,
            min(workers.ngpu, 1),
            [
                *("--audio_cache", str(workers.audio_cache)),
                *("--keep_models", keep_models),
                *("--layers", str(workers.layers).lower()),
            ],
        )
        # By the clock that the runs' files are stamped with, a file server's or ours.
        started = directory.plan.stat().st_mtime
        metrics = _make(directory, executor, [p.run.name for p in small.runs])
        began = min(
            directory.metrics(name).stat().st_mtime
            - (m["train_seconds"] + m["test_seconds"])
            for name, m in metrics.items()
        )
        files = {
            sort_of(p): {
                str(path.relative_to(directory.run(p.run.name))): path.stat().st_size
                for path in directory.run(p.run.name).rglob("*")
                if path.is_file()
            }
            for p in small.runs
        }
        return SmallRuns(small, metrics, files, max(began - started, 0.0))


def plan_small_runs(planned: Planned, tasks: Sequence[str], together: int) -> Planned:
    """Plan small runs in the order in which they are to be made.

    Args:
        planned: The experiment's plan.
        tasks: Names of the tasks.
        together: Number of equal runs in a row, which are made at the same time.
    """
    runs: list[PlannedRun] = []
    drawn: dict[tuple[str, str], DrawnLanguage] = {}
    for task in tasks:
        unit = find_task(task).n_drawn(1, planned.settings.options[task])
        lang, language = _typical_language(planned, task)
        listed = max(language.train.values(), key=len)
        sorts = dict.fromkeys(s for s in map(sort_of, planned.runs) if s[0] == task)
        sizes = {
            sort: _sizes(config_of(planned.settings, *sort), unit, len(listed))
            for sort in sorts
        }
        test = _part(task, language.test, TEST_SECONDS)
        # The first run of each worker prepares more than any other and is not used: it
        # tries whether the longest utterance goes through.
        n_first = max(few for few, _ in sizes.values())
        longest = _around_the_longest(planned, task, n_first, unit)
        seeds = range(together * (1 + 2 * REPEATS))
        for sort, seed in product(sorts, seeds):
            n_drawn = sizes[sort][seed // together % 2]
            utterances = longest if seed < together else listed[:n_drawn]
            strategy = {"strategy": sort[1], "is_own": sort[2]}
            runs.append(
                PlannedRun(
                    Run(task, "single", (lang,), n_drawn // unit, seed, **strategy),
                    n_drawn,
                    total_seconds(utterances),
                    (lang,),
                    len(test.utterances),
                    total_seconds(test.utterances),
                )
            )
        dev = _part(task, language.dev, DEV_SECONDS)
        train = {s: longest if s < together else listed for s in seeds}
        drawn[task, lang] = DrawnLanguage(train, dev, test)
    configs = {
        task: {**config, "num_iters_per_epoch": N_ITERATIONS}
        if config.get("num_iters_per_epoch")
        else config
        for task, config in planned.settings.train_config.items()
    }
    settings = replace(planned.settings, train_config=configs)
    return Planned(settings, runs, drawn, {}, {})


def _around_the_longest(
    planned: Planned, task: str, size: int, unit: int
) -> list[ListedUtterance]:
    """Take as many training utterances in a row, the longest of all among them."""
    drawn = (of for (name, _), of in planned.drawn.items() if name == task)
    lists = [listed for of in drawn for listed in of.train.values()]

    def longest(listed: Sequence[ListedUtterance]) -> int:
        return max(range(len(listed)), key=lambda at: listed[at].num_samples)

    listed = max(lists, key=lambda listed: listed[longest(listed)].num_samples)
    start = max(min(longest(listed) // unit * unit, len(listed) - size), 0)
    return listed[start : start + size]


def _typical_language(planned: Planned, task: str) -> tuple[str, DrawnLanguage]:
    """Choose a language that validates, if one does, with a middling test set."""
    languages = [
        (lang, drawn) for (name, lang), drawn in planned.drawn.items() if name == task
    ]
    validated = [entry for entry in languages if entry[1].dev.data is not None]
    candidates = sorted(
        validated or languages, key=lambda entry: len(entry[1].test.utterances)
    )
    return candidates[len(candidates) // 2]


def _sizes(config: Mapping[str, Any], unit: int, n_there: int) -> tuple[int, int]:
    """Return the training utterances of small and large runs, in whole units of N."""
    batch = config.get("batch_size", 20)
    if config.get("num_iters_per_epoch"):
        whole = max(min(batch, n_there) // unit, 1) * unit
        return whole, whole
    few = min(max(FEW[0], batch), FEW[1], max(n_there // 2, unit))
    few = max(few // unit, 1) * unit
    return few, min(MANY * few, n_there // unit * unit)


def _part(task: str, drawn: DrawnSet, seconds: float) -> DrawnSet:
    """Take so much audio of a test or dev set, at least one item of each class."""
    if drawn.data is None:
        of_label: dict[str, list[ListedUtterance]] = {}
        for utterance in drawn.utterances:
            of_label.setdefault(utterance.label, []).append(utterance)
        part: list[ListedUtterance] = []
        for turn in zip(*of_label.values(), strict=False):
            part += turn
            if total_seconds(part) >= seconds:
                break
        return DrawnSet(part)
    length = {u.utt: u.num_samples / SAMPLE_RATE for u in drawn.utterances}
    kept = find_task(task).test_data
    assert kept is not None
    fewer = kept.part(drawn.data, length, seconds)
    named = set(fewer.utts)
    return DrawnSet([u for u in drawn.utterances if u.utt in named], fewer)


def _make(
    directory: ExperimentDir, executor: LocalExecutor, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Make runs, show progress, and return the content of their ``metrics.json``.

    Raises:
        UserError: A run failed, or a worker ended too early.
    """
    nothing = RunCounts(0, 0, 0, 0)
    try:
        executor.start(len(names))
        with progress(
            description="Timing small runs", total=len(names), unit="run"
        ) as bar:
            while executor.look_after(nothing).running:
                n_made = sum(directory.metrics(name).exists() for name in names)
                bar.update(n_made - bar.n)
                time.sleep(POLL_SECONDS)
    finally:
        executor.stop(is_over=True)
    made = {}
    for name in names:
        metrics = read_metrics(directory.metrics(name))
        if metrics is None:
            reason = log_lines(directory.failure(name))[:1]
            why = executor.why_ended().partition(": ")[2]
            raise UserError(
                reason[0] if reason else f"Runs cannot be timed, a worker ended: {why}"
            )
        made[name] = metrics
    return made


def _units(
    planned: Planned, run: PlannedRun, small: SmallRuns
) -> tuple[list[float], list[float]]:
    """Return what the times of a run's training and of its tests are proportional to.

    Returns:
        Runs, seconds of audio trained on and seconds of audio heard; of the training
        (with its validations), and of the tests. Where the configuration gives the
        number of an epoch's iterations, 0 and that number in place of the first two.
    """
    task = run.run.task
    config = config_of(planned.settings, *sort_of(run))
    n_iterations = config.get("num_iters_per_epoch")
    dev = [planned.drawn[task, lang].dev for lang in run.run.trained_on]
    validated = small.n_validations(sort_of(run)) * sum(
        total_seconds(part.utterances) for part in dev if part.data is not None
    )
    training = [0.0, n_iterations] if n_iterations else [1.0, run.train_seconds]
    if run.run.kind == "pool" and not run.run.shots:
        method = planned.settings.pool_method(run.run.method)
        sizes = len(run.run.languages), config.get("max_epoch", _ESPNET_EPOCHS)
        factor = trainings(method, *sizes, run.run.steps == "equal")
        training = [factor * unit for unit in training]
    calibrated = 0.0
    if find_task(task).calibration_sets:
        # Where dev sets choose the epoch, each language has another.
        n_epochs = len(dev) if small.n_validations(sort_of(run)) else 1
        calibrated = n_epochs * sum(
            total_seconds(calibration_utterances(part.utterances, part.data))
            for part in dev
        )
    return [*training, validated], [0.0, 0.0, run.test_seconds + calibrated]


def _heard(planned: Planned, task: str) -> float:
    """Return the seconds of audio that the layers of a run are measured on."""
    return sample_seconds(
        {
            lang: drawn.test.utterances
            for (of_task, lang), drawn in planned.drawn.items()
            if of_task == task
        }
    )


def _rates(
    small: SmallRuns, sort: Sort, choose: Callable[[Sequence[float]], float]
) -> np.ndarray:
    """Return a sort's seconds for each of :func:`_units`: (3,) float64, none negative.

    Args:
        small: The small runs.
        sort: Sort of the runs.
        choose: Function that chooses one of the times of runs of one size.
    """
    runs = small.of_sort(sort)
    of_size: dict[int, list[PlannedRun]] = {}
    for planned in runs[len(runs) // (1 + 2 * REPEATS) :]:
        of_size.setdefault(planned.utterances, []).append(planned)
    units: list[list[float]] = []
    seconds: list[float] = []
    for same in of_size.values():
        metrics = [small.metrics[p.run.name] for p in same]
        units += _units(small.planned, same[0], small)
        seconds.append(choose([m["train_seconds"] for m in metrics]))
        seconds.append(choose([m["test_seconds"] for m in metrics]))
    return nnls(np.array(units), np.array(seconds))[0]


def _run_bytes(
    planned: Planned, run: PlannedRun, small: SmallRuns, keep_models: str
) -> int:
    """Predict what a run leaves on disk, where everything takes whole blocks."""
    task = run.run.task
    model = small.of_sort(sort_of(run))[-1]
    n_dev, n_dev_small = (
        sum(len(p.drawn[task, lang].dev.utterances) for lang in r.run.trained_on)
        for p, r in ((planned, run), (small.planned, model))
    )
    # ESPnet wants some to validate on even where nothing is validated.
    growth = {
        "train": run.utterances / model.utterances,
        "valid": (n_dev or run.utterances) / (n_dev_small or model.utterances),
        "layers.npz": len(run.run.trained_on) / len(model.run.trained_on),
    }
    n_items = small.planned.tested(task, model.test_languages[0]).n_items
    tested = [planned.tested(task, name).n_items for name in run.test_languages]
    sizes: list[float] = []
    files = small.files[sort_of(run)]
    for name, n_bytes in files.items():
        part = name.partition("/")[0]
        if part == "predictions":
            sizes += [n_bytes * n / n_items for n in tested]
        elif part == "metrics.json":
            sizes.append(n_bytes + METRICS_BYTES * (len(tested) - 1))
        elif part != "model.zip" or run.run.is_kept(keep_models):
            sizes.append(n_bytes * growth.get(part, 1.0))
    n_directories = len({Path(name).parent for name in files})
    return BLOCK * (n_directories + sum(-(-round(size) // BLOCK) for size in sizes))
