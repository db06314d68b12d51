"""The transfer matrix: its cells, their standard errors, what is identified.

The method's definition (arXiv:2603.08231), rows targets i, columns donors j:

    CLTM[i,j] = (Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i))
    M[i,j]    = (Perf(i+j) - Perf(i)) / Perf(i)

Each Perf is a mean over the cell's seeds. A cell needs three runs, always in this order
on the last axis: single(i), double(i) and the pair i+j tested on i. The same seed drew
the same utterances and the same initial weights for all three, so seeds are paired: a
cell uses the seeds that all its runs have, and the covariance of its three means is the
sample covariance over these seeds, divided by their number. On the diagonal the donor
is the target itself, so the pair run is the double run; the diagonal of the CLTM is 1
by definition and has no error, that of M is the relative self-gain.

No run is ever left out for its score. Where the self-gain Perf(i+i) - Perf(i), the
denominator, is not clearly positive, the ratio means nothing: the target is *not
identified*, its estimates stay in the table of cells and out of the matrix.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # Student's quantile; scipy.stats loads slowly

from espnet2_cltm.counting import counted
from espnet2_cltm.matrix.held_out import shared_covariance
from espnet2_cltm.matrix.scores import AggregatedScores, RunScores, SeedScores

SINGLE, DOUBLE, PAIR = range(3)


# One-sided. A stricter level identifies fewer targets, and of weak ones more by luck:
# Fieller's sets of identified cells then cover less (benchmarks/README.md).
IDENTIFICATION_LEVEL = 0.05


@dataclass(frozen=True)
class CellMoments:
    """First and second moments of every cell.

    Attributes:
        languages: The n languages, sorted: rows (targets) and columns (donors).
        n_seeds: (n, n), seeds that the cell rests on; 0 where it has no single or
            no pair run.
        mean: (n, n, 3), mean Perf over these seeds; NaN where there is no such run.
        covariance: (n, n, 3, 3), covariance of these means; NaN with one seed.
        missing: (n, n), why the cell has no CLTM; empty where it has one.
        paired: Whether ``covariance`` is that of paired seeds; else the runs count as
            independent of each other.
        run_df: (n, n, 3), degrees of freedom of each run's variance.
        shared: (n, n, 3, 3), the part of ``covariance`` that the test set makes in all
            seeds alike (:mod:`espnet2_cltm.matrix.held_out`); 0 where not known.
        n_groups: (n, n), groups of test speakers that it rests on; 0 where not known.
    """

    languages: tuple[str, ...]
    n_seeds: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    missing: np.ndarray
    paired: bool
    run_df: np.ndarray
    shared: np.ndarray
    n_groups: np.ndarray


def contrast(
    moments: CellMoments, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate a weighted sum of a cell's three means.

    Args:
        moments: Moments of all cells.
        weights: (3,) or (n, n, 3), weights of single, double and pair.

    Returns:
        (n, n) estimates, their standard errors, and the degrees of freedom of these:
        number of seeds - 1 where seeds are paired and the test set's part of the
        variance is not known, else Welch and Satterthwaite's.
    """
    weights = np.broadcast_to(np.asarray(weights, dtype=float), moments.mean.shape)
    # A weight of 0 leaves a run out, also one that is not there.
    taken = weights != 0
    mean = np.where(taken, moments.mean, 0.0)
    covariance = np.where(
        taken[..., :, None] & taken[..., None, :], moments.covariance, 0.0
    )
    variance = np.einsum("...a,...ab,...b->...", weights, covariance, weights)
    # Rounding can leave -1e-20 where runs are equal in every seed.
    error = np.sqrt(np.maximum(variance, 0.0))
    smallest = np.where(taken, moments.run_df, np.inf).min(axis=-1)
    df = smallest
    if moments.paired and moments.n_groups.any():
        # A cell without double runs has no such covariance.
        of_test = np.einsum("...a,...ab,...b->...", weights, moments.shared, weights)
        of_seeds = np.maximum(variance - of_test, 0.0)
        groups = np.maximum(moments.n_groups - 1, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = of_seeds**2 / np.maximum(smallest, 1) + of_test**2 / groups
            df = np.where(of_test > 0, variance**2 / squares, smallest)
    if not moments.paired:
        terms = weights**2 * np.diagonal(covariance, axis1=-2, axis2=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = (terms**2 / np.maximum(moments.run_df, 1)).sum(axis=-1)
            df = np.where(squares > 0, terms.sum(axis=-1) ** 2 / squares, smallest)
    known = np.isfinite(error) & np.isfinite(smallest)
    return (mean * weights).sum(axis=-1), error, np.where(known, df, 0.0)


def cell_moments(scores: RunScores) -> CellMoments:
    """Compute the moments of every cell.

    A cell without double runs keeps the mean and covariance of the other two, for
    the relative gain.
    """
    if isinstance(scores, SeedScores):
        return _paired_moments(scores)
    return _independent_moments(scores)


def _paired_moments(scores: SeedScores) -> CellMoments:
    runs = _runs_of_cells(scores.single, scores.double, scores.pair)  # (n, n, 3, seeds)
    present = np.isfinite(runs)
    complete = present.all(axis=2)
    without_cltm = ~complete.any(axis=-1)
    missing = np.full(without_cltm.shape, "", dtype=object)
    for target, donor in np.argwhere(without_cltm):
        there = present[target, donor].any(axis=-1)
        missing[target, donor] = (
            _why_absent(scores, target, donor, there)
            or "its single, double and pair runs have no seed in common"
        )
    # Without doubles the other two are enough for the relative gain.
    used = np.where(
        without_cltm[..., None], present[:, :, [SINGLE, PAIR]].all(axis=2), complete
    )
    n_seeds = used.sum(axis=-1)
    runs = np.where(used[:, :, None], runs, 0.0)
    runs[without_cltm, DOUBLE] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = runs.sum(axis=-1) / n_seeds[..., None]
        centred = np.where(used[:, :, None], runs - mean[..., None], 0.0)
        centred[without_cltm, DOUBLE] = np.nan
        products = centred @ np.swapaxes(centred, -1, -2)
        covariance = products / ((n_seeds - 1) * n_seeds)[..., None, None]
    mean[n_seeds == 0] = np.nan
    covariance[n_seeds < 2] = np.nan
    df = np.maximum(n_seeds - 1, 0).astype(float)
    run_df = np.repeat(df[..., None], 3, axis=-1)
    shared, n_groups = _shared_covariance(scores, used)
    return CellMoments(
        *(scores.languages, n_seeds, mean, covariance + shared, missing),
        *(True, run_df, shared, n_groups),
    )


def _shared_covariance(
    scores: SeedScores, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n = len(scores.languages)
    shared, n_groups = np.zeros((n, n, 3, 3)), np.zeros((n, n), dtype=int)
    if scores.held_out is None:
        return shared, n_groups
    of_all = scores.held_out
    for target in range(n):  # a row at a time, for the memory
        pairs = of_all.pair[target].copy()
        pairs[target] = of_all.double[target]
        alone = (of_all.single[target], of_all.double[target])
        runs = [*(np.broadcast_to(one, pairs.shape) for one in alone), pairs]
        shared[target], n_groups[target] = shared_covariance(
            np.stack(runs, axis=1), used[target]
        )
    return shared, n_groups


def _runs_of_cells(
    single: np.ndarray, double: np.ndarray, pair: np.ndarray
) -> np.ndarray:
    """Return what belongs to each cell's three runs: (n, ...) and (n, n, ...) in,
    (n, n, 3, ...) out; on the diagonal the pair run is the double run.
    """
    of_pairs = pair.copy()
    itself = np.arange(len(pair))
    of_pairs[itself, itself] = double
    alone = [np.broadcast_to(runs[:, None], pair.shape) for runs in (single, double)]
    return np.stack([*alone, of_pairs], axis=2)


def _why_absent(scores: RunScores, target: int, donor: int, present: np.ndarray) -> str:
    """Name the first of single, double and pair that is absent, or say nothing."""
    i, j = scores.languages[target], scores.languages[donor]
    pair = "+".join(sorted((i, j)))
    runs = (
        ("single", i, f"single run of {i}"),
        ("double", i, f"double run of {i}"),
        ("pair", j, f"pair run {pair} tested on {i}"),
    )
    for (kind, of_donor, name), is_there in zip(runs, present, strict=True):
        if is_there:
            continue
        if scores.source.undefined.get((kind, i, of_donor)):
            return f"{scores.source.metric} is undefined for the {name}"
        return f"no {name}"
    return ""


def _independent_moments(scores: AggregatedScores) -> CellMoments:
    """Take covariances between runs as 0: means and variances do not tell them."""
    mean, variance, count = (
        _runs_of_cells(by_kind["single"], by_kind["double"], by_kind["pair"])
        for by_kind in (scores.mean, scores.variance, scores.count)
    )
    present = np.isfinite(mean)
    missing = np.full(mean.shape[:2], "", dtype=object)
    for target, donor in np.ndindex(missing.shape):
        there = present[target, donor]
        missing[target, donor] = _why_absent(scores, target, donor, there)
    covariance = (variance / np.maximum(count, 1))[..., None] * np.eye(3)
    covariance[..., ~np.eye(3, dtype=bool)] = 0.0
    # On the diagonal the pair run is the double run: fully correlated.
    itself = np.arange(len(mean))
    of_double = covariance[itself, itself, DOUBLE, DOUBLE]
    covariance[itself, itself, DOUBLE, PAIR] = of_double
    covariance[itself, itself, PAIR, DOUBLE] = of_double
    usable = present[..., [SINGLE, PAIR]].all(axis=-1)
    mean[~usable] = covariance[~usable] = np.nan
    smallest = np.where(present, count, np.iinfo(int).max).min(axis=-1)
    return CellMoments(
        scores.languages,
        np.where(usable, smallest, 0),
        mean,
        covariance,
        missing,
        False,
        np.where(usable[..., None], np.maximum(count - 1, 0), 0).astype(float),
        np.zeros_like(covariance),
        np.zeros(usable.shape, dtype=int),
    )


@dataclass(frozen=True)
class TransferMatrix:
    """All estimates of one matrix; arrays are (n, n) unless said otherwise.

    Attributes:
        languages: The n languages, sorted: rows (targets) and columns (donors).
        n_seeds: Number of seeds that the cell rests on.
        perf: (n, n, 3), mean Perf of the single, double and pair run.
        perf_se: (n, n, 3), standard errors of these.
        self_gain: Perf(i+i) - Perf(i) over the cell's seeds.
        self_gain_se: Its standard error.
        cross_gain: Perf(i+j) - Perf(i).
        cross_gain_se: Its standard error.
        relative_gain: M; NaN where a run is missing or Perf(i) is not positive.
        relative_gain_se: Its standard error.
        raw_cltm: The ratio wherever it can be computed, identified or not.
        raw_cltm_se: Its standard error; NaN on the diagonal.
        cltm: The matrix: ``raw_cltm`` where identified, else NaN.
        target_identified: (n,) bool.
        target_reason: (n,), why a target is not identified; empty where it is.
        reason: Why a cell of ``cltm`` is NaN; empty where it is not.
    """

    languages: tuple[str, ...]
    n_seeds: np.ndarray
    perf: np.ndarray
    perf_se: np.ndarray
    self_gain: np.ndarray
    self_gain_se: np.ndarray
    cross_gain: np.ndarray
    cross_gain_se: np.ndarray
    relative_gain: np.ndarray
    relative_gain_se: np.ndarray
    raw_cltm: np.ndarray
    raw_cltm_se: np.ndarray
    cltm: np.ndarray
    target_identified: np.ndarray
    target_reason: np.ndarray
    reason: np.ndarray

    @property
    def gains(self) -> np.ndarray:
        """(n, n), the cross-gains, and the self-gains on the diagonal."""
        itself = np.eye(len(self.languages), dtype=bool)
        return np.where(itself, self.self_gain, self.cross_gain)


def estimate(
    moments: CellMoments, level: float = IDENTIFICATION_LEVEL
) -> TransferMatrix:
    """Estimate every cell from its moments.

    Args:
        moments: Means over seeds and their covariance.
        level: One-sided level of the test that a self-gain is positive.
    """
    single, double, pair = np.moveaxis(moments.mean, -1, 0)
    self_gain = double - single
    cross_gain = pair - single
    raw_cltm = cltm_ratio(single, double, pair)
    raw_cltm_se = cltm_standard_error(moments.mean, moments.covariance)
    diagonal = np.eye(len(moments.languages), dtype=bool)
    raw_cltm[diagonal & np.isfinite(self_gain)] = 1.0
    raw_cltm_se[diagonal] = np.nan

    self_gain_se = _difference_se(moments.covariance, DOUBLE, SINGLE)
    identified, target_reason = identify_targets(
        np.diagonal(self_gain),
        np.diagonal(self_gain_se),
        np.diagonal(moments.n_seeds),
        np.diagonal(contrast(moments, np.array([-1.0, 1.0, 0.0]))[2]),
        np.diagonal(moments.missing),
        level,
    )
    reason = _cell_reasons(moments.missing, target_reason, self_gain, moments.n_seeds)
    return TransferMatrix(
        languages=moments.languages,
        n_seeds=moments.n_seeds,
        perf=moments.mean,
        perf_se=np.sqrt(np.diagonal(moments.covariance, axis1=-2, axis2=-1)),
        self_gain=self_gain,
        self_gain_se=self_gain_se,
        cross_gain=cross_gain,
        cross_gain_se=_difference_se(moments.covariance, PAIR, SINGLE),
        relative_gain=relative_gain(single, pair),
        relative_gain_se=relative_gain_standard_error(moments.mean, moments.covariance),
        raw_cltm=raw_cltm,
        raw_cltm_se=raw_cltm_se,
        cltm=np.where(reason == "", raw_cltm, np.nan),
        target_identified=identified,
        target_reason=target_reason,
        reason=reason,
    )


def cltm_ratio(single: np.ndarray, double: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """Normalised transfer; NaN where the self-gain is exactly 0.

    Args:
        single: Perf(i).
        double: Perf(i+i).
        pair: Perf(i+j), tested on i.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        cltm = (pair - single) / (double - single)
    return np.where(np.isfinite(cltm), cltm, np.nan)


def relative_gain(single: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """Relative gain; NaN where Perf(i) is not positive (1 - WER can be negative)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (pair - single) / single
    return np.where(single > 0, gain, np.nan)


def cltm_standard_error(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    r"""Standard error of the CLTM by the delta method, seeds paired.

    With s, d, p the means over seeds of Perf(i), Perf(i+i), Perf(i+j), g = d - s the
    self-gain and r = (p - s) / g the ratio, the gradient of r is

        dr/ds = (r - 1) / g,    dr/dd = -r / g,    dr/dp = 1 / g

    and SE(r)^2 = gradient . C . gradient, where C is the covariance of the three
    means: cov(s, d) = sum_k (s_k - s)(d_k - d) / ((K - 1) K) over the K paired seeds,
    and so on. Written out:

        SE^2 g^2 = (r-1)^2 var(s) + r^2 var(d) + var(p)
                   - 2 r (r-1) cov(s,d) + 2 (r-1) cov(s,p) - 2 r cov(d,p)

    It is a first-order approximation, good where g is several times its own
    standard error.

    Args:
        mean: (..., 3), means of single, double and pair.
        covariance: (..., 3, 3), covariance of these means.

    Returns:
        (...), NaN with one seed or a missing run.
    """
    single, double, pair = np.moveaxis(mean, -1, 0)
    ratio = cltm_ratio(single, double, pair)
    with np.errstate(divide="ignore", invalid="ignore"):
        gradient = np.stack([ratio - 1, -ratio, np.ones_like(ratio)], axis=-1)
        gradient /= (double - single)[..., None]
    return _propagate(gradient, covariance)


def relative_gain_standard_error(
    mean: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Standard error of p/s - 1 by the delta method: gradient (-p/s^2, 1/s).

    Args:
        mean: (..., 3), means of single, double and pair; double is not used.
        covariance: (..., 3, 3), covariance of these means.

    Returns:
        (...), NaN with one seed, a missing run or a Perf(i) that is not positive.
    """
    single, pair = mean[..., SINGLE], mean[..., PAIR]
    with np.errstate(divide="ignore", invalid="ignore"):
        gradient = np.stack([-pair / single**2, 1 / single], axis=-1)
    two = covariance[..., [SINGLE, PAIR], :][..., [SINGLE, PAIR]]
    return np.where(single > 0, _propagate(gradient, two), np.nan)


def _propagate(gradient: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        variance = np.einsum("...a,...ab,...b->...", gradient, covariance, gradient)
    # Rounding can leave -1e-20 where runs are equal in every seed.
    return np.sqrt(np.maximum(variance, 0.0))


def _difference_se(covariance: np.ndarray, plus: int, minus: int) -> np.ndarray:
    variance = (
        covariance[..., plus, plus]
        + covariance[..., minus, minus]
        - 2 * covariance[..., plus, minus]
    )
    return np.sqrt(np.maximum(variance, 0.0))


def identify_targets(
    self_gain: np.ndarray,
    standard_error: np.ndarray,
    n_seeds: np.ndarray,
    degrees_of_freedom: np.ndarray,
    missing: np.ndarray,
    level: float = IDENTIFICATION_LEVEL,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the targets that have a clearly positive self-gain.

    A target is identified where self_gain - t * standard_error > 0, with t the
    1 - level quantile of Student's distribution. Without a standard error (one
    seed) the sign decides.

    Args:
        self_gain: (n,), Perf(i+i) - Perf(i); NaN where a run is missing.
        standard_error: (n,), NaN with one seed.
        n_seeds: (n,), number of seeds.
        degrees_of_freedom: (n,) of the standard error.
        missing: (n,), why there is no self-gain, or empty.
        level: One-sided level.

    Returns:
        (n,) bool and (n,) reasons, empty where identified.
    """
    identified = np.zeros(len(self_gain), dtype=bool)
    reasons = np.full(len(self_gain), "", dtype=object)
    for target, (gain, error, seeds, df) in enumerate(
        zip(self_gain, standard_error, n_seeds, degrees_of_freedom, strict=True)
    ):
        if missing[target]:
            reasons[target] = missing[target]
            continue
        if not np.isfinite(error):
            identified[target] = gain > 0
            if not identified[target]:
                reasons[target] = f"self-gain {gain:+.4f} is not positive (one seed)"
            continue
        bound = gain - stdtrit(max(df, 1), 1 - level) * error
        identified[target] = bound > 0
        if not identified[target]:
            reasons[target] = (
                f"self-gain {gain:+.4f} ± {error:.4f} over {seeds} seeds is not "
                f"clearly positive (lower {1 - level:.0%} bound {bound:+.4f})"
            )
    return identified, reasons


def _cell_reasons(
    missing: np.ndarray,
    target_reason: np.ndarray,
    self_gain: np.ndarray,
    n_seeds: np.ndarray,
) -> np.ndarray:
    reason = missing.copy()
    for target, donor in np.argwhere(missing == ""):
        if target_reason[target]:
            reason[target, donor] = f"target not identified: {target_reason[target]}"
        elif not self_gain[target, donor] > 0:
            # Only where the pair run has fewer seeds than the target's own runs.
            reason[target, donor] = (
                f"self-gain {self_gain[target, donor]:+.4f} over the cell's "
                f"{counted(int(n_seeds[target, donor]), 'seed')} is not positive"
            )
    return reason
