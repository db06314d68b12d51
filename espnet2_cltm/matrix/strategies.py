"""Strategies side by side: what they reach, how languages transfer, what they cost.

``strategies.tsv`` has one line a strategy: ``task strategy`` and, of every measure of
:data:`MEASURES`, its value, and its ``_difference`` to the first strategy with the
limits ``_low`` and ``_high`` of the difference's interval. It leads with Perf: a CLTM
may be high because the self-gain is low.

Runs of one seed have the same data and head whatever the strategy, so that differences
are paired. Those of Perf, gains and costs are means by seed over what both strategies
have in every seed, with Student's interval over the seeds. Those of mean CLTM and RFD
run over the cells that are identified in both; their intervals are corrected for noise
as those of one matrix are (:mod:`.property_intervals`), with the same resamples of the
seeds for both.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.files import write_rows
from espnet2_cltm.matrix.equivalents import mean_with_interval
from espnet2_cltm.matrix.layout import MatrixLayout, batch_of, layout_of
from espnet2_cltm.matrix.matrix_files import LabelledMatrix, number_text
from espnet2_cltm.matrix.noise import disturbed, quiet_matrix, seed_noise
from espnet2_cltm.matrix.properties import PROPERTIES
from espnet2_cltm.matrix.property_intervals import CELLS_AT_ONCE, FEWEST_SEEDS
from espnet2_cltm.matrix.results_table import read_results
from espnet2_cltm.matrix.scores import ResultsSource, SeedScores, mean_over_seeds
from espnet2_cltm.matrix.text_table import read_text_table, require_columns, to_number
from espnet2_cltm.matrix.uncertainty import Analysis, IntervalSettings, draw_weights
from espnet2_cltm.results_format import COST_COLUMNS, COSTS, KINDS, STRATEGY

FILE = "strategies.tsv"
PERF, GAIN, TRANSFER, COUNT, COST = "perf", "gain", "transfer", "count", "cost"
_PER_RUN = ["kind", "languages", "seed"]


@dataclass(frozen=True)
class StrategyMeasure:
    """Something that strategies are compared by.

    Attributes:
        name: Name of its column.
        title: Name for people.
        kind: ``PERF``, ``GAIN``, ``TRANSFER``, ``COUNT`` or ``COST``.
        parts: Columns of ``costs.tsv`` that it is the sum of.
        scale: Number that it is divided by for people.
        digits: Decimals for people.
    """

    name: str
    title: str
    kind: str
    parts: tuple[str, ...] = ()
    scale: float = 1.0
    digits: int = 3


def _cost(name: str, title: str, *parts: str, scale: float = 1.0, digits: int = 1):
    return StrategyMeasure(name, title, COST, parts or (name,), scale, digits)


MEASURES = (
    StrategyMeasure("perf_single", "single", PERF),
    StrategyMeasure("perf_double", "double", PERF),
    StrategyMeasure("perf_pair", "pair", PERF),
    StrategyMeasure("perf_zero_shot", "zero-shot", PERF),
    StrategyMeasure("self_gain", "self-gain", GAIN),
    StrategyMeasure("cross_gain", "cross-gain", GAIN),
    StrategyMeasure("mean_cltm", "mean CLTM", TRANSFER),
    StrategyMeasure("rfd", "RFD", TRANSFER),
    StrategyMeasure("targets_identified", "targets identified", COUNT, digits=0),
    _cost("trainable_parameters", "parameters trained", digits=0),
    _cost("stored_bytes", "MB to store", scale=1e6, digits=2),
    _cost("seconds", "seconds per run", "train_seconds", "test_seconds"),
    _cost(
        "cpu_seconds", "CPU seconds per run", "train_cpu_seconds", "test_cpu_seconds"
    ),
    _cost("gpu_seconds", "GPU seconds per run"),
    _cost("latency_seconds", "ms per utterance", scale=1e-3),
    _cost("peak_bytes", "MB of memory", scale=1e6, digits=0),
    _cost("gpu_peak_bytes", "MB of GPU memory", scale=1e6, digits=0),
)


HIGHER, LOWER, UNCLEAR = "clearly higher", "clearly lower", "not clearly different"
TRANSFER_NUMBERS = {"mean_cltm": "mean_off_diagonal", "rfd": "rfd"}
"""Property of the matrix by measure."""


@dataclass(frozen=True)
class Compared:
    """A measure of a strategy; NaN where not known.

    Attributes:
        value: Its value.
        difference: Its difference to the first strategy, paired.
        low: Lower limit of the difference's interval.
        high: Upper limit.
    """

    value: float = math.nan
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @property
    def verdict(self) -> str:
        """What the interval of the difference tells."""
        if self.low > 0:
            return HIGHER
        return LOWER if self.high < 0 else UNCLEAR


@dataclass(frozen=True)
class StrategyComparison:
    """All strategies of a task.

    Attributes:
        task: Name of the task.
        strategies: Their names, the first one what the others are compared with.
        numbers: By measure's name, of each strategy.
    """

    task: str
    strategies: tuple[str, ...]
    numbers: Mapping[str, tuple[Compared, ...]]

    @property
    def known(self) -> list[StrategyMeasure]:
        """The measures that are known of some strategy."""
        return [
            measure
            for measure in MEASURES
            if any(math.isfinite(one.value) for one in self.numbers[measure.name])
        ]


def compare_strategies(
    analyses: Mapping[str, Analysis],
    costs: Mapping[str, pd.DataFrame],
    settings: IntervalSettings,
) -> StrategyComparison:
    """Compare strategies.

    Args:
        analyses: Analyses of one metric by strategy, with scores by seed.
        costs: What :func:`read_strategy_costs` found.
        settings: How intervals are made.
    """
    names = tuple(analyses)
    first = analyses[names[0]]
    found = [
        _scores_compared(analysis, first, settings)
        | _costs_compared(
            costs.get(name), costs.get(names[0]), name == names[0], settings.confidence
        )
        for name, analysis in analyses.items()
    ]
    numbers = {m.name: tuple(one[m.name] for one in found) for m in MEASURES}
    return StrategyComparison(first.scores.source.task, names, numbers)


def _scores_compared(
    analysis: Analysis, first: Analysis, settings: IntervalSettings
) -> dict[str, Compared]:
    scores, base = analysis.scores, first.scores
    assert isinstance(scores, SeedScores) and isinstance(base, SeedScores)
    values = {name: _mean(values) for name, values in _by_seed(scores).items()}
    values |= {
        name: _property(number, analysis.matrix.cltm)
        for name, number in TRANSFER_NUMBERS.items()
    }
    values["targets_identified"] = float(analysis.matrix.target_identified.sum())
    if analysis is first:
        return {name: Compared(value) for name, value in values.items()}
    languages = [code for code in scores.languages if code in base.languages]
    seeds = [seed for seed in scores.seeds if seed in base.seeds]
    both = [_restricted(one, languages, seeds) for one in (scores, base)]
    ours, theirs = map(_by_seed, both)
    differences = {
        name: _student(ours[name] - theirs[name], settings.confidence) for name in ours
    }
    matrices = [
        LabelledMatrix(one.languages, one.languages, one.cltm).square(languages)
        for one in (analysis.matrix, first.matrix)
    ]
    differences |= _transfer_differences(both, matrices, settings)
    n_more = values["targets_identified"] - first.matrix.target_identified.sum()
    differences["targets_identified"] = (float(n_more), math.nan, math.nan)
    return {name: Compared(value, *differences[name]) for name, value in values.items()}


def _by_seed(scores: SeedScores) -> dict[str, np.ndarray]:
    """Return Perf and gains of all cells by seed: (cells, seeds)."""
    n, s = len(scores.languages), len(scores.seeds)
    elsewhere = scores.zero_shot.copy()
    for row, code in enumerate(scores.languages):
        elsewhere[row, scores.test_languages.index(code)] = np.nan
    cross_gain = scores.pair - scores.single[:, None]
    return {
        "perf_single": scores.single,
        "perf_double": scores.double,
        "perf_pair": scores.pair.reshape(n * n, s),
        "perf_zero_shot": elsewhere.reshape(elsewhere.shape[0] * elsewhere.shape[1], s),
        "self_gain": scores.double - scores.single,
        "cross_gain": cross_gain.reshape(n * n, s),
    }


def _mean(values: np.ndarray) -> float:
    means = mean_over_seeds(values)
    means = means[np.isfinite(means)]
    return float(means.mean()) if len(means) else math.nan


def _student(differences: np.ndarray, level: float) -> tuple[float, float, float]:
    """Average (cells, seeds) differences of cells with all seeds, with an interval."""
    whole = differences[np.isfinite(differences).all(axis=1)]
    return mean_with_interval(whole.mean(axis=0) if len(whole) else whole, level)


def _restricted(
    scores: SeedScores, languages: Sequence[str], seeds: Sequence[int]
) -> SeedScores:
    """Return the scores of some languages and seeds alone."""
    rows = [scores.languages.index(code) for code in languages]
    tested = [scores.test_languages.index(code) for code in languages]
    at = [scores.seeds.index(seed) for seed in seeds]
    return replace(
        scores,
        languages=tuple(languages),
        test_languages=tuple(languages),
        seeds=tuple(seeds),
        zero_shot=scores.zero_shot[np.ix_(rows, tested, at)],
        double=scores.double[np.ix_(rows, at)],
        pair=scores.pair[np.ix_(rows, rows, at)],
        cross_language=None,
        held_out=None,
    )


def _property(name: str, matrix: np.ndarray) -> float:
    layout = layout_of(matrix, np.zeros(matrix.shape, dtype=bool))
    if not layout.off_diagonal.any():
        return math.nan
    return float(PROPERTIES[name].compute(batch_of(matrix, layout))[0])


def _transfer_differences(
    scores: Sequence[SeedScores],
    matrices: Sequence[np.ndarray],
    settings: IntervalSettings,
) -> dict[str, tuple[float, float, float]]:
    """Return mean CLTM and RFD of one matrix less those of another.

    Scores are of the same languages and seeds; matrices are NaN where not identified.
    """
    there = np.isfinite(matrices[0]) & np.isfinite(matrices[1])
    layout = MatrixLayout(there, np.zeros_like(there))
    n_seeds = len(scores[0].seeds)
    if not layout.off_diagonal.any() or not n_seeds:
        return {name: (math.nan, math.nan, math.nan) for name in TRANSFER_NUMBERS}
    weights = draw_weights(n_seeds, settings.resamples, settings.bootstrap_seed)
    ours, theirs = (
        _noisy_numbers(of_seeds, np.where(there, matrix, np.nan), layout, weights)
        for of_seeds, matrix in zip(scores, matrices, strict=True)
    )
    tail = (1 - settings.confidence) / 2
    found = {}
    for name in TRANSFER_NUMBERS:
        value, centre, drawn = (
            one - other for one, other in zip(ours[name], theirs[name], strict=True)
        )
        drawn = drawn[np.isfinite(drawn)]
        low = high = math.nan
        if len(drawn) and n_seeds >= FEWEST_SEEDS:
            shift = centre - np.median(drawn)
            low, high = shift + np.quantile(drawn, [tail, 1 - tail])
        found[name] = (float(value), float(low), float(high))
    return found


def _noisy_numbers(
    scores: SeedScores, matrix: np.ndarray, layout: MatrixLayout, weights: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return mean CLTM and RFD of a matrix, of its quiet form, and of all resamples."""
    noise = seed_noise(scores)
    quiet = quiet_matrix(noise, matrix, layout)
    at_once = max(CELLS_AT_ONCE // matrix.size, 1)
    batches = [
        disturbed(noise, quiet, layout, weights[start : start + at_once])
        for start in range(0, len(weights), at_once)
    ]
    found = {}
    for name, number in TRANSFER_NUMBERS.items():
        compute = PROPERTIES[number].compute
        plain, calm = (compute(batch_of(one, layout))[0] for one in (matrix, quiet))
        found[name] = plain, calm, np.concatenate([compute(one) for one in batches])
    return found


# Costs ------------------------------------------------------------------------------


def read_strategy_costs(
    results: Path, source: ResultsSource
) -> dict[str, pd.DataFrame]:
    """Read what the runs of each strategy cost, shared ones included.

    Args:
        results: ``results.tsv``; ``costs.tsv`` lies beside it.
        source: Task, N and steps of the matrix.

    Returns:
        By strategy, the costs by kind, languages and seed; nothing where there is no
        file.

    Raises:
        UserError: A file is damaged.
    """
    path = results.with_name(COSTS)
    if not path.exists():
        return {}
    table = read_text_table(path, "run stage 5 again")
    require_columns(table, ("run",), "run stage 5 again")
    numbers = {  # files of earlier versions lack some
        name: to_number(table, name, empty_is_nan=True)
        if name in table.rows
        else math.nan
        for name in COST_COLUMNS
    }
    by_run = pd.DataFrame({"run": table.rows["run"], **numbers})
    runs = _run_strategies(results, source)
    merged = runs.merge(by_run, on="run", how="inner")
    return {
        str(name): of.set_index(_PER_RUN) for name, of in merged.groupby("strategy")
    }


def _run_strategies(path: Path, source: ResultsSource) -> pd.DataFrame:
    """Read whose runs the runs of a matrix are: a line a run and strategy."""
    rows = read_results(path).rows
    is_of = (rows["task"] == source.task) & (rows["steps"] == source.steps)
    is_of &= (rows["budget"] == str(source.budget)) & rows["kind"].isin(KINDS)
    columns = ["run", *_PER_RUN, STRATEGY]
    return rows.loc[is_of, columns].drop_duplicates(["run", STRATEGY])


def _costs_compared(
    ours: pd.DataFrame | None, theirs: pd.DataFrame | None, is_first: bool, level: float
) -> dict[str, Compared]:
    found = {}
    for measure in MEASURES:
        if measure.kind != COST:
            continue
        compared = Compared()
        if ours is not None:
            each = ours[[*measure.parts]].sum(axis=1, skipna=False)
            compared = Compared(float(each.mean()))
            if theirs is not None and not is_first:
                other = theirs[[*measure.parts]].sum(axis=1, skipna=False)
                pairs = (each - other).dropna().unstack("seed")
                compared = Compared(
                    compared.value, *_student(pairs.to_numpy(float), level)
                )
        found[measure.name] = compared
    return found


# Files and words --------------------------------------------------------------------


def write_strategies(path: Path, comparison: StrategyComparison) -> None:
    """Write ``strategies.tsv``."""
    suffixes = ("", "_difference", "_low", "_high")
    columns = [f"{m.name}{suffix}" for m in MEASURES for suffix in suffixes]
    rows = [["task", "strategy", *columns]]
    for number, strategy in enumerate(comparison.strategies):
        fields = [comparison.task, strategy]
        for measure in MEASURES:
            one = comparison.numbers[measure.name][number]
            values = (one.value, one.difference, one.low, one.high)
            fields += map(number_text, values)
        rows.append(fields)
    write_rows(path, rows)


def strategy_sentences(comparison: StrategyComparison) -> list[str]:
    """Say which strategies reach more or less than the first, and which is cheap."""
    names, numbers = comparison.strategies, comparison.numbers
    lines = []
    for title, measure in (("single", "perf_single"), ("pair", "perf_pair")):
        of = numbers[measure]
        verdicts: dict[str, list[str]] = {HIGHER: [], LOWER: [], UNCLEAR: []}
        for name, one in zip(names[1:], of[1:], strict=True):
            if math.isfinite(one.difference):
                verdicts[one.verdict].append(name)
        parts = [f"{x} with {', '.join(some)}" for x, some in verdicts.items() if some]
        if parts:
            lines.append(
                f"Beside {names[0]}, Perf of {title} runs is {'; '.join(parts)}."
            )
    lines += [
        f"{name} has a clearly higher mean CLTM than {names[0]}, and a clearly lower "
        "self-gain: its cells are high for learning less from the target's own data."
        for name, transfer, gain in zip(
            names, numbers["mean_cltm"], numbers["self_gain"], strict=True
        )
        if transfer.low > 0 and gain.high < 0
    ]
    return lines
