"""A task as one object, from which everything else is derived.

A :class:`TaskSpec` names a task, its metrics and its options, and draws its data; the
help, the option checks, the plan, the settings, the titles of the matrix and the report
all read it. Nothing here imports torch, so that a plan takes seconds; the module that
trains and tests is named by :attr:`TaskSpec.module` and imported where it is needed.

That module has

* ``ESPNET_TASK``, the task's class in ESPnet's sense, and ``PREDICTIONS_SUFFIX``;
* ``build_options(options)``, ESPnet options that build the model before there is data;
* ``write_training_data(run_dir, train, dev, batch_bins, options)``, which writes what
  ESPnet reads of the training utterances ``train`` and the validation sets ``dev``, a
  :class:`TestSet` for each language of the run, and returns ESPnet's data options;
* ``criteria(config, languages, tests)``, which returns the criterion that chooses the
  epoch for each test, those it lacks taking the last: ``config`` is the training
  configuration, data options included, ``tests`` are names of test sets;
* ``predict(model, test, predictions, batch_bins, device)``, which writes the file
  ``predictions`` of a :class:`TestSet`, on ``cpu`` or ``cuda``;
* ``score(spec, options, test, predictions)``, which returns :class:`Scores`;
* ``cache_audio(max_bytes)``, which keeps so many bytes of prepared test audio at most;
* and where a metric is :attr:`~Metric.calibrated_on` dev sets, ``calibrate(options,
  dev)``, which takes pairs of a dev set and its predictions and returns the numbers of
  a calibration; ``score`` then has the calibrations as a fifth argument.

Options are the task's own, by name; ``batch_bins`` is the most samples in a batch.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.options import Option

Criterion = tuple[str, str, str]
"""ESPnet's ``best_model_criterion``: phase, statistic, ``min`` or ``max``."""


Measure = tuple[str, float, float]
"""What the report shows of runs: name, where (an epoch, a score), value."""

CALIBRATION_SETS = {"target": "the target", "donor": "the donor", "both": "both"}
"""Languages on whose dev sets outputs are calibrated, of those that a run is trained
on: the one that is tested, the others, and all."""


@dataclass(frozen=True)
class Metric:
    """One metric of a task.

    Attributes:
        name: Name in ``results.tsv``. A metric of each class appears there once a
            class, ``recall`` as ``recall_f`` and ``recall_m``.
        title: Name of Perf, which is better-is-higher, in text and figures.
        function: Function that computes it; its arguments are the task's own.
        lower_is_better: Whether Perf is 1 - value.
        maximum: Largest possible value; None where there is none.
        per_class: Whether the function returns a value of each class.
        minimum: Smallest possible value; None where there is none.
        calibrated_on: One of :data:`CALIBRATION_SETS`, whose calibration the function
            takes as its last argument; empty where it takes none.
        of_calibration: Whether it belongs to the report's section on calibration.
        published_as: Name in the tables of the method's published framework; empty
            where it is not among theirs.
    """

    name: str
    title: str
    function: Callable[..., Any] | None = None
    lower_is_better: bool = False
    maximum: float | None = 1.0
    per_class: bool = False
    minimum: float | None = 0.0
    calibrated_on: str = ""
    of_calibration: bool = False
    published_as: str = ""

    def compute(
        self, *arguments: Any, calibrations: Mapping[str, Sequence[float]]
    ) -> Any:
        """Return its value; NaN where it takes a calibration that is not there."""
        assert self.function is not None
        if not self.calibrated_on:
            return self.function(*arguments)
        if self.calibrated_on not in calibrations:
            return math.nan
        return self.function(*arguments, calibrations[self.calibrated_on])


@dataclass(frozen=True)
class Scores:
    """Results of a test.

    Attributes:
        metrics: Values by name, as ``results.tsv`` has them.
        n_test: Number of test items.
        confusion: Counts of a label task, ``{reference: {predicted: count}}``.
        held_out: By metric, its value without each group of test speakers in turn, NaN
            where undefined; empty where there are no groups.
        measures: What the report shows besides, of tests on languages trained on.
    """

    metrics: Mapping[str, float]
    n_test: int
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    held_out: Mapping[str, Sequence[float]] = field(default_factory=dict)
    measures: Sequence[Measure] = ()


def score_in_turn(
    score_without: Callable[[frozenset[str]], Scores], groups: Sequence[frozenset[str]]
) -> Scores:
    """Score a test, and again without each group of its utterances.

    Args:
        score_without: Function that scores the test without some utterances.
        groups: The groups.
    """
    scores = score_without(frozenset())
    held_out: dict[str, list[float]] = {name: [] for name in scores.metrics}
    for group in groups:
        try:
            found = score_without(group).metrics
        except UserError:  # all of a class, or all targets, are in the group
            found = {}
        for name, values in held_out.items():
            values.append(found.get(name, math.nan))
    return replace(scores, held_out=held_out if groups else {})


class UnfitLanguage(Exception):
    """A language cannot take part in a task.

    Attributes:
        reason: Reason in a few words.
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class DrawingRules:
    """Rules for drawing subsets and test data.

    Attributes:
        budget: N of a single run; the largest of ``grid`` where there is one.
        grid: Every N of learning curves, ascending; empty for a matrix.
        shots: Every N of few-shot runs, ascending.
        shared_speakers: Whether speakers of one name, apart from ``<lang>-``, are one
            person in all languages.
        options: The task's own options by name.
        config: The task's training configuration.
    """

    budget: int
    grid: tuple[int, ...] = ()
    shots: tuple[int, ...] = ()
    shared_speakers: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Every N that a run takes from a language, ascending."""
        return self.grid or tuple(sorted({*self.shots, self.budget, 2 * self.budget}))


@dataclass(frozen=True)
class LanguageDraw:
    """What a task draws from one language, by utterance id.

    Attributes:
        train: Utterances of the largest run (in a matrix, the double) by seed; smaller
            runs take the beginning.
        dev: Validation utterances.
        test: Test utterances.
        labels: What the task predicts or tells apart, for each utterance.
        test_data: Test data besides the labels, such as trials, by split; see
            :class:`TestData`.
        notes: Notes on what could not be made.
    """

    train: Mapping[int, list[str]]
    dev: list[str]
    test: list[str]
    labels: Mapping[str, str]
    test_data: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestData:
    """Storage of a task's test data, where they are more than labelled utterances.

    Attributes:
        suffix: Ending of the file beside the list of utterances, such as ``.trials``.
        write: Function of (path, data) that writes the data.
        read: Function that reads what ``write`` wrote, from a bounded cache if it
            likes.
        check: Function of (path, data, utterances) that refuses data that contradict
            the list of utterances.
        are_equal: Function that compares two.
        part: Function of (data, seconds by utterance, seconds) that returns a part of
            the data with so many seconds of audio, for a dry run's estimate.
        measures: Function of (data, predictions without suffix) that returns what the
            report shows of a test's scores; None where it shows nothing.

    The data have ``utts``, the ids of all utterances in them, and a length.
    """

    suffix: str
    write: Callable[[Path, Any], None]
    read: Callable[[Path], Any]
    check: Callable[[Path, Any, Sequence[ListedUtterance]], None]
    are_equal: Callable[[Any, Any], bool]
    part: Callable[[Any, Mapping[str, float], float], Any]
    measures: Callable[[Any, Path], Iterable[Measure]] | None = None
    __test__ = False  # pytest takes a class of this name for tests


@dataclass(frozen=True)
class TestSet:
    """What a model is tested or validated on.

    Attributes:
        name: Language, or ``<language>~<language>`` for a test across two.
        utterances: Utterances in the order of their list.
        data: Test data, such as trials; None where the task has none, or none could be
            made.
        data_path: File of the test data, or None.
        groups: Sets of utterances, those of some test speakers each, to be left out in
            turn; none where test noise is not asked for.
    """

    name: str
    utterances: Sequence[ListedUtterance]
    data: Any = None
    data_path: Path | None = None
    groups: Sequence[frozenset[str]] = ()
    __test__ = False


@dataclass(frozen=True)
class AcrossDraw:
    """Test data across two languages.

    Attributes:
        name: ``<language>~<language>``, sorted codes.
        utts: Utterance ids of both languages, in the order of the list.
        data: Test data; None where none could be made.
        notes: Notes on what could not be made.
    """

    name: str
    utts: tuple[str, ...]
    data: Any
    notes: tuple[str, ...] = ()


Splits = Mapping[str, Sequence[Utterance]]
"""Utterances of ``train``, ``dev`` and ``test``."""


@dataclass(frozen=True)
class TaskSpec(ABC):
    """One task.

    A subclass draws the data; everything else is a field. How a task becomes known is
    described in :mod:`espnet2_cltm.registry`.

    Attributes:
        name: Name as in ``--task``.
        title: Name in text and figures, such as "speaker verification".
        metrics: Metrics; the first is the matrix's, see :meth:`main_metric`.
        unit: What N counts, such as "utterances per class".
        counts_seconds: Whether N may also be a number of seconds of audio; see
            :class:`.budget.Seconds`.
        lasting: Names of settled options that a growing experiment keeps.
        demo_budget: N of the demo; None where the demo has no data for the task.
        demo: Name of the demo corpus, which ``--corpus demo`` stands for.
        train_config: Default training configuration.
        options: The task's own options.
        module: Name of the module that trains and tests; None where there is none.
        test_data: Storage of its test data, where they are more than labels.
        own_weights: Beginnings, joined by commas, of the names of weights that belong
            to what a training set holds, such as its speakers, and do not serve another
            training.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    unit: str = "utterances"
    counts_seconds: bool = False
    lasting: tuple[str, ...] = ()
    demo_budget: int | None = None
    demo: str = "demo"
    train_config: str = ""
    options: tuple[Option, ...] = ()
    module: str | None = None
    test_data: TestData | None = None
    own_weights: str = ""

    @abstractmethod
    def draw(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> LanguageDraw:
        """Draw a language's training subsets and test data.

        Raises:
            UnfitLanguage: The language cannot take part.
        """

    def audio_needed(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> Iterable[str] | None:
        """Return the training utterances whose audio must be decoded before the draw.

        If all of these can be used, :meth:`draw` must give the same, whichever others
        cannot; the lengths of others it must not need. Where there are too few to draw
        from, it may be any.

        Returns:
            Utterance ids; None for all of ``train``.
        """
        return None

    def default_options(self) -> dict[str, Any]:
        """Return the defaults of the task's options, by name."""
        return {option.name: option.read(option.default) for option in self.options}

    def n_drawn(self, n: int, options: Mapping[str, Any]) -> int:
        """Return the number of utterances from a language in a run of N.

        Of seconds it is about as many, the same for all languages: equal steps follow
        from it.
        """
        return n

    def cut(
        self, drawn: Sequence[ListedUtterance], n: int, options: Mapping[str, Any]
    ) -> Sequence[ListedUtterance]:
        """Return the utterances of a run of N, the first of those drawn."""
        return drawn[: self.n_drawn(n, options)]

    def settle_options(
        self,
        options: Mapping[str, Any],
        languages: Iterable[tuple[str, Splits]],
        largest: int,
    ) -> dict[str, Any]:
        """Return the options, those filled in that depend on the data.

        Args:
            options: The task's options by name.
            languages: Languages and their utterances, read during iteration.
            largest: N of the largest run.

        Raises:
            UserError: The data do not determine them.
        """
        return dict(options)

    def check_options(self, options: Mapping[str, Any], shared_speakers: bool) -> None:
        """Refuse options that contradict each other, before any stage runs.

        Args:
            options: The task's options by name.
            shared_speakers: Whether speakers are the same people in all languages.

        Raises:
            UserError: Options contradict each other.
        """
        return

    def tests_across(self, options: Mapping[str, Any]) -> bool:
        """Return whether the options ask for tests across languages."""
        return False

    def draw_across(
        self, tests: Mapping[str, Sequence[Utterance]], rules: DrawingRules
    ) -> list[AcrossDraw]:
        """Return test data across languages, where :meth:`tests_across`.

        Args:
            tests: Test utterances by language.
            rules: Rules of the drawing.
        """
        return []

    def code(self) -> ModuleType:
        """Import the module that trains and tests.

        Raises:
            UserError: It has none, or it cannot be imported.
        """
        if self.module is None:
            raise UserError(
                f"The task {self.name} has no training of its own: choose another with "
                "--task."
            )
        try:
            return import_module(self.module)
        except ImportError as error:
            raise UserError(
                f"{self.module}, the module of the task {self.name}, cannot be "
                f"imported ({error}): install what it needs, or correct the package "
                "that declares the task."
            ) from error

    @property
    def calibration_sets(self) -> list[str]:
        """Return those of :data:`CALIBRATION_SETS` that its metrics need."""
        asked = {metric.calibrated_on for metric in self.metrics}
        return [name for name in CALIBRATION_SETS if name in asked]

    def score(
        self,
        options: Mapping[str, Any],
        test: TestSet,
        predictions: Path,
        calibrations: Mapping[str, Sequence[float]],
    ) -> Scores:
        """Score a test, see :func:`score_in_turn`.

        Args:
            options: The task's options by name.
            test: The test set.
            predictions: File of the predictions.
            calibrations: Calibrations by :data:`CALIBRATION_SETS`, those there are.

        Raises:
            UserError: The predictions are damaged or are not those of the test.
        """
        more = (calibrations,) if self.calibration_sets else ()
        return self.code().score(self, options, test, predictions, *more)

    def metric(self, name: str) -> Metric | None:
        """Return the metric with a name in ``results.tsv``, or None."""
        for metric in self.metrics:
            if metric.name == name and not metric.per_class:
                return metric
            class_name = name.removeprefix(f"{metric.name}_")
            if metric.per_class and class_name not in ("", name):
                title = f"{metric.title} {self.class_title(class_name)}"
                return Metric(name, title, None, metric.lower_is_better, metric.maximum)
        return None

    def main_metric(self, names: Iterable[str]) -> Metric:
        """Return the matrix's metric, where results have metrics of these names."""
        return self.metrics[0]

    def class_title(self, name: str) -> str:
        """Return a class's name in text and figures."""
        return name

    def budget_text(self, budget: int | None) -> str:
        """Return a text such as ``N = 60 utterances per class``; empty for None."""
        return "" if budget is None else f"N = {budget} {self.unit}"
