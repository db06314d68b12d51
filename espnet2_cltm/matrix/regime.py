"""The dynamic regime: the N at which twice the data helps most languages.

Perf(N) of a language comes from its single runs of budget N, and from its double runs
of budget N/2, which are the same training; tested on the language itself. So an
experiment for learning curves has a curve of many N, one for a matrix a curve of two,
N and 2N. Three indices of the gain from N to 2N:

    d = Perf(2N) - Perf(N)
    relative gain   d / (tau Perf(N))
    noise           d / (z SE_d)
    slope           (d / ln 2) / epsilon
    CI_min = the smallest of the three; 0 where d <= 0

(arXiv:2603.08231, section on the dynamic regime.) An index of 1 is just enough: a
gain of tau of the score, of z standard errors, of epsilon for every factor e in N.
SE_d is the standard error of the mean of d over seeds, which are paired: a seed's
smaller training set is in its larger one.

An N of the grid is in the regime where the median over languages of CI_min reaches the
threshold. The medians, interpolated linearly over log N and smoothed by a Gaussian,
give the curve that is drawn, and the suggestion: of the N in the regime, the one where
the curve is highest.

Settings and steps are those of the paper and the authors' repository, where the N
nearest to the highest point of the curve is taken. Two things differ. There an N is
suggested even where none reaches the threshold; here it is not. There an N is dropped
whose median lies beyond Q3 + 1.5 IQR of all medians; here only from a grid with at
least :data:`FEWEST_FOR_OUTLIERS` N that have their double, because quartiles of a few
numbers would drop the best N.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.framework import is_framework
from espnet2_cltm.matrix.results import Choice, scores_from_results
from espnet2_cltm.matrix.results_table import (
    choose_task,
    is_results,
    read_results,
    strategies_in,
)
from espnet2_cltm.matrix.scores import ResultsSource, SeedScores, mean_over_seeds
from espnet2_cltm.matrix.text_table import (
    TextTable,
    first_line,
    require_choices,
    shorten,
    to_budget,
)
from espnet2_cltm.results_format import RESULT_COLUMNS, RUN_KINDS

SAME = 1e-9  # a double and a single of twice its N, trained on two kinds of machine


@dataclass(frozen=True)
class LearningCurves:
    """Perf of every language at every N, seed by seed.

    Attributes:
        source: Origin of the scores; its budget is None.
        languages: The n languages, sorted.
        sizes: The k values of N, ascending.
        seeds: The s seeds, ascending.
        perf: (n, k, s).
    """

    source: ResultsSource
    languages: tuple[str, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    perf: np.ndarray


def read_curves(
    path: Path | str,
    task: str | None = None,
    metric: str | None = None,
    strategy: str | None = None,
) -> LearningCurves:
    """Read the learning curves of one task.

    Args:
        path: ``results.tsv``.
        task: Name of the task, or None where there is only one.
        metric: Name of the metric, or None for the task's first.
        strategy: Name of the strategy, or None for the first there is.

    Raises:
        UserError: The file can't be read as results, lacks what is asked for, or has
            no N together with its double.
    """
    table = _own_results(read_results(path))
    task = choose_task(table, task)
    table = table.where(table.rows["task"] == task)
    strategy = strategy or strategies_in(table)[0]
    budgets = to_budget(table)
    if (budgets < 1).any():
        line = first_line(budgets < 1)
        raise UserError(
            f"{table.path}, line {line}: budget is {budgets[line]}; N is 1 or more."
        )
    if len(set(map(type, budgets))) > 1:
        raise UserError(
            f"{table.path} has N of utterances and of seconds (such as 120s): give a "
            "file with one of them."
        )
    scores = {
        budget: scores_from_results(
            table.where(budgets == budget),
            Choice(task, metric, budget, strategy=strategy),
        )
        for budget in sorted(budgets.unique())
    }
    curves = _arrange(scores)
    _require_doubles(table, curves)
    return curves


def _own_results(table: TextTable) -> TextTable:
    """Keep single and double runs, tested on their own language."""
    if is_framework(table):
        raise UserError(
            f"{table.path} is a table of the published framework, which does not tell "
            "N: give results.tsv of an experiment made with --regime_budgets, or of "
            "one for a matrix."
        )
    if not is_results(table):
        raise UserError(
            f"{table.path} has an unknown header ({shorten(table.rows.columns)}); "
            f"expected are tab-separated {' '.join(RESULT_COLUMNS)}."
        )
    require_choices(table, "kind", RUN_KINDS)
    rows = table.rows
    own = ~rows["kind"].isin(["pair", "pool"]) & (
        rows["languages"] == rows["test_language"]
    )
    if not own.any():
        raise UserError(
            f"{table.path} has no single or double run that is tested on the language "
            "it was trained on: a learning curve is made of those; run stages 4 and 5 "
            "to their end first."
        )
    return table.where(own)


def _arrange(scores: dict[int, SeedScores]) -> LearningCurves:
    """Put the scores of all budgets into one array."""
    languages = sorted({lang for of_n in scores.values() for lang in of_n.languages})
    seeds = sorted({seed for of_n in scores.values() for seed in of_n.seeds})
    sizes = sorted({size for n in scores for size in (n, 2 * n)})
    perf = np.full((len(languages), len(sizes), len(seeds)), np.nan)
    differing = []
    # Singles last: where both there are, the run that is named after its N counts.
    for kind in ("double", "single"):
        for n, of_n in scores.items():
            column = sizes.index(2 * n if kind == "double" else n)
            rows = [languages.index(lang) for lang in of_n.languages]
            slots = [seeds.index(seed) for seed in of_n.seeds]
            block = np.ix_(rows, [column], slots)
            values = getattr(of_n, kind)[:, None]
            before = perf[block]
            if (np.abs(values - before) > SAME).any():
                differing.append(n)
            perf[block] = np.where(np.isfinite(values), values, before)
    filled = np.isfinite(perf).any(axis=(0, 2))
    first = next(iter(scores.values())).source
    notes = [
        f"N = {n}: {note}" for n, of_n in scores.items() for note in of_n.source.notes
    ]
    if differing:
        notes.append(
            f"Single runs of N = {shorten(differing)} and double runs of half of it "
            "differ, though they are the same training; the single runs are taken."
        )
    source = ResultsSource(
        file=first.file,
        sha256=first.sha256,
        task=first.task,
        metric=first.metric,
        in_seconds=first.in_seconds,
        notes=tuple(notes),
    )
    return LearningCurves(
        source,
        tuple(languages),
        tuple(int(size) for size in np.array(sizes)[filled]),
        tuple(seeds),
        perf[:, filled],
    )


def _require_doubles(table: TextTable, curves: LearningCurves) -> None:
    """Refuse curves of which no gain from N to 2N can be computed."""
    sizes = curves.sizes
    pairs = [(n, 2 * n) for n in sizes if 2 * n in sizes]
    there = {size: np.isfinite(curves.perf[:, k]) for k, size in enumerate(sizes)}
    if any((there[n] & there[double]).any() for n, double in pairs):
        return
    what = f"of {curves.source.task} in {curves.source.metric}"
    if len(sizes) == 1:
        raise UserError(
            f"{table.path} has results {what} for N = {sizes[0]} only: the gain from N "
            "to 2N needs two; run with --regime_budgets "
            f"'{sizes[0]} {2 * sizes[0]} {4 * sizes[0]}'."
        )
    if not sizes:
        raise UserError(
            f"{table.path} has no value {what}, all are undefined (nan): look at the "
            "predictions of its runs."
        )
    raise UserError(
        f"{table.path} has results {what} for N = {shorten(sizes)}, but no language "
        "has N and 2N with the same seed: the gain from N to 2N needs both; add the "
        "doubles to --regime_budgets, or run stages 4 and 5 to their end."
    )


INDICES = ("relative_gain", "noise", "slope")


@dataclass(frozen=True)
class RegimeSettings:
    """What a gain must reach, and how a regime is found.

    Attributes:
        tau: Gain as a share of Perf(N).
        z: Gain in standard errors.
        epsilon: Gain for every factor e in N.
        threshold: Median of CI_min from which on an N is in the regime.
        smoothing: Standard deviation of the Gaussian in points of the curve, which
            has 200 from the smallest N to the largest; 0 for none.
        drop_outliers: Whether an N that stands out is dropped.
    """

    tau: float = 0.05
    z: float = 1.3
    epsilon: float = 0.05
    threshold: float = 1.0
    smoothing: float = 5.0
    drop_outliers: bool = True


@dataclass(frozen=True)
class GainIndices:
    """The gain from N to 2N of every language, and its indices.

    All arrays are (n, m), languages by N; NaN where not available.

    Attributes:
        budgets: The m values of N whose double was measured too, ascending.
        n_seeds: Number of seeds with both.
        perf: Mean Perf(N) over those seeds.
        gain: Mean d.
        gain_se: Its standard error; NaN with one seed.
        relative_gain: First index.
        noise: Second index; NaN with one seed, infinite where all seeds gain the
            same.
        slope: Third index.
        ci_min: The smallest index that is available.
    """

    budgets: tuple[int, ...]
    n_seeds: np.ndarray
    perf: np.ndarray
    gain: np.ndarray
    gain_se: np.ndarray
    relative_gain: np.ndarray
    noise: np.ndarray
    slope: np.ndarray
    ci_min: np.ndarray


def gain_indices(curves: LearningCurves, settings: RegimeSettings) -> GainIndices:
    """Compute all gains and indices."""
    at = {n: k for k, n in enumerate(curves.sizes)}
    doubled = [n for n in curves.sizes if 2 * n in at]
    smaller = curves.perf[:, [at[n] for n in doubled]]
    difference = curves.perf[:, [at[2 * n] for n in doubled]] - smaller
    kept = np.isfinite(difference).any(axis=(0, 2))
    budgets = tuple(n for n, keep in zip(doubled, kept, strict=True) if keep)
    smaller, difference = smaller[:, kept], difference[:, kept]
    n_seeds = np.isfinite(difference).sum(axis=-1)
    perf = mean_over_seeds(np.where(np.isfinite(difference), smaller, np.nan))
    gain = mean_over_seeds(difference)
    gain_se = standard_error(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        indices = {
            "relative_gain": gain / (settings.tau * perf),
            "noise": gain / (settings.z * gain_se),
            "slope": (gain / np.log(2)) / settings.epsilon,
        }
    # Of a score of 0 or less (1 - WER may be) any gain is large.
    indices["relative_gain"] = np.where(
        (perf <= 0) & (gain > 0), np.inf, indices["relative_gain"]
    )
    # 0/0: no gain is none, however small its error or its score.
    for name, unknown in (
        ("relative_gain", np.isnan(perf)),
        ("noise", np.isnan(gain_se)),
    ):
        indices[name] = np.where((gain == 0) & ~unknown, 0.0, indices[name])
    stacked = np.stack([indices[name] for name in INDICES])
    ci_min = np.where(np.isnan(stacked), np.inf, stacked).min(axis=0)
    ci_min = np.where(gain <= 0, 0.0, ci_min)
    ci_min[n_seeds == 0] = np.nan
    return GainIndices(
        budgets=budgets,
        n_seeds=n_seeds,
        perf=perf,
        gain=gain,
        gain_se=gain_se,
        ci_min=ci_min,
        **indices,
    )


def standard_error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the last axis, without NaN; NaN below two."""
    there = np.isfinite(values)
    count = there.sum(axis=-1)
    deviations = np.where(there, values - mean_over_seeds(values)[..., None], 0.0)
    # Equal seeds have a mean that is off by rounding, which is not an error.
    deviations[np.abs(deviations) < 1e-12] = 0.0
    variance = (deviations**2).sum(axis=-1) / np.maximum(count - 1, 1)
    return np.where(count > 1, np.sqrt(variance / np.maximum(count, 1)), np.nan)


CURVE_POINTS = 200
OUTLIER_FACTOR = 1.5  # interquartile ranges
FEWEST_FOR_OUTLIERS = 8
NO_SMOOTHING = 1e-3  # points: a narrower Gaussian changes nothing, and underflows
NO_GAIN = "no_gain"


@dataclass(frozen=True)
class Regime:
    """Which N are in the dynamic regime.

    Arrays over N are (m,), in the order of ``indices.budgets``.

    Attributes:
        settings: Settings of the search.
        indices: Gains and indices of every language.
        median: Median of CI_min over the languages that were measured.
        n_languages: Number of those.
        n_reaching: Number of them that reach the threshold.
        is_outlier: Whether N is dropped from curve, regime and suggestion.
        is_in_regime: Whether the median reaches the threshold.
        curve_n: (p,) N of the smoothed curve, ascending; one point where there is one
            N, else 200.
        curve: (p,) the smoothed curve.
        spans: First and last N of every stretch where the curve reaches the
            threshold.
        suggested: The N to take; None where no N is in the regime.
        best: The N with the highest median, which may be too low.
    """

    settings: RegimeSettings
    indices: GainIndices
    median: np.ndarray
    n_languages: np.ndarray
    n_reaching: np.ndarray
    is_outlier: np.ndarray
    is_in_regime: np.ndarray
    curve_n: np.ndarray
    curve: np.ndarray
    spans: tuple[tuple[float, float], ...]
    suggested: int | None
    best: int


def find_regime(curves: LearningCurves, settings: RegimeSettings) -> Regime:
    """Find the dynamic regime of learning curves."""
    indices = gain_indices(curves, settings)
    ci_min = indices.ci_min
    budgets = np.array(indices.budgets)
    median = np.nanmedian(ci_min, axis=0)
    is_outlier = _outliers(median) & settings.drop_outliers
    kept = ~is_outlier
    curve_n, curve = smoothed_curve(budgets[kept], median[kept], settings.smoothing)
    is_in_regime = (median >= settings.threshold) & kept
    height = np.interp(np.log(budgets), np.log(curve_n), curve)
    highest = np.where(is_in_regime, height, -np.inf).argmax()
    return Regime(
        settings=settings,
        indices=indices,
        median=median,
        n_languages=np.isfinite(ci_min).sum(axis=0),
        n_reaching=(ci_min >= settings.threshold).sum(axis=0),
        is_outlier=is_outlier,
        is_in_regime=is_in_regime,
        curve_n=curve_n,
        curve=curve,
        spans=_spans(curve_n, curve >= settings.threshold),
        suggested=int(budgets[highest]) if is_in_regime.any() else None,
        best=int(budgets[np.where(kept, median, -np.inf).argmax()]),
    )


def smoothed_curve(
    budgets: np.ndarray, median: np.ndarray, smoothing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate over log N and smooth.

    Args:
        budgets: (m,) N, ascending.
        median: (m,) values.
        smoothing: Standard deviation in points of the curve.

    Returns:
        N and values of 200 points; the one point there is where there is one.
    """
    if len(budgets) == 1:
        return budgets.astype(float), median.astype(float)
    log_n = np.log(budgets)
    at = np.linspace(log_n[0], log_n[-1], CURVE_POINTS)
    values = np.interp(at, log_n, median)
    if smoothing > NO_SMOOTHING:
        values = gaussian_filter1d(values, smoothing)
    curve_n = np.exp(at)
    curve_n[[0, -1]] = budgets[[0, -1]]  # exp(log) is off in the last bit
    return curve_n, values


def limiting_index(indices: GainIndices, threshold: float) -> np.ndarray:
    """Name what keeps a language's CI_min below the threshold.

    Returns:
        (n, m) text: one of :data:`INDICES`, ``no_gain``, or empty where the threshold
        is reached or nothing was measured.
    """
    values = np.stack([getattr(indices, name) for name in INDICES])
    smallest = np.where(np.isnan(values), np.inf, values).argmin(axis=0)
    names = np.array(INDICES, dtype=object)[smallest]
    names = np.where(indices.gain <= 0, NO_GAIN, names)
    return np.where(indices.ci_min < threshold, names, "")


def _outliers(median: np.ndarray) -> np.ndarray:
    """Mark the N whose median lies far above the others'; (m,) bool."""
    if len(median) < FEWEST_FOR_OUTLIERS:
        return np.zeros(len(median), dtype=bool)
    lower, upper = np.quantile(median, [0.25, 0.75])
    return median > upper + OUTLIER_FACTOR * (upper - lower)


def _spans(curve_n: np.ndarray, reaches: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return first and last N of every stretch of points that reach the threshold."""
    edges = np.diff(np.concatenate([[0], reaches.astype(int), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return tuple(
        (float(curve_n[start]), float(curve_n[end]))
        for start, end in zip(starts, ends, strict=True)
    )
