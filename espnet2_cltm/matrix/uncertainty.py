"""How sure every cell is: confidence sets, tests and q-values.

Two intervals of the CLTM: Fieller's set, and a bootstrap over seeds where the file
holds them. Three tests, all of differences and so without the ratio's trouble with
small self-gains, each with q-values over its own family of tests:

    Perf(i+j) - Perf(i)   = 0    the donor adds nothing (CLTM 0); all cells
    Perf(i+i) - Perf(i)   = 0    more of the target's own adds nothing; all targets
    Perf(i+j) - Perf(i+i) = 0    the donor adds as much as the target's own data (CLTM
                                 1); cells of identified targets

Where results without some of the test speakers are there, the noise of the test set is
in all of them (:mod:`espnet2_cltm.matrix.held_out`). Else they rest on the seeds alone,
and say how far other seeds' runs would differ on the same test sets. On the diagonal
the CLTM is 1 by definition and has no interval.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit  # scipy.stats loads slowly

from espnet2_cltm.matrix.estimates import (
    CellMoments,
    TransferMatrix,
    cell_moments,
    cltm_ratio,
    contrast,
    estimate,
)
from espnet2_cltm.matrix.scores import RunScores, SeedScores

LEVEL = 0.95  # of intervals, unless the user asks for another
FALSE_DISCOVERY_RATE = 0.05  # a cell or a test is told where its q is below


def critical_value(level: float, degrees_of_freedom: np.ndarray) -> np.ndarray:
    """Return Student's two-sided critical value; NaN without degrees of freedom."""
    df = np.asarray(degrees_of_freedom, dtype=float)
    value = stdtrit(np.where(df > 0, df, 1.0), (1 + level) / 2)
    return np.where(df > 0, value, np.nan)


def two_sided_p(
    difference: np.ndarray, standard_error: np.ndarray, degrees_of_freedom: np.ndarray
) -> np.ndarray:
    """Test that the expectation of ``difference`` is 0.

    Where runs are equal in every seed there is neither difference nor error: p is 1.
    A difference that is the same in every seed has p 0.

    Args:
        difference: Mean differences.
        standard_error: Their standard errors; NaN where unknown.
        degrees_of_freedom: Degrees of freedom of the standard errors.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(difference / standard_error)
    t = np.where((difference == 0) & (standard_error == 0), 0.0, t)
    df = np.asarray(degrees_of_freedom, dtype=float)
    p = 2 * stdtr(np.where(df > 0, df, 1.0), -t)
    return np.where(df > 0, p, np.nan)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Turn p-values of any shape into q-values over all that are not NaN.

    A q-value below 0.05 marks a set among which at most 5% are expected to be false
    discoveries (Benjamini and Hochberg 1995). scipy's are the same but for the last
    bit, which ``cells.tsv`` would show.
    """
    there = np.isfinite(p)
    values = p[there]
    order = np.argsort(values, kind="stable")
    ranked = values[order] * len(values) / np.arange(1, len(values) + 1)
    ranked = np.minimum.accumulate(ranked[::-1])[::-1]
    q = np.full(p.shape, np.nan)
    of_values = np.empty_like(values)
    of_values[order] = np.minimum(ranked, 1.0)
    q[there] = of_values
    return q


# Weights of single, double and pair. On the diagonal the pair run is the double run,
# so the cross-gain is the self-gain.
CROSS_GAIN = np.array([-1.0, 0.0, 1.0])
SELF_GAIN = np.array([-1.0, 1.0, 0.0])

BOUNDED = "bounded"  # low <= ratio <= high
OUTSIDE = "outside"  # ratio <= low or ratio >= high
HALF_LINE = "half-line"  # one of low and high is infinite
WHOLE_LINE = "whole line"  # nothing can be said; both are infinite


@dataclass(frozen=True)
class RatioSets:
    """Confidence sets of many ratios, arrays of one shape.

    Attributes:
        kind: ``bounded``, ``outside``, ``half-line`` or ``whole line``; empty where
            there is no set.
        low: Lower limit; of ``outside``, where the gap begins.
        high: Upper limit; of ``outside``, where the gap ends.
    """

    kind: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def contains(self, ratio: np.ndarray) -> np.ndarray:
        """Return which sets hold these ratios; those that are not there hold none."""
        inside = (self.low <= ratio) & (ratio <= self.high)
        outside = (ratio <= self.low) | (ratio >= self.high)
        return np.where(self.kind == OUTSIDE, outside, inside) & (self.kind != "")


def fieller_sets(
    numerator: np.ndarray,
    denominator: np.ndarray,
    numerator_variance: np.ndarray,
    denominator_variance: np.ndarray,
    covariance: np.ndarray,
    critical: np.ndarray,
) -> RatioSets:
    """Compute Fieller's confidence set of every ratio; all arguments broadcast.

    A ratio g = x / d is in the set where x - g d does not differ from 0 by Student's t:

        (x - g d)^2 <= t^2 (var(x) - 2 g cov(x, d) + g^2 var(d))

    which is a quadratic in g (Fieller 1954, doi 10.1111/j.2517-6161.1954.tb00159.x).
    Under normal errors it covers exactly, however noisy the denominator; the price is
    that the set is unbounded where the denominator does not differ from 0 at that
    level: everything outside an open interval, a half-line, or the whole line.

    Args:
        numerator: Means x.
        denominator: Means d.
        numerator_variance: Variances of these means x.
        denominator_variance: Variances of d.
        covariance: Covariances of x and d.
        critical: Two-sided critical values t.

    Returns:
        No set where an argument is NaN.
    """
    x, d, t2 = numerator, denominator, np.square(critical)
    # The set is a g^2 - 2 b g + c <= 0.
    a, b, c = np.broadcast_arrays(
        d * d - t2 * denominator_variance,
        x * d - t2 * covariance,
        x * x - t2 * numerator_variance,
    )
    known = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    discriminant = b * b - a * c
    with np.errstate(invalid="ignore", divide="ignore"):
        # Never subtracts two nearly equal numbers: the other root is c / (a root).
        sign = np.where(b < 0, -1.0, 1.0)
        root = b + sign * np.sqrt(np.maximum(discriminant, 0.0))
        first, second = root / a, np.where(root == 0, 0.0, c / root)
        edge = c / (2 * b)
    whole = known & np.where(a < 0, discriminant <= 0, (a == 0) & (b == 0) & (c <= 0))
    kinds = (
        (known & (a > 0), BOUNDED),
        (known & (a < 0) & ~whole, OUTSIDE),
        (known & (a == 0) & (b != 0), HALF_LINE),
        (whole, WHOLE_LINE),
    )
    kind = np.select([where for where, _ in kinds], [name for _, name in kinds], "")
    two_roots = (kind == BOUNDED) | (kind == OUTSIDE)
    low = np.where(two_roots, np.minimum(first, second), np.nan)
    high = np.where(two_roots, np.maximum(first, second), np.nan)
    half = kind == HALF_LINE
    low = np.where(half, np.where(b > 0, edge, -np.inf), low)
    high = np.where(half, np.where(b > 0, np.inf, edge), high)
    low[whole], high[whole] = -np.inf, np.inf
    return RatioSets(kind, low, high)


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made.

    Attributes:
        confidence: Confidence level.
        resamples: Number of the bootstrap's resamples.
        bootstrap_seed: Seed of their draw.
    """

    confidence: float = LEVEL
    resamples: int = 10_000
    bootstrap_seed: int = 0


@dataclass(frozen=True)
class BootstrapLimits:
    """Limits of every cell's interval, (n, n).

    Attributes:
        low: Lower limits, infinite where unbounded, NaN where there is no interval.
        high: Upper limits.
    """

    low: np.ndarray
    high: np.ndarray


def draw_weights(n_seeds: int, resamples: int, seed: int) -> np.ndarray:
    """Draw how often each seed is in each resample.

    Returns:
        (resamples, n_seeds), rows sum to ``n_seeds``.
    """
    generator = np.random.default_rng(seed)
    equal = np.full(n_seeds, 1 / n_seeds)
    return generator.multinomial(n_seeds, equal, size=resamples).astype(float)


def tail_level(level: float, n_seeds: np.ndarray) -> np.ndarray:
    """Return the share of resamples outside of either limit; NaN with one seed.

    With s seeds it is Phi(-t sqrt(s / (s - 1))), t Student's quantile with s - 1
    degrees of freedom.
    """
    n_seeds = np.asarray(n_seeds, dtype=float)
    t = critical_value(level, n_seeds - 1)
    return ndtr(-t * np.sqrt(n_seeds / np.maximum(n_seeds - 1, 1)))


def bootstrap_limits(
    scores: SeedScores, settings: IntervalSettings, shared: np.ndarray | None = None
) -> BootstrapLimits:
    """Compute every off-diagonal cell's interval: seeds are drawn with replacement.

    A resample draws as many seeds as there are, and one draw serves the whole matrix,
    so that runs of one seed stay together. A cell takes of it the seeds that it has, as
    its estimate does.

    The interval is Hesterberg's expanded percentile interval (arXiv:1411.5279): a plain
    percentile interval is too narrow with few seeds, by sqrt((s - 1) / s) and by the
    normal quantile in place of Student's. Its limits are taken at the tail level that
    makes up for both. Where the self-gain of a resample is not positive its ratio means
    nothing: it counts as below and as above every limit, and a limit that such
    resamples reach is infinite.

    Args:
        scores: Scores of every run, seed by seed.
        settings: How intervals are made.
        shared: (n, n, 3, 3), covariance of the runs' means that the test set makes in
            all seeds alike; every resample has normal noise of it. None is 0.

    Returns:
        No interval on the diagonal, with one seed or where a run is missing.
    """
    n = len(scores.languages)
    low, high = np.full((n, n), np.nan), np.full((n, n), np.nan)
    if not scores.seeds:  # the metric is undefined in every run
        return BootstrapLimits(low, high)
    seed = settings.bootstrap_seed
    weights = draw_weights(len(scores.seeds), settings.resamples, seed)
    for target in range(n):  # a row at a time: 54 cells of 10,000 are 4 MiB
        self_gain = scores.double[target] - scores.single[target]
        cross_gain = scores.pair[target] - scores.single[target]
        there = np.isfinite(self_gain) & np.isfinite(cross_gain)
        there[target] = False
        tails = tail_level(settings.confidence, there.sum(axis=-1))
        denominators = _resample(self_gain, there, weights)
        numerators = _resample(cross_gain, there, weights)
        if shared is not None and shared[target].any():
            noise = _gain_noise(shared[target], len(weights), (seed, target))
            noise *= there.sum(axis=-1)[:, None]  # as the gains are sums over seeds
            denominators, numerators = denominators + noise[0], numerators + noise[1]
        for donor in np.flatnonzero(np.isfinite(tails)):
            low[target, donor], high[target, donor] = _limits(
                numerators[donor], denominators[donor], tails[donor]
            )
    return BootstrapLimits(low, high)


def _resample(gain: np.ndarray, there: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum gains (n, s) or (s,) over the seeds there (n, s): (n, resamples).

    Sums, not means: the number of seeds cancels in the ratio of two of them.
    """
    return np.where(there, gain, 0.0) @ weights.T


def _gain_noise(
    shared: np.ndarray, resamples: int, seed: tuple[int, int]
) -> np.ndarray:
    """Draw noise of self-gains and cross-gains: (2, n, resamples) from (n, 3, 3)."""
    gains = np.array([SELF_GAIN, CROSS_GAIN])
    covariance = gains @ shared @ gains.T
    size, directions = np.linalg.eigh(covariance)
    root = directions * np.sqrt(np.maximum(size, 0.0))[:, None, :]
    drawn = np.random.default_rng(seed).standard_normal((len(shared), 2, resamples))
    return np.moveaxis(root @ drawn, 1, 0)


def _limits(
    numerator: np.ndarray, denominator: np.ndarray, tail: float
) -> tuple[float, float]:
    valid = denominator > 0
    ratio = np.divide(numerator, denominator, where=valid, out=np.empty_like(numerator))
    n = len(ratio)
    # As many resamples lie beyond each limit: all that mean nothing, and more.
    beyond = int(tail * n)
    rank = beyond - (n - int(valid.sum()))
    if rank < 0:
        return -np.inf, np.inf
    ratio = ratio[valid]
    ends = (rank, len(ratio) - 1 - rank)
    if ends[0] > ends[1]:
        return -np.inf, np.inf
    ratio.partition(ends)
    return float(ratio[ends[0]]), float(ratio[ends[1]])


@dataclass(frozen=True)
class CellUncertainty:
    """Uncertainty of every cell; arrays are (n, n).

    Attributes:
        settings: How the intervals were made.
        fieller: Fieller's sets of all cells with an estimate, identified or not.
        bootstrap: Bootstrap limits of these; None where the file holds no seeds.
        gain_low: Lower limits of the cross-gains by Student's t, of the self-gains on
            the diagonal, as all about gains.
        gain_high: Upper limits.
        p_gain: Two-sided p-values of the tests that a gain is 0.
        p_one: Those of the tests that the cross-gain equals the self-gain.
        q_gain: q-values (Benjamini-Hochberg) of the gains, see :func:`gain_tests`.
        q_one: q-values over the identified cells, NaN elsewhere.
    """

    settings: IntervalSettings
    fieller: RatioSets
    bootstrap: BootstrapLimits | None
    gain_low: np.ndarray
    gain_high: np.ndarray
    p_gain: np.ndarray
    p_one: np.ndarray
    q_gain: np.ndarray
    q_one: np.ndarray


HELPS, HARMS, UNCLEAR = "helps", "harms", "unclear"


def verdicts(gain: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return what tests of gains against 0 tell: helps, harms or unclear.

    Args:
        gain: Gains of any shape.
        q: Their q-values; where one is NaN, the verdict is an empty text.
    """
    told = q < FALSE_DISCOVERY_RATE
    found = np.where(gain > 0, HELPS, HARMS)
    return np.where(np.isfinite(q), np.where(told, found, UNCLEAR), "").astype(object)


def cell_uncertainty(
    scores: RunScores,
    moments: CellMoments,
    matrix: TransferMatrix,
    settings: IntervalSettings = IntervalSettings(),
) -> CellUncertainty:
    """Compute the uncertainty of every cell of ``matrix``.

    Args:
        scores: Scores that ``moments`` were made of.
        moments: Moments that ``matrix`` was made of.
        matrix: The estimates.
        settings: How intervals are made.
    """
    bootstrap = None
    if isinstance(scores, SeedScores):
        bootstrap = bootstrap_limits(scores, settings, moments.shared)
    gain_low, gain_high = gain_intervals(moments, settings.confidence)
    p_gain, q_gain = gain_tests(moments)
    p_one = two_sided_p(*contrast(moments, CROSS_GAIN - SELF_GAIN))
    np.fill_diagonal(p_one, np.nan)
    identified = matrix.reason == ""
    return CellUncertainty(
        settings=settings,
        fieller=cell_fieller_sets(moments, settings.confidence),
        bootstrap=bootstrap,
        gain_low=gain_low,
        gain_high=gain_high,
        p_gain=p_gain,
        p_one=p_one,
        q_gain=q_gain,
        q_one=benjamini_hochberg(np.where(identified, p_one, np.nan)),
    )


def gain_intervals(
    moments: CellMoments, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, n) limits of the cross-gains, of the self-gains on the diagonal."""
    gain, error, df = contrast(moments, CROSS_GAIN)
    reach = critical_value(confidence, df) * error
    return gain - reach, gain + reach


def gain_tests(moments: CellMoments) -> tuple[np.ndarray, np.ndarray]:
    """Test all gains against 0: cross-gains, and self-gains on the diagonal.

    Returns:
        (n, n) two-sided p-values and q-values, those of the cross-gains over all cells
        off the diagonal, those of the self-gains over all targets.
    """
    p = two_sided_p(*contrast(moments, CROSS_GAIN))
    itself = np.eye(len(p), dtype=bool)
    of_cells, of_targets = (
        benjamini_hochberg(np.where(family, p, np.nan)) for family in (~itself, itself)
    )
    return p, np.where(itself, of_targets, of_cells)


def cell_fieller_sets(moments: CellMoments, confidence: float) -> RatioSets:
    """Compute Fieller's set of every off-diagonal cell.

    Where runs are independent the degrees of freedom are those of x - g d at the
    estimate g.
    """
    single, double, pair = np.moveaxis(moments.mean, -1, 0)
    covariance = moments.covariance
    ratio = np.nan_to_num(cltm_ratio(single, double, pair))
    _, _, df = contrast(
        moments, np.stack([ratio - 1, -ratio, np.ones_like(ratio)], axis=-1)
    )
    x, d = CROSS_GAIN, SELF_GAIN
    critical = critical_value(confidence, df)
    critical[np.eye(len(single), dtype=bool)] = np.nan
    return fieller_sets(
        pair - single,
        double - single,
        np.einsum("a,...ab,b", x, covariance, x),
        np.einsum("a,...ab,b", d, covariance, d),
        np.einsum("a,...ab,b", x, covariance, d),
        critical,
    )


@dataclass(frozen=True)
class Analysis:
    """A metric's scores and what follows from them.

    Attributes:
        scores: Scores of every run.
        moments: Means over seeds and their covariance.
        matrix: The estimates.
        uncertainty: Uncertainty of the estimates.
    """

    scores: RunScores
    moments: CellMoments
    matrix: TransferMatrix
    uncertainty: CellUncertainty


def analyse(scores: RunScores, settings: IntervalSettings) -> Analysis:
    """Estimate the matrix of some scores, and how sure it is.

    Args:
        scores: Scores of one task and metric.
        settings: How intervals are made.
    """
    moments = cell_moments(scores)
    matrix = estimate(moments)
    uncertainty = cell_uncertainty(scores, moments, matrix, settings)
    return Analysis(scores, moments, matrix, uncertainty)
