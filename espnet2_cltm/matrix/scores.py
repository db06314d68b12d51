"""The scores a matrix is made of: Perf of single, double and pair runs.

Two forms, by what the input file holds: one value a seed (:class:`SeedScores`)
or means and variances over seeds (:class:`AggregatedScores`). Perf is
better-is-higher. Axes are always (target = tested language, donor); NaN stands
for a run that is not there or whose metric is undefined, and nothing else does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

KINDS = ("single", "double", "pair")

# kind, tested language, donor (the tested language itself for single and double)
ScoreKey = tuple[str, str, str]


@dataclass(frozen=True)
class ResultsSource:
    """Where scores come from.

    Attributes:
        file: Name of the file, without its directory.
        sha256: Digest of the file's bytes.
        task: ``gender``, ``speaker`` or ``asr``.
        metric: A name of :data:`espnet2_cltm.matrix.metrics.METRICS`.
        budget: N, or None where the file does not tell.
        undefined: How often the metric was undefined (``nan``), by run kind,
            tested language and donor.
        notes: Sentences for the user about what was read.
    """

    file: str
    sha256: str
    task: str
    metric: str
    budget: int | None = None
    undefined: Mapping[ScoreKey, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
        source: Where they come from.
        languages: The n languages that runs were trained on, sorted.
        test_languages: The m languages that single runs were tested on, sorted;
            at least ``languages``.
        seeds: The s seeds, ascending.
        zero_shot: (n, m, s), trained on one language, tested on another.
        double: (n, s), Perf(i+i).
        pair: (n, n, s), Perf(i+j) tested on i; the diagonal is NaN.
        cross_language: Perf on trials across two languages, which the matrix leaves
            out; None where there are no such results.
    """

    source: ResultsSource
    languages: tuple[str, ...]
    test_languages: tuple[str, ...]
    seeds: tuple[int, ...]
    zero_shot: np.ndarray
    double: np.ndarray
    pair: np.ndarray
    cross_language: CrossLanguageScores | None = None

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
        source: Where they come from.
        languages: The n languages, sorted.
        mean: By run kind: (n,) for single and double, (n, n) for pair.
        variance: Unbiased, over seeds, same shapes; NaN where there is one seed.
        count: Number of seeds, same shapes; 0 where there is no run.
    """

    source: ResultsSource
    languages: tuple[str, ...]
    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]
    count: Mapping[str, np.ndarray]


Scores = SeedScores | AggregatedScores


def collect_seed_scores(
    records: pd.DataFrame, languages: Iterable[str], source: ResultsSource
) -> SeedScores:
    """Arrange one value a run and test language into arrays.

    Args:
        records: Columns ``kind``, ``donor`` (for a pair run the other language,
            else the language trained on), ``tested``, ``seed`` and ``perf``; no
            two rows for the same run, language and seed.
        languages: All languages that runs were trained on.
        source: Where the records come from.
    """
    languages = tuple(sorted(languages))
    singles = records[records["kind"] == "single"]
    test_languages = tuple(sorted(set(languages) | set(singles["tested"])))
    seeds = tuple(sorted({int(seed) for seed in records["seed"].unique()}))

    row = {code: index for index, code in enumerate(languages)}
    test_column = {code: index for index, code in enumerate(test_languages)}
    slot = {seed: index for index, seed in enumerate(seeds)}

    n, m, s = len(languages), len(test_languages), len(seeds)
    zero_shot = np.full((n, m, s), np.nan)
    double = np.full((n, s), np.nan)
    pair = np.full((n, n, s), np.nan)

    at = (_positions(singles["donor"], row), _positions(singles["tested"], test_column))
    zero_shot[(*at, _positions(singles["seed"], slot))] = singles["perf"].to_numpy()
    doubles = records[
        (records["kind"] == "double") & (records["tested"] == records["donor"])
    ]
    at = (_positions(doubles["donor"], row),)
    double[(*at, _positions(doubles["seed"], slot))] = doubles["perf"].to_numpy()
    pairs = records[records["kind"] == "pair"]
    at = (_positions(pairs["tested"], row), _positions(pairs["donor"], row))
    pair[(*at, _positions(pairs["seed"], slot))] = pairs["perf"].to_numpy()
    return SeedScores(source, languages, test_languages, seeds, zero_shot, double, pair)


def _positions(labels: pd.Series, position: Mapping[str | int, int]) -> np.ndarray:
    return labels.map(position).to_numpy(dtype=int)


def collect_aggregated_scores(
    records: pd.DataFrame, languages: Iterable[str], source: ResultsSource
) -> AggregatedScores:
    """Arrange means and variances over seeds into arrays.

    Args:
        records: Columns ``kind``, ``donor``, ``tested``, ``mean``, ``variance``
            and ``count``; no two rows for the same run and language.
        languages: All languages that runs were trained on.
        source: Where the records come from.
    """
    languages = tuple(sorted(languages))
    row = {code: index for index, code in enumerate(languages)}
    arrays: dict[str, dict[str, np.ndarray]] = {"mean": {}, "variance": {}, "count": {}}
    for kind in KINDS:
        rows = records[records["kind"] == kind]
        shape = (len(languages),) * (2 if kind == "pair" else 1)
        where = (_positions(rows["tested"], row),)
        if kind == "pair":
            where += (_positions(rows["donor"], row),)
        for name, by_kind in arrays.items():
            by_kind[kind] = np.full(shape, 0 if name == "count" else np.nan)
            by_kind[kind][where] = rows[name].to_numpy()
    return AggregatedScores(source, languages, **arrays)


def count_undefined(records: pd.DataFrame, column: str) -> dict[ScoreKey, int]:
    """Count NaN by run kind, tested language and donor."""
    undefined = records[~np.isfinite(records[column])]
    keys = zip(undefined["kind"], undefined["tested"], undefined["donor"], strict=True)
    counts: dict[ScoreKey, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return dict(sorted(counts.items()))


def mean_over_seeds(values: np.ndarray) -> np.ndarray:
    """Average over the last axis, leaving out NaN; NaN where nothing is left."""
    present = np.isfinite(values)
    count = present.sum(axis=-1)
    total = np.where(present, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def single_and_double(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Give mean Perf(i) and Perf(i+i), each (n,), over all their own seeds."""
    if isinstance(scores, AggregatedScores):
        return scores.mean["single"], scores.mean["double"]
    return mean_over_seeds(scores.single), mean_over_seeds(scores.double)


def cross_language_of(scores: Scores) -> CrossLanguageScores | None:
    """Give the results on cross-language trials; aggregated files have none."""
    return scores.cross_language if isinstance(scores, SeedScores) else None


def zero_shot_means(scores: Scores) -> tuple[tuple[str, ...], np.ndarray]:
    """Give the zero-shot matrix: trained on a row's, tested on a column's language.

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

    A metric that is undefined counts as no result.
    """
    codes = scores.languages
    named: list[tuple[str, np.ndarray]] = []
    for kind, values in (("single", scores.single), ("double", scores.double)):
        named += [(f"{kind} {code}", values[i]) for i, code in enumerate(codes)]
    for i, target in enumerate(codes):
        for j, donor in enumerate(codes):
            pair = "+".join(sorted((target, donor)))
            named.append((f"pair {pair} tested on {target}", scores.pair[i, j]))
    found = []
    for name, values in named:
        there = np.isfinite(values)
        if there.any() and not there.all():
            seeds = (
                str(seed)
                for seed, is_there in zip(scores.seeds, there, strict=True)
                if not is_there
            )
            found.append(f"{name} (seed {' '.join(seeds)})")
    return found
