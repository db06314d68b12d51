"""The scores a matrix is made of: Perf of single, double and pair runs.

Two forms, by what the input file holds: one value a seed (:class:`SeedScores`)
or means and variances over seeds (:class:`AggregatedScores`). Perf is
better-is-higher. Axes are always (target = tested language, donor); NaN stands
for a run that is not there or whose metric is undefined, and nothing else does.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.held_out import HeldOutScores
from espnet2_cltm.registry import find_task, task_names
from espnet2_cltm.results_format import FULL, KINDS
from espnet2_cltm.task import Metric, TaskSpec

# kind, tested language, donor (the tested language itself for single and double)
ScoreKey = tuple[str, str, str]


def known_task(name: str) -> TaskSpec | None:
    """Return a task; None where it is not known here."""
    try:
        return find_task(name)
    except UserError:
        return None


def find_metrics(task: str, names: Iterable[str]) -> dict[str, Metric]:
    """Return those of some metrics that are known, in the order of their declaration.

    Args:
        task: Name of the task. Of a task that is not known here, metrics of all others
            are taken by their name.
        names: Names as in ``results.tsv``.
    """
    spec = known_task(task)
    found: dict[str, Metric] = {}
    for one in [spec] if spec else filter(None, map(known_task, task_names())):
        for declared in one.metrics:
            for name in sorted(names):
                metric = one.metric(name)
                if metric is not None and (
                    metric is declared or name.startswith(f"{declared.name}_")
                ):
                    found.setdefault(name, metric)
    return found


@dataclass(frozen=True)
class ResultsSource:
    """Where scores come from.

    Attributes:
        file: Name of the file, without its directory.
        sha256: Digest of the file's bytes.
        task: Name of the task.
        metric: Name of the metric, as in ``results.tsv``.
        budget: N, or None where the file does not tell.
        undefined: How often the metric was undefined (``nan``), by run kind,
            tested language and donor.
        notes: Sentences for the user about what was read.
        steps: Optimiser steps of the runs, ``data`` or ``equal``.
        strategy: How their encoder was adapted.
        in_seconds: Whether N counts seconds of audio.
    """

    file: str
    sha256: str
    task: str
    metric: str
    budget: int | None = None
    undefined: Mapping[ScoreKey, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    steps: str = "data"
    strategy: str = FULL
    in_seconds: bool = False

    @property
    def task_title(self) -> str:
        """Name of the task in text and figures."""
        spec = known_task(self.task)
        return spec.title if spec else self.task

    @property
    def metric_title(self) -> str:
        """Name of Perf, which is better-is-higher, in text and figures."""
        metric = find_metrics(self.task, [self.metric]).get(self.metric)
        return metric.title if metric else self.metric

    @property
    def unit(self) -> str:
        """What N counts."""
        if self.in_seconds:
            return self.items
        spec = known_task(self.task)
        return spec.unit if spec else "utterances"

    @property
    def items(self) -> str:
        """What N counts, in a word: ``utterances`` or ``seconds``."""
        return "seconds" if self.in_seconds else "utterances"

    @property
    def strategy_text(self) -> str:
        """The strategy; empty for ``full``."""
        return "" if self.strategy == FULL else f"strategy {self.strategy}"

    @property
    def budget_text(self) -> str:
        """N with its unit; empty where the file does not tell N."""
        return "" if self.budget is None else f"N = {self.budget:d} {self.unit}"


@dataclass(frozen=True)
class CrossLanguageScores:
    """Perf of runs on trials enrolled in one language and tested in another.

    Attributes:
        runs: The r kinds of runs, each (kind, languages) with the languages trained
            on as in ``results.tsv``: singles, doubles, pairs.
        sets: The t test sets, two sorted codes joined by ``~``, sorted.
        perf: (r, t), mean over the seeds for which the metric is defined; NaN where
            there are none.
    """

    runs: tuple[tuple[str, str], ...]
    sets: tuple[str, ...]
    perf: np.ndarray


@dataclass(frozen=True)
class SeedScores:
    """Perf of every run, seed by seed.

    Attributes:
        source: Origin of the scores.
        languages: The n languages that runs were trained on, sorted.
        test_languages: The m languages that single runs were tested on, sorted;
            at least ``languages``.
        seeds: The s seeds, ascending.
        zero_shot: (n, m, s), trained on one language, tested on another.
        double: (n, s), Perf(i+i).
        pair: (n, n, s), Perf(i+j) tested on i; the diagonal is NaN.
        cross_language: Perf on trials across two languages, which the matrix leaves
            out; None where there are no such results.
        held_out: Perf without groups of test speakers; None where not known.
    """

    source: ResultsSource
    languages: tuple[str, ...]
    test_languages: tuple[str, ...]
    seeds: tuple[int, ...]
    zero_shot: np.ndarray
    double: np.ndarray
    pair: np.ndarray
    cross_language: CrossLanguageScores | None = None
    held_out: HeldOutScores | None = None

    @property
    def single(self) -> np.ndarray:
        """(n, s), Perf(i): trained and tested on the same language."""
        rows = np.arange(len(self.languages))
        columns = [self.test_languages.index(code) for code in self.languages]
        return self.zero_shot[rows, columns]


@dataclass(frozen=True)
class AggregatedScores:
    """Perf of every run as mean and variance over seeds.

    Attributes:
        source: Origin of the scores.
        languages: The n languages, sorted.
        mean: Means over seeds by run kind: (n,) for single and double, (n, n) for pair.
        variance: Unbiased variances over seeds, same shapes; NaN where there is one
            seed.
        count: Number of seeds, same shapes; 0 where there is no run.
    """

    source: ResultsSource
    languages: tuple[str, ...]
    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]
    count: Mapping[str, np.ndarray]


RunScores = SeedScores | AggregatedScores


def collect_seed_scores(
    records: pd.DataFrame, languages: Iterable[str], source: ResultsSource
) -> SeedScores:
    """Arrange one value a run and test language into arrays.

    Args:
        records: Columns ``kind``, ``donor`` (for a pair run the other language,
            else the language trained on), ``tested``, ``seed`` and ``perf``; no
            two rows for the same run, language and seed.
        languages: All languages that runs were trained on.
        source: Origin of the records.
    """
    codes = tuple(sorted(languages))
    single, double, pair = (records[records["kind"] == kind] for kind in KINDS)
    double = double[double["tested"] == double["donor"]]
    tested = tuple(sorted({*codes, *single["tested"]}))
    seeds = tuple(sorted({int(seed) for seed in records["seed"].unique()}))
    return SeedScores(
        source,
        codes,
        tested,
        seeds,
        arrange(single, "perf", donor=codes, tested=tested, seed=seeds),
        arrange(double, "perf", donor=codes, seed=seeds),
        arrange(pair, "perf", tested=codes, donor=codes, seed=seeds),
    )


def arrange(
    records: pd.DataFrame, column: str, *, fill: float = np.nan, **axes: Sequence
) -> np.ndarray:
    """Arrange a column's values by the labels that others have.

    Args:
        records: Table with a row a value.
        column: Name of the column with the values.
        fill: Value where there is no row.
        axes: Labels along each axis of the array, by name of their column.
    """
    values = np.full([len(labels) for labels in axes.values()], fill)
    positions = (
        pd.Index(labels).get_indexer(records[name]) for name, labels in axes.items()
    )
    values[tuple(positions)] = records[column].to_numpy()
    return values


def collect_aggregated_scores(
    records: pd.DataFrame, languages: Iterable[str], source: ResultsSource
) -> AggregatedScores:
    """Arrange means and variances over seeds into arrays.

    Args:
        records: Columns ``kind``, ``donor``, ``tested``, ``mean``, ``variance``
            and ``count``; no two rows for the same run and language.
        languages: All languages that runs were trained on.
        source: Origin of the records.
    """
    codes = tuple(sorted(languages))
    arrays: dict[str, dict[str, np.ndarray]] = {"mean": {}, "variance": {}, "count": {}}
    for kind in KINDS:
        rows = records[records["kind"] == kind]
        axes = {"tested": codes} | ({"donor": codes} if kind == "pair" else {})
        for name, by_kind in arrays.items():
            fill = 0 if name == "count" else np.nan
            by_kind[kind] = arrange(rows, name, fill=fill, **axes)
    return AggregatedScores(source, codes, **arrays)


def count_undefined(records: pd.DataFrame, column: str) -> dict[ScoreKey, int]:
    """Count NaN by run kind, tested language and donor."""
    undefined = records[~np.isfinite(records[column])]
    keys = zip(undefined["kind"], undefined["tested"], undefined["donor"], strict=True)
    return dict(sorted(Counter(keys).items()))


def mean_over_seeds(values: np.ndarray) -> np.ndarray:
    """Average over the last axis, leaving out NaN; NaN where nothing is left."""
    present = np.isfinite(values)
    count = present.sum(axis=-1)
    total = np.where(present, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def single_and_double(scores: RunScores) -> tuple[np.ndarray, np.ndarray]:
    """Return mean Perf(i) and Perf(i+i), each (n,), over all their own seeds."""
    if isinstance(scores, AggregatedScores):
        return scores.mean["single"], scores.mean["double"]
    return mean_over_seeds(scores.single), mean_over_seeds(scores.double)


def cross_language_of(scores: RunScores) -> CrossLanguageScores | None:
    """Return the results on cross-language trials; aggregated files have none."""
    return scores.cross_language if isinstance(scores, SeedScores) else None


def zero_shot_means(scores: RunScores) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the zero-shot matrix: trained on a row's, tested on a column's language.

    Returns:
        The column's languages and (n, m) mean Perf over seeds. Aggregated files
        tell only the diagonal.
    """
    if isinstance(scores, SeedScores):
        return scores.test_languages, mean_over_seeds(scores.zero_shot)
    matrix = np.full((len(scores.languages),) * 2, np.nan)
    np.fill_diagonal(matrix, scores.mean["single"])
    return scores.languages, matrix


def absent_seeds(scores: SeedScores) -> list[str]:
    """Name the runs, as they are tested for the matrix, with the seeds they lack.

    A metric that is undefined counts as no result; a run without any is left out.
    """
    codes = scores.languages
    values = {f"single {code}": scores.single[i] for i, code in enumerate(codes)}
    values |= {f"double {code}": scores.double[i] for i, code in enumerate(codes)}
    for i, target in enumerate(codes):
        for j, donor in enumerate(codes):
            pair = "+".join(sorted((target, donor)))
            values[f"pair {pair} tested on {target}"] = scores.pair[i, j]
    found = []
    for name, perf in values.items():
        there = np.isfinite(perf)
        if there.any() and not there.all():
            absent = (str(scores.seeds[k]) for k in np.flatnonzero(~there))
            found.append(f"{name} (seed {' '.join(absent)})")
    return found
