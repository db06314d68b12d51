"""What an experiment will cost, from small runs that are really made.

A run is taken to need the same time as every run, and so much for each second of audio
that it trains on and that it hears (in tests and validations). Three sorts of small
runs, which differ in one of these each, tell them apart: few utterances to train and
test on, many to train on, many to test on. As many workers as will share a processor
or a GPU make them at the same time, with the experiment's settings and data. The
fastest and the slowest run of each sort give the range.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import humanfriendly
import numpy as np
from scipy.optimize import nnls

from espnet2_cltm.corpus.utterance_list import total_seconds
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import DrawnLanguage, DrawnSet, Planned
from espnet2_cltm.experiment.executors import LocalExecutor
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.planning import write_experiment
from espnet2_cltm.experiment.results import read_metrics
from espnet2_cltm.experiment.run import Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.states import RunCounts, log_lines
from espnet2_cltm.progress import progress
from espnet2_cltm.registry import find_task
from espnet2_cltm.subsets import first_of_each

MOST_TOGETHER = 16  # workers whose runs are timed at the same time
FEW, MANY = 4, 16  # training utterances, at least a batch; and times FEW, at most
FEW_TESTED, MANY_TESTED = 2, 8  # test utterances, or trials, of each class
REPEATS = 3
N_ITERATIONS = 3  # of an epoch, where the configuration gives their number
POLL_SECONDS = 0.2
BLOCK = 4096  # bytes, the unit of the usual file systems
METRICS_BYTES = 400  # of each further test in metrics.json


@dataclass(frozen=True)
class Workers:
    """Who will make the runs.

    Attributes:
        total: Number of workers.
        together: Number of those that share a machine's cores, or a GPU.
        ngpu: 0 for the CPU.
        audio_cache: MB of prepared test audio that each keeps at most.
        keep_models: Which runs' models are kept, one of ``KEEP_CHOICES``.
    """

    total: int
    together: int
    ngpu: int = 0
    audio_cache: int = 500
    keep_models: str = "none"


@dataclass(frozen=True)
class Cost:
    """What the runs that are left will take.

    Attributes:
        runs: Number of runs.
        workers: Who makes them.
        seconds: Most likely time by the clock.
        least: Time where every run is as fast as the fastest small one.
        most: Time where every run is as slow as the slowest.
        size: Bytes on disk.
    """

    runs: int
    workers: Workers
    seconds: float
    least: float
    most: float
    size: int

    def __str__(self) -> str:
        """Say it in a sentence."""
        seconds, least, most = (
            humanfriendly.format_timespan(round(value))
            for value in (self.seconds, self.least, self.most)
        )
        return (
            f"{self.runs} runs are left: about {seconds} ({least} to {most}) with "
            f"{self.workers.total} worker(s), {humanfriendly.format_size(self.size)} "
            "of disk"
        )


def estimate_cost(
    settings: Settings, planned: Planned, left: Sequence[PlannedRun], workers: Workers
) -> Cost:
    """Predict how long the runs that are left will take, and how much disk.

    Args:
        settings: The experiment's settings.
        planned: Its plan, whose utterances the small runs take.
        left: The runs that are not done.
        workers: Who will make them.

    Raises:
        UserError: A small run failed.
    """
    if not left:
        return Cost(0, workers, 0.0, 0.0, 0.0, 0)
    logging.info("A few small runs are made, to take their time")
    tasks = sorted({p.run.task for p in left})
    timed = _time_small_runs(settings, planned, tasks, workers, len(left))
    units = [_units(settings, planned, p, timed) for p in left]

    def seconds(choose: Callable[[Sequence[float]], float]) -> float:
        rates = {task: _rates(settings, timed, task, choose) for task in tasks}
        of_runs = [
            float(rates[p.run.task] @ of_run)
            for p, of_run in zip(left, units, strict=True)
        ]
        return timed.start_seconds + max(sum(of_runs) / workers.total, *of_runs)

    size = sum(_run_bytes(planned, p, timed, workers.keep_models) for p in left)
    return Cost(len(left), workers, seconds(median), seconds(min), seconds(max), size)


@dataclass(frozen=True)
class _Timed:
    """Small runs that were made.

    Attributes:
        planned: Their plan.
        metrics: Content of their ``metrics.json``, by name.
        files: Sizes in bytes of the files of each task's last run, by path in it.
        start_seconds: From the workers' start to the beginning of the first run.
    """

    planned: Planned
    metrics: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Mapping[str, int]]
    start_seconds: float

    def of_task(self, task: str) -> list[PlannedRun]:
        return [p for p in self.planned.runs if p.run.task == task]

    def n_validations(self, task: str) -> int:
        return len(self.metrics[self.of_task(task)[0].run.name]["validation"])

    def seconds(self, planned: PlannedRun) -> float:
        metrics = self.metrics[planned.run.name]
        return metrics["train_seconds"] + metrics["test_seconds"]


def _time_small_runs(
    settings: Settings,
    planned: Planned,
    tasks: Sequence[str],
    workers: Workers,
    n_left: int,
) -> _Timed:
    """Make the small runs and read what they left.

    Raises:
        UserError: A run failed, or a worker ended too early.
    """
    together = min(workers.together, workers.total, n_left, MOST_TOGETHER)
    configs = {
        task: {**config, "num_iters_per_epoch": N_ITERATIONS}
        if config.get("num_iters_per_epoch")
        else config
        for task, config in settings.train_config.items()
    }
    settings = replace(settings, train_config=configs)
    small = _plan_small_runs(settings, planned, tasks, together)
    with tempfile.TemporaryDirectory() as temporary:
        directory = ExperimentDir(Path(temporary))
        write_experiment(directory, small)
        keep_models = "none" if workers.keep_models == "none" else "all"
        executor = LocalExecutor(
            directory,
            together,
            min(workers.ngpu, 1),
            ["--audio_cache", str(workers.audio_cache), "--keep_models", keep_models],
        )
        started = time.time()
        metrics = _make(directory, executor, [p.run.name for p in small.runs])
        first = min(
            directory.metrics(name).stat().st_mtime
            - m["train_seconds"]
            - m["test_seconds"]
            for name, m in metrics.items()
        )
        files = {
            p.run.task: {
                str(path.relative_to(directory.run(p.run.name))): path.stat().st_size
                for path in directory.run(p.run.name).rglob("*")
                if path.is_file()
            }
            for p in small.runs
        }
        return _Timed(small, metrics, files, max(first - started, 0.0))


def _plan_small_runs(
    settings: Settings, planned: Planned, tasks: Sequence[str], together: int
) -> Planned:
    """Plan the small runs in the order in which they are to be made."""
    runs: list[PlannedRun] = []
    drawn: dict[tuple[str, str], DrawnLanguage] = {}
    across: dict[tuple[str, str], DrawnSet] = {}
    for task in tasks:
        lang, language = _typical_language(planned, task)
        listed = max(language.train.values(), key=len)
        few, many = _sizes(task, settings, len(listed))
        few_tested = f"{lang}~few"
        tests = {
            few_tested: _part(task, language.test, FEW_TESTED),
            lang: _part(task, language.test, MANY_TESTED),
        }
        sorts = ((few, few_tested), (many, few_tested), (few, lang))
        # The first run of each worker prepares more than any other and is not used.
        n_runs = together * (1 + len(sorts) * REPEATS)
        for seed in range(n_runs):
            n_drawn, tested = sorts[seed // together % len(sorts)]
            utterances = tests[tested].utterances
            runs.append(
                PlannedRun(
                    Run(
                        task,
                        "single",
                        (lang,),
                        n_drawn // find_task(task).n_drawn(1, settings.options[task]),
                        seed,
                    ),
                    n_drawn,
                    total_seconds(listed[:n_drawn]),
                    (tested,),
                    len(utterances),
                    total_seconds(utterances),
                )
            )
        across[task, few_tested] = tests[few_tested]
        drawn[task, lang] = DrawnLanguage(
            dict.fromkeys(range(n_runs), listed),
            _part(task, language.dev, FEW_TESTED),
            tests[lang],
        )
    return Planned(settings, runs, drawn, across, {})


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


def _sizes(task: str, settings: Settings, n_there: int) -> tuple[int, int]:
    """Return the training utterances of small and of large runs, of all classes."""
    unit = find_task(task).n_drawn(1, settings.options[task])
    config = settings.train_config[task]
    batch = config.get("batch_size", 20)
    if config.get("num_iters_per_epoch"):
        whole = max(min(batch, n_there) // unit, 1) * unit
        return whole, whole
    few = min(max(FEW, batch), MANY, max(n_there // 2, unit))
    few = max(few // unit, 1) * unit
    return few, min(4 * few, n_there // unit * unit)


def _part(task: str, drawn: DrawnSet, n_items: int) -> DrawnSet:
    """Take the first items of each class: utterances, or trials where there are any."""
    kept = find_task(task).test_data
    if kept is None or drawn.data is None:
        labels = [utterance.label for utterance in drawn.utterances]
        chosen = first_of_each(labels, n_items)
        return DrawnSet([drawn.utterances[index] for index in chosen])
    fewer = kept.part(drawn.data, n_items)
    named = set(fewer.utts)
    return DrawnSet([u for u in drawn.utterances if u.utt in named], fewer)


def _make(
    directory: ExperimentDir, executor: LocalExecutor, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Make runs, show progress, and return what they left as ``metrics.json``.

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
    settings: Settings, planned: Planned, run: PlannedRun, timed: _Timed
) -> np.ndarray:
    """Return what a run's time is proportional to.

    Returns:
        (3,) float64: runs, seconds of audio trained on (or iterations of an epoch,
        where the configuration gives their number), seconds of audio heard.
    """
    task = run.run.task
    n_iterations = settings.train_config[task].get("num_iters_per_epoch")
    if n_iterations and planned is timed.planned:
        n_iterations = N_ITERATIONS
    languages = [planned.drawn[task, lang] for lang in run.run.languages]
    validated = sum(
        total_seconds(language.dev.utterances)
        for language in languages
        if language.dev.data is not None
    )
    heard = run.test_seconds + timed.n_validations(task) * validated
    if n_iterations:
        return np.array([0.0, n_iterations, heard])
    return np.array([1.0, run.train_seconds, heard])


def _rates(
    settings: Settings,
    timed: _Timed,
    task: str,
    choose: Callable[[Sequence[float]], float],
) -> np.ndarray:
    """Return a task's seconds for each of :func:`_units`.

    Args:
        settings: The experiment's settings.
        timed: The small runs.
        task: The task.
        choose: Function that chooses one of the times of runs of a sort.
    """
    runs = timed.of_task(task)
    runs = runs[len(runs) // (1 + 3 * REPEATS) :]
    rows, seconds = [], []
    for sort in {(p.utterances, p.test_languages) for p in runs}:
        of_sort = [p for p in runs if (p.utterances, p.test_languages) == sort]
        rows.append(_units(settings, timed.planned, of_sort[0], timed))
        seconds.append(choose([timed.seconds(p) for p in of_sort]))
    return nnls(np.array(rows), np.array(seconds))[0]


def _run_bytes(
    planned: Planned, run: PlannedRun, timed: _Timed, keep_models: str
) -> int:
    """Predict what a run leaves on disk, in whole blocks."""
    task = run.run.task
    small = timed.of_task(task)[-1]
    n_small, n_dev = (
        sum(len(p.drawn[task, lang].dev.utterances) for lang in r.run.languages)
        for p, r in ((timed.planned, small), (planned, run))
    )
    # ESPnet wants some to validate on even where nothing is validated.
    scale = {
        "train": run.utterances / small.utterances,
        "valid": (n_dev or run.utterances) / (n_small or small.utterances),
    }
    n_small_items = timed.planned.tested(task, small.test_languages[0]).n_items
    size = BLOCK
    for name, n_bytes in timed.files[task].items():
        part = name.partition("/")[0]
        if part == "predictions":
            for test in run.test_languages:
                n_items = planned.tested(task, test).n_items
                size += _in_blocks(n_bytes * n_items / n_small_items)
        elif part == "metrics.json":
            size += _in_blocks(n_bytes + METRICS_BYTES * (len(run.test_languages) - 1))
        elif part != "model.zip" or run.run.is_kept(keep_models):
            size += _in_blocks(n_bytes * scale.get(part, 1.0))
    return size + BLOCK * len(
        {str(Path(name).parent) for name in timed.files[task]} - {"."}
    )


def _in_blocks(n_bytes: float) -> int:
    """Round up to whole blocks: every file takes some."""
    return BLOCK * -(-round(n_bytes) // BLOCK)
