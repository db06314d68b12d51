"""Means over seeds of a cell's three runs, and how uncertain these means are.

A cell (target i, donor j) needs three runs, always in this order on the last
axis: single(i), double(i) and the pair i+j tested on i. The same seed drew the
same utterances and the same initial weights for all three, so seeds are paired:
a cell uses the seeds that all its runs have, and the covariance of its three
means is the sample covariance over these seeds, divided by their number.

On the diagonal the donor is the target itself, so the pair run is the double run.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.scores import AggregatedScores, Scores, SeedScores

SINGLE, DOUBLE, PAIR = range(3)


@dataclass(frozen=True)
class CellMoments:
    """First and second moments of every cell.

    Attributes:
        languages: The n languages, sorted: rows (targets) and columns (donors).
        n_seeds: (n, n), seeds that the cell rests on; 0 where it has no single or
            no pair run.
        mean: (n, n, 3), mean Perf over these seeds; NaN where there is no such run.
        covariance: (n, n, 3, 3), covariance of these means; NaN with one seed.
        self_gain_df: (n,), degrees of freedom of the self-gain's standard error.
        missing: (n, n), why the cell has no CLTM; empty where it has one.
        paired: Whether ``covariance`` is that of paired seeds; else the runs count as
            independent of each other.
        run_df: (n, n, 3), degrees of freedom of each run's variance.
    """

    languages: tuple[str, ...]
    n_seeds: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    self_gain_df: np.ndarray
    missing: np.ndarray
    paired: bool
    run_df: np.ndarray


def contrast(
    moments: CellMoments, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate a weighted sum of a cell's three means.

    Args:
        moments: Of all cells.
        weights: (3,) or (n, n, 3), weights of single, double and pair.

    Returns:
        (n, n) estimates, their standard errors, and the degrees of freedom of these:
        number of seeds - 1 where seeds are paired, else Welch and Satterthwaite's.
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
    if not moments.paired:
        terms = weights**2 * np.diagonal(covariance, axis1=-2, axis2=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = (terms**2 / np.maximum(moments.run_df, 1)).sum(axis=-1)
            df = np.where(squares > 0, terms.sum(axis=-1) ** 2 / squares, smallest)
    known = np.isfinite(error) & np.isfinite(smallest)
    return (mean * weights).sum(axis=-1), error, np.where(known, df, 0.0)


def cell_moments(scores: Scores) -> CellMoments:
    """Compute the moments of every cell.

    A cell without double runs keeps the mean and covariance of the other two, for
    the relative gain.
    """
    if isinstance(scores, SeedScores):
        return _paired_moments(scores)
    return _independent_moments(scores)


def _paired_moments(scores: SeedScores) -> CellMoments:
    n = len(scores.languages)
    diagonal = np.eye(n, dtype=bool)[..., None]
    shape = scores.pair.shape
    single = np.broadcast_to(scores.single[:, None], shape)
    double = np.broadcast_to(scores.double[:, None], shape)
    pair = np.where(diagonal, double, scores.pair)
    runs = np.stack([single, double, pair], axis=2)  # (n, n, 3, seeds)

    present = np.isfinite(runs)
    complete = present.all(axis=2)
    without_cltm = ~complete.any(axis=-1)
    missing = np.full((n, n), "", dtype=object)
    for target, donor in np.argwhere(without_cltm):
        missing[target, donor] = _why_missing(scores, target, donor)
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
    return CellMoments(
        scores.languages,
        n_seeds,
        mean,
        covariance,
        np.diagonal(df).copy(),
        missing,
        paired=True,
        run_df=np.repeat(df[..., None], 3, axis=-1),
    )


def _why_missing(scores: SeedScores, target: int, donor: int) -> str:
    double = scores.double[target]
    pair = double if donor == target else scores.pair[target, donor]
    present = np.isfinite(np.stack([scores.single[target], double, pair]))
    reason = _why_absent(scores, target, donor, present.any(axis=1))
    return reason or "its single, double and pair runs have no seed in common"


def _why_absent(scores: Scores, target: int, donor: int, present: np.ndarray) -> str:
    """Name the first of single, double and pair that is absent, or say nothing."""
    i, j = scores.languages[target], scores.languages[donor]
    undefined = scores.source.undefined
    pair = "+".join(sorted((i, j)))
    for kind, where, name in (
        ("single", (i, i), f"single run of {i}"),
        ("double", (i, i), f"double run of {i}"),
        ("pair", (i, j), f"pair run {pair} tested on {i}"),
    ):
        if present[("single", "double", "pair").index(kind)]:
            continue
        if undefined.get((kind, *where)):
            return f"{scores.source.metric} is undefined for the {name}"
        return f"no {name}"
    return ""


def _independent_moments(scores: AggregatedScores) -> CellMoments:
    """Take covariances between runs as 0: means and variances do not tell them."""
    n = len(scores.languages)
    n_seeds = np.zeros((n, n), dtype=int)
    mean = np.full((n, n, 3), np.nan)
    covariance = np.full((n, n, 3, 3), np.nan)
    missing = np.full((n, n), "", dtype=object)
    run_df = np.zeros((n, n, 3))
    for target in range(n):
        for donor in range(n):
            last = "double" if donor == target else "pair"
            where = (target,) if donor == target else (target, donor)
            means, variances, counts = (
                np.array([by["single"][target], by["double"][target], by[last][where]])
                for by in (scores.mean, scores.variance, scores.count)
            )
            missing[target, donor] = _why_absent(
                scores, target, donor, np.isfinite(means)
            )
            if not np.isfinite(means[[SINGLE, PAIR]]).all():
                continue
            mean[target, donor] = means
            n_seeds[target, donor] = counts[np.isfinite(means)].min()
            run_df[target, donor] = np.maximum(counts - 1, 0)
            of_means = np.diag(variances / np.maximum(counts, 1))
            if donor == target:  # the pair run is the double run: fully correlated
                of_means[DOUBLE, PAIR] = of_means[PAIR, DOUBLE] = of_means[PAIR, PAIR]
            covariance[target, donor] = of_means
    return CellMoments(
        scores.languages,
        n_seeds,
        mean,
        covariance,
        _welch(scores),
        missing,
        paired=False,
        run_df=run_df,
    )


def _welch(scores: AggregatedScores) -> np.ndarray:
    """Welch-Satterthwaite degrees of freedom of Perf(i+i) - Perf(i)."""
    total = np.zeros(len(scores.languages))
    weighted = np.zeros(len(scores.languages))
    for kind in ("single", "double"):
        count = scores.count[kind]
        of_mean = scores.variance[kind] / np.maximum(count, 1)
        total += of_mean
        weighted += of_mean**2 / np.maximum(count - 1, 1)
    smallest = np.minimum(scores.count["single"], scores.count["double"]) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        df = np.where(weighted > 0, total**2 / weighted, smallest)
    return np.where(np.isfinite(total), np.maximum(df, 0), 0.0)
