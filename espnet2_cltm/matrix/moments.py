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
    """

    languages: tuple[str, ...]
    n_seeds: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    self_gain_df: np.ndarray
    missing: np.ndarray


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
    n_seeds = np.zeros((n, n), dtype=int)
    mean = np.full((n, n, 3), np.nan)
    covariance = np.full((n, n, 3, 3), np.nan)
    missing = np.full((n, n), "", dtype=object)
    single = scores.single
    for target in range(n):
        for donor in range(n):
            double = scores.double[target]
            pair = double if donor == target else scores.pair[target, donor]
            runs = np.stack([single[target], double, pair])
            missing[target, donor] = _why_missing(scores, target, donor, runs)
            kinds = [SINGLE, DOUBLE, PAIR]
            if not np.isfinite(runs).all(axis=0).any():
                kinds = [SINGLE, PAIR]  # enough for the relative gain
            common = runs[np.ix_(kinds, np.isfinite(runs[kinds]).all(axis=0))]
            count = common.shape[1]
            n_seeds[target, donor] = count
            if count == 0:
                continue
            mean[target, donor, kinds] = common.mean(axis=1)
            if count > 1:
                covariance[target, donor][np.ix_(kinds, kinds)] = (
                    np.cov(common, ddof=1) / count
                )
    self_gain_df = np.maximum(np.diagonal(n_seeds) - 1, 0).astype(float)
    return CellMoments(
        scores.languages, n_seeds, mean, covariance, self_gain_df, missing
    )


def _why_missing(scores: SeedScores, target: int, donor: int, runs: np.ndarray) -> str:
    present = np.isfinite(runs)
    if present.all(axis=0).any():
        return ""
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
            of_means = np.diag(variances / np.maximum(counts, 1))
            if donor == target:  # the pair run is the double run: fully correlated
                of_means[DOUBLE, PAIR] = of_means[PAIR, DOUBLE] = of_means[PAIR, PAIR]
            covariance[target, donor] = of_means
    return CellMoments(
        scores.languages, n_seeds, mean, covariance, _welch(scores), missing
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
