"""Summary numbers and strengths of a matrix, corrected for noise, with intervals.

The resamples of the seeds are those of the cells' intervals; where test speakers are
known, each draws the noise of the test sets, too. Which targets are identified stays
as it is.

Noise spreads the cells of an estimate, and resampling its seeds spreads them once
more. A plain bootstrap interval of a share, an extreme, a norm or a concentration
therefore lies beside the truth, on the far side of a biased estimate. So most
intervals are *noise-corrected*. With Q the number of the quiet matrix
(:func:`~espnet2_cltm.matrix.noise.quiet_matrix`) and D its numbers under the noise
of every resample,

    corrected = Q,    low, high = Q + quantiles of D - median of D

At a level of 95% the quantiles are those that a normal distribution has at Student's
limits for so many seeds, as few seeds tell little of the noise; for a few numbers 2.5
and 97.5% (``NORMAL_TAILS``). The condition number, which depends on the smallest of all
singular values, has the expanded percentile interval of
:mod:`espnet2_cltm.matrix.uncertainty`.

``benchmarks/property_coverage.py`` measures how often they hold the truth; those that
do in less than 90% of some setting say so. Where many cells are exactly 0 or 1, the
intervals of shares, reciprocity and entropy do not hold: noise puts half of those cells
on the wrong side.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata

from espnet2_cltm.files import finite
from espnet2_cltm.matrix.layout import MatrixBatch, MatrixLayout, batch_of, layout_of
from espnet2_cltm.matrix.noise import (
    SeedNoise,
    departures_by_test_set,
    disturbed,
    quiet_matrix,
    resampled,
    seed_noise,
)
from espnet2_cltm.matrix.properties import PROPERTIES, STRENGTHS, why_not_available
from espnet2_cltm.matrix.scores import SeedScores
from espnet2_cltm.matrix.uncertainty import (
    IntervalSettings,
    critical_value,
    draw_weights,
    tail_level,
)

NOISE_CORRECTED, PERCENTILE = "noise_corrected", "percentile"
BY_PERCENTILE = frozenset({"condition_number"})
# The others average over so many targets, or have such long tails, that the normal
# quantiles hold the truth as often.
NORMAL_TAILS = frozenset(
    {"mean_off_diagonal", "rfd", "minimum", "maximum", "family_share", "outgoing_mean"}
)
# Eigenvalues of 10,000 matrices of 54 languages take 5 s.
COSTLY = frozenset({"spectral_radius", "condition_number"})
MOST_COSTLY = 2_000  # resamples of these
# More languages have fewer resamples, as eigenvalues take n^3 steps, down to this many
# (costly numbers to a quarter), which tell limits to a twentieth of the deviation.
LARGE, FEWEST = 100, 2_000
# Lowest share of simulated matrices (9 and 20 languages, 5 and 10 seeds, both tasks,
# independent and additive cells, test sets without noise and with much) in which a 95%
# interval held the truth, where it is below 90%: over identified targets, and over all.
IDENTIFIED_COVER_LESS: Mapping[str, float] = MappingProxyType(
    {
        "share_positive": 0.82,
        "share_negative": 0.82,
        "reciprocity": 0.83,
        "mean_column_entropy": 0.85,
        "mean_row_gini": 0.68,
        "mean_column_gini": 0.70,
    }
)
ALL_COVER_LESS: Mapping[str, float] = MappingProxyType(
    {
        "relative_asymmetry": 0.57,
        "components_for_80_percent": 0.72,
        "mean_row_gini": 0.88,
    }
)
FEWEST_SEEDS = 3  # the spread of two is one number, and tells too little
CELLS_AT_ONCE = 300_000  # in memory, 2.3 MiB an array: 100 matrices of 54 languages


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        value: Number of the estimated matrix; None where not available.
        corrected: Number of the quiet matrix; None without seeds, or where the method
            corrects nothing.
        low: Lower limit; None where there is no interval.
        high: Upper limit.
        method: ``noise_corrected`` or ``percentile``; empty without interval.
        resamples: Number of resamples that the interval rests on.
        note: Why there is no value or no interval; empty where there are both.
        coverage_note: Warning where the interval was found to hold the truth too
            rarely.
    """

    value: float | None
    corrected: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    resamples: int = 0
    note: str = ""
    coverage_note: str = ""


@dataclass(frozen=True)
class RankedStrength(Interval):
    """A language's strength and its rank among all, 1 for the strongest.

    Attributes:
        rank: Rank in the estimated matrix; equal ones share the mean of their ranks.
            None where there is no strength.
        rank_low: Lower limit of the rank's interval, None without one.
        rank_high: Upper limit.
    """

    rank: float | None = None
    rank_low: float | None = None
    rank_high: float | None = None


@dataclass(frozen=True)
class MatrixNumbers:
    """All numbers of a matrix.

    Attributes:
        layout: Cells that the numbers rest on.
        properties: Properties by name of
            :data:`~espnet2_cltm.matrix.properties.PROPERTIES`.
        strengths: One a language, by name of
            :data:`~espnet2_cltm.matrix.properties.STRENGTHS`.
    """

    layout: MatrixLayout
    properties: Mapping[str, Interval]
    strengths: Mapping[str, tuple[RankedStrength, ...]]


def matrix_numbers(matrix: np.ndarray, family_pairs: np.ndarray) -> MatrixNumbers:
    """Compute the numbers alone, where the file holds no seeds.

    Args:
        matrix: (n, n), estimates, NaN where not available.
        family_pairs: (n, n) bool.
    """
    layout = layout_of(matrix, family_pairs)
    return _numbers(matrix, layout, "no seeds: the file holds means and variances")


def matrix_numbers_with_intervals(
    scores: SeedScores,
    matrix: np.ndarray,
    family_pairs: np.ndarray,
    settings: IntervalSettings,
    cover_less: Mapping[str, float] = IDENTIFIED_COVER_LESS,
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> MatrixNumbers:
    """Compute the numbers and their intervals.

    Args:
        scores: Scores that ``matrix`` was made of.
        matrix: (n, n), estimates, NaN where not available or to be left out.
        family_pairs: (n, n) bool.
        settings: How the intervals are made.
        cover_less: Measured coverage of the properties whose intervals cover too
            little, for their notes.
        track: Function that wraps the batches of resamples, to show progress.
    """
    layout = layout_of(matrix, family_pairs)
    noise = seed_noise(scores)
    counts = noise.n_seeds[layout.off_diagonal]
    n_seeds = int(np.median(counts)) if len(counts) else 0
    plain = _numbers(matrix, layout, f"needs {FEWEST_SEEDS} seeds")
    if n_seeds < FEWEST_SEEDS:
        return plain
    quiet = quiet_matrix(noise, matrix, layout)
    level, seed = settings.confidence, settings.bootstrap_seed
    weights = draw_weights(len(scores.seeds), settings.resamples, seed)
    weights = weights[: _of_size(len(matrix), settings.resamples, FEWEST)]
    names = [name for name, one in plain.properties.items() if one.value is not None]
    tests = np.random.default_rng((seed, 1))
    draws = _draw(noise, matrix, quiet, layout, weights, tests, names, track)
    of_quiet = batch_of(quiet, layout)
    properties, strengths = dict(plain.properties), dict(plain.strengths)
    for name in names:
        tail = _tail(name, level, n_seeds)
        one = _property_interval(name, properties[name], of_quiet, draws[name], tail)
        if one.method and name in cover_less:
            note = (
                f"at a level of 95% it held the truth in only {cover_less[name]:.0%} "
                "of the simulated matrices of the worst setting"
            )
            one = replace(one, coverage_note=note)
        properties[name] = one
    for name, compute in STRENGTHS.items():
        tail = _tail(name, level, n_seeds)
        least = 0.0 if name.endswith("_sum") else -np.inf
        strengths[name] = _strength_intervals(
            plain.strengths[name], compute(of_quiet)[0], draws[name], tail, least
        )
    return MatrixNumbers(layout, properties, strengths)


def _of_size(n: int, resamples: int, fewest: int) -> int:
    """Return how many of the resamples a matrix of n languages has."""
    wanted = int(resamples * min((LARGE / n) ** 3, 1.0))
    return min(max(wanted, fewest), resamples)


def _tail(name: str, level: float, n_seeds: int) -> float:
    """Return the share of the draws beyond either limit."""
    if name in BY_PERCENTILE:
        return float(tail_level(level, np.array(n_seeds)))
    if name in NORMAL_TAILS:
        return (1 - level) / 2
    return float(ndtr(-critical_value(level, np.array(n_seeds - 1.0))))


def _numbers(matrix: np.ndarray, layout: MatrixLayout, note: str) -> MatrixNumbers:
    """Compute all numbers without intervals; ``note`` says why there are none."""
    batch = batch_of(matrix, layout)
    properties = {}
    for name, definition in PROPERTIES.items():
        value, reason = None, why_not_available(name, layout)
        if not reason:
            value = finite(definition.compute(batch)[0])
            reason = note if value is not None else "not defined for this matrix"
        properties[name] = Interval(value, note=reason)
    strengths = {}
    for name, compute in STRENGTHS.items():
        values = compute(batch)[0]
        there = np.isfinite(values)
        rank = np.full(len(values), np.nan)
        rank[there] = rankdata(-values[there])
        strengths[name] = tuple(
            RankedStrength(
                finite(value), note=note if is_there else "no cell", rank=finite(place)
            )
            for value, is_there, place in zip(values, there, rank, strict=True)
        )
    return MatrixNumbers(layout, properties, strengths)


def _draw(
    noise: SeedNoise,
    matrix: np.ndarray,
    quiet: np.ndarray,
    layout: MatrixLayout,
    weights: np.ndarray,
    tests: np.random.Generator,
    names: list[str],
    track: Callable[[Sequence[int]], Iterable[int]],
) -> dict[str, np.ndarray]:
    """Return numbers of all resamples: (m,) by property, (m, n) by strength."""
    draws: dict[str, list[np.ndarray]] = {}

    def collect(batch: MatrixBatch, chosen: Iterable[str]) -> None:
        for name in chosen:
            compute = STRENGTHS[name] if name in STRENGTHS else PROPERTIES[name].compute
            draws.setdefault(name, []).append(compute(batch))

    cheap = [*(name for name in names if name not in COSTLY), *STRENGTHS]
    costly = [name for name in names if name in COSTLY - BY_PERCENTILE]
    again = [name for name in names if name in BY_PERCENTILE]
    most_costly = _of_size(len(matrix), MOST_COSTLY, FEWEST // 4)
    at_once = max(CELLS_AT_ONCE // matrix.size, 1)
    by_test_set = departures_by_test_set(noise, quiet)
    by_test_set[~layout.off_diagonal] = 0.0
    n, _, q = by_test_set.shape
    for start in track(range(0, len(weights), at_once)):
        chunk = weights[start : start + at_once]
        values = disturbed(noise, quiet, layout, chunk).values
        change: np.ndarray = np.zeros(1)
        if q:
            drawn = tests.normal(size=(len(chunk), n, q)).transpose(1, 2, 0)
            change = (by_test_set @ drawn).transpose(2, 0, 1)
            values = values + change
        collect(MatrixBatch(layout, values), cheap)
        few = max(most_costly - start, 0)
        if few:
            collect(MatrixBatch(layout, values[:few]), costly)
            values = resampled(noise, matrix, layout, chunk[:few]).values + change[:few]
            collect(MatrixBatch(layout, values), again)
    return {name: np.concatenate(parts) for name, parts in draws.items()}


def _property_interval(
    name: str, plain: Interval, quiet: MatrixBatch, drawn: np.ndarray, tail: float
) -> Interval:
    """Return a property with its interval."""
    definition, percentile = PROPERTIES[name], name in BY_PERCENTILE
    drawn = drawn[np.isfinite(drawn)]
    centre = None if percentile else finite(definition.compute(quiet)[0])
    if not len(drawn) or (centre is None and not percentile):
        return Interval(plain.value, note="not defined for matrices without noise")
    low, high = np.quantile(drawn, [tail, 1 - tail])
    if centre is not None:
        shift = centre - np.median(drawn)
        low, high = low + shift, high + shift
    most = definition.most
    if definition.is_count:
        low, high = np.floor(low), np.ceil(high)
        most = len(quiet.layout.square) - 1  # centred rows span no more
    low, high = np.clip([low, high], definition.least, most)
    method = PERCENTILE if percentile else NOISE_CORRECTED
    return Interval(plain.value, centre, float(low), float(high), method, len(drawn))


def _strength_intervals(
    plain: tuple[RankedStrength, ...],
    quiet: np.ndarray,
    drawn: np.ndarray,
    tail: float,
    least: float,
) -> tuple[RankedStrength, ...]:
    """Centre draws at the quiet matrix's strengths, and rank them in every draw."""
    there = np.array([one.value is not None for one in plain])
    drawn = drawn[:, there]
    centred = quiet[there] + drawn - np.median(drawn, axis=0)
    limits = np.maximum(np.quantile(centred, [tail, 1 - tail], axis=0), least)
    places = np.quantile(rankdata(-centred, axis=1), [tail, 1 - tail], axis=0)
    result = list(plain)
    for at, position in enumerate(np.flatnonzero(there)):
        result[position] = replace(
            plain[position],
            corrected=float(quiet[position]),
            low=float(limits[0, at]),
            high=float(limits[1, at]),
            method=NOISE_CORRECTED,
            resamples=len(drawn),
            note="",
            rank_low=float(np.floor(places[0, at])),
            rank_high=float(np.ceil(places[1, at])),
        )
    return tuple(result)
