"""What an experiment will cost, from small runs really made.

A run's time is taken to be what every run takes, and so much for each second of audio
that it trains on, validates on and is tested on, and for each test. Small and large
runs (:mod:`.estimate`) tell these apart. What a worker meets for the first time
costs it more: a length of audio, for which a CPU prepares, and a test utterance,
which is read. The runs that are left are then shared out to workers as the runner
does it.
"""

import json
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import humanfriendly

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.utterance_list import ListedUtterance, total_seconds
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import DrawnLanguage, DrawnSet, Planned
from espnet2_cltm.experiment.executors import LocalExecutor
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.planning import write_experiment
from espnet2_cltm.experiment.run import Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.states import RunCounts
from espnet2_cltm.experiment.train_config_reading import frontend_of
from espnet2_cltm.progress import progress
from espnet2_cltm.registry import find_task

FEW, MANY = 4, 4  # training utterances of a small run; times that, of a large one
MOST_FEW = 16
TEST_SECONDS = 40.0  # of the large test; the small one and dev have a quarter
REPEATS = 3
N_ITERATIONS = 3  # of an epoch, where the configuration gives their number
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class TimedRun:
    """A run that was made.

    Attributes:
        utterances: Number of training utterances.
        lengths: Their lengths in samples.
        train_audio: Seconds of audio in an epoch.
        dev_audio: Seconds of audio that every validation embeds, 0 where there is none.
        test_audio: Seconds of audio to test on.
        test_utterances: Their number.
        test_items: Trials, or utterances where there are none.
        dev_utterances: Number of utterances to validate on.
        train: Seconds that training took, validation included.
        test: Seconds that testing took.
        whole: Seconds from the run before to this one's end.
        n_validations: How often it validated.
        files: Sizes in bytes of what it left, by path within its directory.
    """

    utterances: int
    lengths: frozenset[int]
    train_audio: float
    dev_audio: float
    test_audio: float
    test_utterances: int
    test_items: int
    dev_utterances: int
    train: float
    test: float
    whole: float
    n_validations: int
    files: Mapping[str, int]


@dataclass(frozen=True)
class TimedTask:
    """The runs that a worker made of one task.

    Attributes:
        first: A small one, while much is done for the first time.
        cold: A large one on utterances that were not met before.
        large: Such runs again.
        small: Small ones, again.
    """

    first: TimedRun
    cold: TimedRun
    large: list[TimedRun]
    small: list[TimedRun]


@dataclass(frozen=True)
class TimedWorker:
    """What one worker did.

    Attributes:
        start: Seconds from its start to the end of its first run.
        tasks: By name.
    """

    start: float
    tasks: Mapping[str, TimedTask]


def time_runs(
    settings: Settings,
    planned: Planned,
    tasks: Sequence[str],
    n_workers: int,
    ngpu: int,
    audio_cache: int,
    keep_models: str = "none",
) -> list[TimedWorker]:
    """Have workers make small runs of each task, all at the same time.

    Args:
        settings: The experiment's settings.
        planned: Its plan, for utterances.
        tasks: The tasks to time.
        n_workers: Number of workers; with a GPU they share one.
        ngpu: 0 for the CPU.
        audio_cache: Most MB of prepared test waveforms that a worker keeps.
        keep_models: Whether models are kept, and so take time and room.

    Raises:
        UserError: A run failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        small = _small_experiment(settings, planned, tasks)
        first = ExperimentDir(root / "0")
        write_experiment(first, small)
        directories = [first]
        for index in range(1, n_workers):
            directories.append(ExperimentDir(root / str(index)))
            directories[-1].root.mkdir()
            for name in ("experiment.yaml", "plan.tsv", "data"):
                (directories[-1].root / name).symlink_to(first.root / name)
        workers = {
            directory: LocalExecutor(
                directory,
                1,
                min(ngpu, 1),
                (
                    *("--audio_cache", str(audio_cache)),
                    *("--keep_models", "none" if keep_models == "none" else "all"),
                ),
            )
            for directory in directories
        }
        started = time.time()
        try:
            for worker in workers.values():
                worker.start(len(small.runs))
            _wait(workers, [planned.run.name for planned in small.runs])
        finally:
            for worker in workers.values():
                worker.stop(is_over=True)
        return [_read(directory, small, started) for directory in directories]


def _wait(workers: Mapping[ExperimentDir, LocalExecutor], names: Sequence[str]) -> None:
    """Show progress until every worker has made its runs.

    Raises:
        UserError: A run failed, or a worker ended too early.
    """
    nothing = RunCounts(0, 0, 0, 0)
    total = len(workers) * len(names)
    with progress(description="Timing small runs", total=total, unit="run") as bar:
        while bar.n < total:
            done = 0
            for directory, worker in workers.items():
                # Before the look at the runs: what the worker left is seen.
                has_ended = not worker.look_after(nothing).running
                made = [name for name in names if directory.metrics(name).exists()]
                for name in names:
                    if directory.failure(name).exists():
                        reason = directory.failure(name).read_text(encoding="utf-8")
                        raise UserError(reason.splitlines()[0])
                if has_ended and len(made) < len(names):
                    why = worker.why_ended().partition(": ")[2]
                    raise UserError(f"Runs could not be timed, a worker ended: {why}")
                done += len(made)
            bar.update(done - bar.n)
            time.sleep(POLL_SECONDS)


def _few_iterations(settings: Settings) -> Settings:
    """Shorten epochs whose number of iterations is fixed."""
    configs = {
        task: {**config, "num_iters_per_epoch": N_ITERATIONS}
        if config.get("num_iters_per_epoch")
        else config
        for task, config in settings.train_config.items()
    }
    return replace(settings, train_config=configs)


def _small_experiment(
    settings: Settings, planned: Planned, tasks: Sequence[str]
) -> Planned:
    """Plan the runs to be timed, in the order in which they are to be made."""
    runs: list[PlannedRun] = []
    drawn: dict[tuple[str, str], DrawnLanguage] = {}
    across: dict[tuple[str, str], DrawnSet] = {}
    for task in tasks:
        lang, language = _typical_language(planned, task)
        of_runs = max(language.train.values(), key=len)
        few, many = _sizes(task, settings, len(of_runs))
        test = _part(task, language.test, TEST_SECONDS)
        few_tests = f"{lang}~few"
        across[task, few_tests] = _part(task, language.test, TEST_SECONDS / 4)
        train = {}
        # In turn a small and a large one: what disturbs the machine meets both.
        for seed in range(2 + 2 * REPEATS):
            n_drawn = few if seed % 2 == 0 else many
            train[seed] = of_runs[-n_drawn:] if seed == 0 else of_runs[:n_drawn]
            tested = few_tests if n_drawn == few else lang
            tests = across[task, few_tests] if n_drawn == few else test
            budget = n_drawn // find_task(task).n_drawn(1, settings.options[task])
            runs.append(
                PlannedRun(
                    Run(task, "single", (lang,), budget, seed),
                    n_drawn,
                    total_seconds(train[seed]),
                    (tested,),
                    len(tests.utterances),
                    total_seconds(tests.utterances),
                )
            )
        dev = _part(task, language.dev, TEST_SECONDS / 4)
        drawn[task, lang] = DrawnLanguage(train, dev, test)
    return Planned(_few_iterations(settings), runs, drawn, across, {})


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
    """Give the training utterances of small and of large runs, both classes counted."""
    unit = find_task(task).n_drawn(1, settings.options[task])
    config = settings.train_config[task]
    batch = config.get("batch_size", 20)
    if config.get("num_iters_per_epoch"):
        whole = max(min(batch, n_there) // unit, 1) * unit
        return whole, whole
    few = min(max(FEW, batch), MOST_FEW, max(n_there // 2, unit))
    few = max(few // unit, 1) * unit
    return few, min(MANY * few, n_there // unit * unit)


def _part(task: str, drawn: DrawnSet, seconds: float) -> DrawnSet:
    """Take so much of a test or dev set, at least one of each label, or two trials."""
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


def _read(directory: ExperimentDir, small: Planned, started: float) -> TimedWorker:
    """Read what a worker has left of its runs."""
    timed: dict[str, list[TimedRun]] = {}
    before = started
    start = None
    for planned in small.runs:
        run = planned.run
        path = directory.metrics(run.name)
        metrics = json.loads(path.read_text(encoding="utf-8"))
        ended = path.stat().st_mtime
        language = small.drawn[run.task, run.languages[0]]
        n_validations = len(metrics["validation"])
        dev_audio = total_seconds(language.dev.utterances) if n_validations else 0.0
        root = directory.run(run.name)
        timed.setdefault(run.task, []).append(
            TimedRun(
                utterances=planned.utterances,
                lengths=frozenset(u.num_samples for u in language.train[run.seed]),
                train_audio=planned.train_seconds,
                dev_audio=dev_audio,
                test_audio=planned.test_seconds,
                test_utterances=planned.test_utterances,
                test_items=small.tested(run.task, planned.test_languages[0]).n_items,
                dev_utterances=len(language.dev.utterances),
                train=metrics["train_seconds"],
                test=metrics["test_seconds"],
                whole=ended - before,
                n_validations=n_validations,
                files={
                    str(file.relative_to(root)): file.stat().st_size
                    for file in root.rglob("*")
                    if file.is_file()
                },
            )
        )
        before = ended
        start = start if start is not None else ended - started
    return TimedWorker(
        start=start or 0.0,
        tasks={
            task: TimedTask(
                first=runs[0], cold=runs[1], large=runs[3::2], small=runs[2::2]
            )
            for task, runs in timed.items()
        },
    )


BLOCK = 4096
"""Bytes, the unit of the usual file systems."""

METRICS_BYTES = 400
"""Of each further test in ``metrics.json``, as measured on finished runs."""


def run_bytes(
    planned: Planned, run: PlannedRun, timed: TimedTask, keep_models: str
) -> int:
    """Predict what a run leaves on disk.

    Args:
        planned: The plan.
        run: The run.
        timed: What a small run of the task has left.
        keep_models: Of which runs the models are kept.

    Returns:
        Bytes, in whole blocks.
    """
    task = run.run.task
    left = timed.large[-1]
    n_dev = sum(
        len(planned.drawn[task, lang].dev.utterances) for lang in run.run.languages
    )
    size = 0
    directories = {"."}
    for name, n_bytes in left.files.items():
        part, _, below = name.partition("/")
        if below:
            directories.add(part)
        if part == "predictions":
            for test in run.test_languages:
                n_items = planned.tested(task, test).n_items
                size += _blocks(n_bytes * n_items / left.test_items)
        elif part == "train":
            size += _blocks(n_bytes * run.utterances / left.utterances)
        elif part == "valid":
            # ESPnet wants some even where nothing is validated.
            n_valid = n_dev or run.utterances
            size += _blocks(
                n_bytes * n_valid / (left.dev_utterances or left.utterances)
            )
        elif part == "metrics.json":
            size += _blocks(n_bytes + METRICS_BYTES * (len(run.test_languages) - 1))
        elif part != "model.zip" or run.run.is_kept(keep_models):
            size += _blocks(n_bytes)
    return size + BLOCK * len(directories)


def _blocks(n_bytes: float) -> int:
    return BLOCK * -(-round(n_bytes) // BLOCK)


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
            if cost.n_validations and dev.data is not None:
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
    n_drawn = find_task(run.run.task).n_drawn(
        run.run.utterances_per_language, planned.settings.options[run.run.task]
    )
    return [
        utterance
        for lang in run.run.languages
        for utterance in planned.drawn[run.run.task, lang].train[run.run.seed][:n_drawn]
    ]
