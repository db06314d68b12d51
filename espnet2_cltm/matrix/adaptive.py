"""Which runs to make next, so that few tell which donors are best for each target.

Takes what is measured so far, a mean over seeds for each target and donor, and gives
runs: pairs of languages, each with how many more seeds. It has no state: the same
measurements give the same runs.

The model of the matrix (:mod:`.prediction_model`) draws what all cells may be, measured
or not. From the draws follow P[t,d], the probability that donor d is among the best of
target t, and V[t,d], the variance of the cell. Measuring a seed more, of variance s²,
leaves V s² / (V + s²), and a pair's run measures both (t,d) and (d,t). Worth of a run:

    sum over (t,d) and (d,t) of P (1 - P) V / (V + s²)

High where it is open whether the donor is among the best, and where a run would change
what is known: pairs not measured yet, or measured with too few seeds. As in top-two
sampling (Russo, *Operations Research* 68, 2020), runs go to those that contend for the
last place, not to all; a round takes the runs that are worth most.

Only the order of a target's donors counts. So each target's values are brought to mean
0 and deviation 1, its self-gain plays no part, and gains Perf(i+j) - Perf(i) serve as
well as cells of the matrix, also for targets that are not identified.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.prediction_model import ModelSettings, draw_noiseless
from espnet2_cltm.matrix.scores import mean_over_seeds

BEST = 3  # donors that are looked for
FIRST_SHARE = 0.15  # of the pairs, in the first round
ROUND_SHARE = 0.04  # of all pair runs, in a round
STEPS_OF_SEEDS = 5  # into which the seeds are divided
# Values of other targets that a target's variance is shrunk to.
VARIANCE_STRENGTH = 3
SWEEPS = ModelSettings(burn_in=100, draws=150)


@dataclass(frozen=True)
class Measured:
    """What is known of each target and donor; arrays are (n, n).

    Attributes:
        values: Means over seeds, such as gains; NaN where not measured. The diagonal
            does not count, nor do rows of languages that are not targets, all NaN.
        errors: Their standard errors, NaN where not known.
        noise: Standard deviation of one seed's value; NaN where not known.
        n_seeds: Number of seeds of the pair's runs, symmetric.
        targets: (n,) bool, languages whose donors are looked for.
    """

    values: np.ndarray
    errors: np.ndarray
    noise: np.ndarray
    n_seeds: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Standing:
    """What the measurements tell about the best donors.

    Attributes:
        best: (n, k), the k donors that have the highest expected values, best first.
        certainty: (n,), the least probability of one of these to be among the best k;
            1 for languages that are not targets.
        worth: (n, n), worth of one more step of seeds for each run in it, symmetric; 0
            where all seeds are made.
    """

    best: np.ndarray
    certainty: np.ndarray
    worth: np.ndarray


def seeds_of_step(n_seeds: int) -> int:
    """Return how many seeds are made of a pair at a time: two tell their noise."""
    return min(max(-(-n_seeds // STEPS_OF_SEEDS), 2), n_seeds)


def judge(
    measured: Measured,
    relations: np.ndarray,
    most_seeds: int,
    settings: ModelSettings = SWEEPS,
) -> Standing:
    """Return which donors are best, how sure that is, and what runs are worth.

    Args:
        measured: What is known; at least two values.
        relations: (n, n, p), of :func:`.prediction.closeness`.
        most_seeds: Seeds that a pair can have.
        settings: How the model is fitted.
    """
    n = len(measured.values)
    centred = measured.values - mean_over_seeds(measured.values)[:, None]
    unit = _units(centred)
    errors = measured.errors / unit[:, None]
    draws = draw_noiseless(centred / unit[:, None], errors, relations, settings)
    draws[:, np.eye(n, dtype=bool)] = -np.inf
    k = max(min(BEST, n - 2), 1)
    best = np.argsort(-draws.mean(axis=0), axis=1, kind="stable")[:, :k]
    among = np.argpartition(-draws, k - 1, axis=2)[:, :, :k]
    chance = np.zeros((n, n))
    rows = np.broadcast_to(np.arange(n)[None, :, None], among.shape)
    np.add.at(chance, (rows, among), 1 / len(draws))
    certainty = np.take_along_axis(chance, best, axis=1).min(axis=1)
    certainty[~measured.targets] = 1.0

    more = np.minimum(seeds_of_step(most_seeds), most_seeds - measured.n_seeds)
    draws[:, np.eye(n, dtype=bool)] = 0.0
    variance = draws.var(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = (measured.noise / unit[:, None]) ** 2 / more
        left = np.where(np.isfinite(noise), variance / (variance + noise), 1.0)
    # Where noise is not known, seeds that are made tell all.
    left[~np.isfinite(measured.noise) & (measured.n_seeds > 0)] = 0.0
    of_cell = chance * (1 - chance) * left
    of_cell[~measured.targets] = 0.0
    np.fill_diagonal(of_cell, 0.0)
    worth = np.where(more > 0, (of_cell + of_cell.T) / np.maximum(more, 1), 0.0)
    return Standing(best, certainty, worth)


def choose_runs(
    standing: Standing, n_seeds: np.ndarray, most_seeds: int, n_runs: int
) -> list[tuple[int, int, int]]:
    """Choose the runs that are worth most.

    Args:
        standing: What is known.
        n_seeds: (n, n), number of seeds made of each pair.
        most_seeds: Seeds that a pair can have.
        n_runs: Number of runs; not more than so many.

    Returns:
        Pairs of languages and how many seeds each has then: ``(i, j, seeds)``, i < j.
    """
    step = seeds_of_step(most_seeds)
    first, second = np.triu_indices(len(n_seeds), 1)
    order = np.argsort(-standing.worth[first, second], kind="stable")
    chosen = []
    for i, j in zip(first[order], second[order], strict=True):
        more = min(step, most_seeds - int(n_seeds[i, j]), n_runs)
        if more < 1 or standing.worth[i, j] <= 0:
            break
        chosen.append((int(i), int(j), int(n_seeds[i, j]) + more))
        n_runs -= more
    return chosen


def measured_gains(single: np.ndarray, pair: np.ndarray) -> Measured:
    """Return gains of seeds that are paired.

    One seed's noise is that of a target's gains over seeds, shrunk to that of all.

    Args:
        single: (n, seeds), Perf(i); NaN where not made.
        pair: (n, n, seeds), Perf(i+j) on i.
    """
    gains = pair - single[:, None]
    gains[np.eye(len(gains), dtype=bool)] = np.nan
    there = np.isfinite(gains)
    counts = there.sum(axis=-1)
    values = mean_over_seeds(gains)
    squares = np.where(there, (gains - values[..., None]) ** 2, 0.0).sum(axis=(1, 2))
    freedom = np.maximum(counts - 1, 0).sum(axis=1)
    common = squares.sum() / freedom.sum() if freedom.any() else np.nan
    of_target = np.sqrt(
        (squares + VARIANCE_STRENGTH * common) / (freedom + VARIANCE_STRENGTH)
    )
    noise = np.repeat(of_target[:, None], len(gains), axis=1)
    errors = np.where(counts > 0, noise / np.sqrt(np.maximum(counts, 1)), np.nan)
    made = np.maximum(counts, counts.T)
    return Measured(values, errors, noise, made, np.isfinite(single).any(axis=-1))


def first_runs(
    pairs: Sequence[tuple[int, int]],
    n: int,
    most_seeds: int,
    share: float,
    most_runs: int | None = None,
) -> list[tuple[int, int, int]]:
    """Return the runs of the first round, before anything is known.

    Args:
        pairs: All pairs, in an order of which every beginning is balanced.
        n: Number of languages.
        most_seeds: Seeds that a pair can have.
        share: Share of the pairs; at least every language is in two.
        most_runs: Largest number of runs, which goes before that; None for any.
    """
    step = seeds_of_step(most_seeds)
    count = min(max(round(share * len(pairs)), n), len(pairs))
    if most_runs is not None:
        count = min(count, most_runs // step)
    return [(min(i, j), max(i, j), step) for i, j in pairs[:count]]


def _units(centred: np.ndarray) -> np.ndarray:
    """Return each target's deviation, shrunk to that of the middle target."""
    count = np.isfinite(centred).sum(axis=1)
    squares = (np.nan_to_num(centred) ** 2).sum(axis=1)
    several = count > 1
    middle = (
        np.median(squares[several] / (count - 1)[several]) if several.any() else 1.0
    )
    total = squares + VARIANCE_STRENGTH * middle
    variance = total / (np.maximum(count - 1, 0) + VARIANCE_STRENGTH)
    return np.sqrt(np.where(variance > 0, variance, 1.0))
