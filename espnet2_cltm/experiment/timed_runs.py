"""Small runs that are really made, to learn what an experiment's runs will cost.

As many workers as will share a processor or a GPU make the same few runs at the same
time, each in an experiment of its own: with the experiment's settings and language
data, but few training and test utterances. What is timed is what a worker does:
reading, training, validating, testing, writing.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.utterance_list import ListedUtterance, total_seconds
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.completion import RunCounts
from espnet2_cltm.experiment.drawn import DrawnLanguage, DrawnSet, Planned
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.local_executor import LocalExecutor
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.planning import write_experiment
from espnet2_cltm.experiment.run import Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.task_registry import drawing
from espnet2_cltm.progress import progress
from espnet2_cltm.speaker.trials import TrialList

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
        write_experiment(first, _few_iterations(settings), small)
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
                audio_cache,
                "none" if keep_models == "none" else "all",
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
        few, many = _sizes(task, settings.train_config[task], len(of_runs))
        test = _part(language.test, TEST_SECONDS)
        few_tests = f"{lang}~few"
        across[task, few_tests] = _part(language.test, TEST_SECONDS / 4)
        train = {}
        # In turn a small and a large one: what disturbs the machine meets both.
        for seed in range(2 + 2 * REPEATS):
            n_drawn = few if seed % 2 == 0 else many
            train[seed] = of_runs[-n_drawn:] if seed == 0 else of_runs[:n_drawn]
            tested = few_tests if n_drawn == few else lang
            tests = across[task, few_tests] if n_drawn == few else test
            budget = n_drawn // drawing(task).n_drawn(1)
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
        dev = _part(language.dev, TEST_SECONDS / 4)
        drawn[task, lang] = DrawnLanguage(train, dev, test)
    return Planned(runs, drawn, across, {})


def _typical_language(planned: Planned, task: str) -> tuple[str, DrawnLanguage]:
    """Choose a language that validates, if one does, with a middling test set."""
    languages = [
        (lang, drawn) for (name, lang), drawn in planned.drawn.items() if name == task
    ]
    validated = [entry for entry in languages if entry[1].dev.trials is not None]
    candidates = sorted(
        validated or languages, key=lambda entry: len(entry[1].test.utterances)
    )
    return candidates[len(candidates) // 2]


def _sizes(task: str, config: Mapping[str, Any], n_there: int) -> tuple[int, int]:
    """Give the training utterances of small and of large runs, both classes counted."""
    unit = drawing(task).n_drawn(1)
    batch = config.get("batch_size", 20)
    if config.get("num_iters_per_epoch"):
        whole = max(min(batch, n_there) // unit, 1) * unit
        return whole, whole
    few = min(max(FEW, batch), MOST_FEW, max(n_there // 2, unit))
    few = max(few // unit, 1) * unit
    return few, min(MANY * few, n_there // unit * unit)


def _part(drawn: DrawnSet, seconds: float) -> DrawnSet:
    """Take so much of a test or dev set, at least one of each label, or two trials."""
    if drawn.trials is None:
        of_label: dict[str, list[ListedUtterance]] = {}
        for utterance in drawn.utterances:
            of_label.setdefault(utterance.label, []).append(utterance)
        part: list[ListedUtterance] = []
        for turn in zip(*of_label.values(), strict=False):
            part += turn
            if total_seconds(part) >= seconds:
                break
        return DrawnSet(part)
    trials = drawn.trials
    of_kind = [np.flatnonzero(trials.is_target == kind) for kind in (True, False)]
    length = {u.utt: u.num_samples / SAMPLE_RATE for u in drawn.utterances}
    chosen: list[int] = []
    heard: set[str] = set()
    for pair in zip(*of_kind, strict=False):
        chosen += map(int, pair)
        for trial in pair:
            heard |= {trials.utts[trials.enrol[trial]], trials.utts[trials.test[trial]]}
        if sum(length[utt] for utt in heard) >= seconds:
            break
    utts = np.array(trials.utts)
    fewer = TrialList.from_pairs(
        utts[trials.enrol[chosen]], utts[trials.test[chosen]], trials.is_target[chosen]
    )
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
