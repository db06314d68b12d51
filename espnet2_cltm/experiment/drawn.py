"""What is drawn for a plan: lists of utterances, and test data such as trials.

Stage 3 writes it below ``data/<task>/`` and the runner reads it; an experiment that
grows must draw the same again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    read_utterance_list,
    write_utterance_list,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.files import write_rows_if_any
from espnet2_cltm.pools import ChosenPool, write_pools
from espnet2_cltm.progress import progress
from espnet2_cltm.registry import find_task
from espnet2_cltm.results_format import LEFT_OUT_COLUMNS
from espnet2_cltm.task import TestSet

FEWEST_GROUPS, MOST_GROUPS = 4, 25  # of test speakers


@dataclass(frozen=True)
class DrawnSet:
    """Utterances to test or validate on, and their test data where there are any."""

    utterances: list[ListedUtterance]
    data: Any = None

    @property
    def n_items(self) -> int:
        """Number of items in a prediction: trials, or else utterances."""
        return len(self.utterances) if self.data is None else len(self.data)


@dataclass(frozen=True)
class DrawnLanguage:
    """What is drawn from one language for one task.

    Attributes:
        train: Utterances of the largest run, by seed.
        dev: Set that chooses a checkpoint.
        test: Set to test on.
        notes: Notes on what could not be made.
        grid: Every N of a learning curve; empty for a matrix.
    """

    train: dict[int, list[ListedUtterance]]
    dev: DrawnSet
    test: DrawnSet
    notes: tuple[str, ...] = ()
    grid: tuple[int, ...] = ()


@dataclass(frozen=True)
class Planned:
    """A plan and what it is based on.

    Attributes:
        settings: Settings, including those that depend on the data.
        runs: All runs, tasks one after another.
        drawn: Drawn utterances by (task, language).
        across: Test sets across languages by (task, ``<language>~<language>``).
        left_out: Reasons why languages cannot take part, by (task, language).
        pools: Donors of targets without data, by task.
    """

    settings: Settings
    runs: list[PlannedRun]
    drawn: dict[tuple[str, str], DrawnLanguage]
    across: dict[tuple[str, str], DrawnSet]
    left_out: dict[tuple[str, str], str]
    pools: dict[str, list[ChosenPool]] = field(default_factory=dict)

    def tested(self, task: str, name: str) -> DrawnSet:
        """Return what is tested under a name: a language, or a test across two."""
        if (task, name) in self.across:
            return self.across[task, name]
        return self.drawn[task, name].test


def write_drawn(directory: ExperimentDir, planned: Planned) -> None:
    """Write the lists and test data of a plan."""
    for (task, lang), language in progress(
        planned.drawn.items(), description="Writing subsets", unit="lang"
    ):
        for seed, utterances in language.train.items():
            path = directory.train_list(task, lang, seed)
            # An earlier plan up to a larger N has drawn more; where the store was made
            # anew, audio may lie elsewhere.
            before = read_utterance_list(path) if path.exists() else []
            if before[: len(utterances)] != utterances:
                write_utterance_list(path, utterances)
        _write_set(directory, task, lang, "dev", language.dev)
        _write_set(directory, task, lang, "test", language.test)
    for (task, name), test in planned.across.items():
        _write_set(directory, task, name, "test", test)
    for task in planned.settings.tasks:
        write_pools(directory.pools(task), planned.pools.get(task, ()))
        left_out = (
            (lang, " ".join(reason.split()))
            for (of_task, lang), reason in sorted(planned.left_out.items())
            if of_task == task
        )
        write_rows_if_any(directory.left_out(task), LEFT_OUT_COLUMNS, left_out)


def read_test_set(
    directory: ExperimentDir, task: str, name: str, split: str = "test"
) -> TestSet:
    """Read a test or dev set that stage 3 wrote.

    Args:
        directory: Directory of the experiment.
        task: Name of the task.
        name: Language, or ``<language>~<language>``.
        split: ``test`` or ``dev``.

    Raises:
        UserError: A file is missing or damaged.
    """
    utterances = read_utterance_list(directory.utterance_list(task, name, split))
    kept = find_task(task).test_data
    # A dev set without possible test data is empty.
    if not utterances or kept is None:
        return TestSet(name, utterances)
    path = directory.test_data(task, name, split, kept.suffix)
    if not path.exists():
        raise UserError(
            f"{path} is missing: run stage 3 again with the options that the "
            "experiment was made with."
        )
    data = kept.read(path)
    kept.check(path, data, utterances)
    return TestSet(name, utterances, data, path)


def by_speakers(test: TestSet) -> TestSet:
    """Add groups of test speakers, to tell how much scores depend on who is tested.

    Speakers are dealt out, in the order of their names, to as many groups as there
    are speakers and no more than :data:`MOST_GROUPS`.
    """
    speakers: dict[str, set[str]] = {}
    for utterance in test.utterances:
        speakers.setdefault(utterance.speaker, set()).add(utterance.utt)
    names = sorted(speakers)
    if "" in speakers or len(names) < FEWEST_GROUPS:
        return test
    n = min(len(names), MOST_GROUPS)
    groups = tuple(
        frozenset().union(*(speakers[name] for name in names[k::n])) for k in range(n)
    )
    return replace(test, groups=groups)


def utterances_by_language(
    directory: ExperimentDir, settings: Settings, run: Run
) -> dict[str, Sequence[ListedUtterance]]:
    """Return a run's training utterances of each of its languages."""
    options, cut = settings.options.get(run.task, {}), find_task(run.task).cut
    return {
        lang: cut(
            read_utterance_list(directory.train_list(run.task, lang, run.seed)),
            n,
            options,
        )
        for lang, n in run.parts
    }


def training_utterances(
    directory: ExperimentDir, settings: Settings, run: Run
) -> list[ListedUtterance]:
    """Return a run's training utterances, those of its languages in turn."""
    parts = utterances_by_language(directory, settings, run).values()
    return [u for turn in zip_longest(*parts) for u in turn if u is not None]


def check_same_data(directory: ExperimentDir, planned: Planned) -> None:
    """Refuse to mix runs on different draws of one language.

    Raises:
        UserError: What was drawn before is damaged or different.
    """
    for (task, lang), language in planned.drawn.items():
        for seed, utterances in language.train.items():
            path = directory.train_list(task, lang, seed)
            _check_same_list(path, utterances, may_grow=True)
        _check_same_set(directory, task, lang, "dev", language.dev)
        _check_same_set(directory, task, lang, "test", language.test)
    for (task, name), test in planned.across.items():
        _check_same_set(directory, task, name, "test", test)


def _write_set(
    directory: ExperimentDir, task: str, name: str, split: str, drawn: DrawnSet
) -> None:
    write_utterance_list(directory.utterance_list(task, name, split), drawn.utterances)
    kept = find_task(task).test_data
    if kept is not None and drawn.data is not None:
        kept.write(directory.test_data(task, name, split, kept.suffix), drawn.data)


def _check_same_set(
    directory: ExperimentDir, task: str, name: str, split: str, drawn: DrawnSet
) -> None:
    _check_same_list(directory.utterance_list(task, name, split), drawn.utterances)
    kept = find_task(task).test_data
    if kept is None:
        return
    path = directory.test_data(task, name, split, kept.suffix)
    if not path.exists():
        return
    try:
        before = kept.read(path)
    except UserError as error:
        raise _damaged(path) from error
    if drawn.data is None or not kept.are_equal(before, drawn.data):
        raise _drawn_otherwise(path)


def _check_same_list(
    path: Path, utterances: Sequence[ListedUtterance], may_grow: bool = False
) -> None:
    """Refuse a different list; one that may grow may continue or begin the other."""

    def identity(utterances: Sequence[ListedUtterance]) -> list[tuple[str, str, int]]:
        return [(u.utt, u.label, u.num_samples) for u in utterances]

    if not path.exists():
        return
    try:
        before: Sequence[ListedUtterance] = read_utterance_list(path)
    except UserError as error:
        raise _damaged(path) from error
    if may_grow:
        common = min(len(before), len(utterances))
        before, utterances = before[:common], utterances[:common]
    if identity(before) != identity(utterances):
        raise _drawn_otherwise(path)


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path}, from an earlier stage 3, is damaged: delete it and run stage 3 again."
    )


def _drawn_otherwise(path: Path) -> UserError:
    return UserError(
        f"{path} would be drawn differently now: the audio or the labels have changed, "
        "or other languages test some of its speakers (--shared_speakers); give the "
        "experiment a new --tag, or delete the old one."
    )
