"""Invented scores of a known transfer matrix, to test the statistics with.

A run's Perf is its expectation plus noise: a part that all runs of a seed tested on
one language share, a part of its own, and what the test set does to it.

    expectation of single(i)   base
                   double(i)   base + gain_i
                   pair(i, j)  base + CLTM[i, j] * gain_i, tested on i

:func:`select_as_published` applies the published pipeline's selection of gender runs by
their scores, to show what it does to a known matrix. Nothing but tests and benchmarks
may use it: no run is dropped for its score.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.held_out import HeldOutScores
from espnet2_cltm.matrix.results import Choice, read_scores
from espnet2_cltm.matrix.scores import ResultsSource, SeedScores, mean_over_seeds

FIRST_SEED = 42


@dataclass(frozen=True)
class Simulation:
    """What matrices and noise are drawn from.

    Attributes:
        n_languages: Number of languages.
        n_seeds: Number of seeds of every run.
        base: Perf of single runs.
        gain_mean: Mean over languages of the true self-gain; gains are gamma
            distributed, always positive.
        gain_sd: Their standard deviation; 0 gives all the same.
        share_no_gain: Share of languages whose own data add nothing, nor any donor's.
        run_sd: Standard deviation over seeds of a run's Perf.
        seed_correlation: Correlation of two runs of the same seed tested on one
            language.
        test_set_sd: Standard deviation of a test set's difficulty. All runs on a
            language share it, so that it cancels in every cell.
        test_run_sd: Standard deviation of how a test set suits what was trained:
            the same in all seeds, so that no seed tells of it. Intervals over
            seeds do not cover it.
        n_speakers: Test speakers of a language, of whom ``test_run_sd`` and the part
            ``item_share`` of a run's own variance are made; 0 leaves them out, and no
            result without some of them is there.
        item_share: Share of a run's own variance that is of its test items.
        share_zero: Share of off-diagonal cells with a true CLTM of exactly 0.
        share_one: Share of them with exactly 1.
        cltm_mean: Mean of the others, which are normal.
        cltm_sd: Their standard deviation.
    """

    n_languages: int = 20
    n_seeds: int = 10
    base: float = 0.7
    gain_mean: float = 0.075
    gain_sd: float = 0.025
    share_no_gain: float = 0.0
    run_sd: float = 0.055
    seed_correlation: float = 0.3
    test_set_sd: float = 0.02
    test_run_sd: float = 0.0
    n_speakers: int = 0
    item_share: float = 0.5
    share_zero: float = 0.2
    share_one: float = 0.2
    cltm_mean: float = 0.6
    cltm_sd: float = 0.4


@dataclass(frozen=True)
class Truth:
    """A known matrix.

    Attributes:
        gain: (n,), true self-gains.
        cltm: (n, n), rows targets; the diagonal is 1.
    """

    gain: np.ndarray
    cltm: np.ndarray


def simulation_like(scores: SeedScores, **changes: float) -> Simulation:
    """Take base, gains and noise from real results.

    Args:
        scores: All runs in at least two seeds; incomplete languages are left out.
        changes: Settings that differ.
    """
    n = len(scores.languages)
    single, double = scores.single, scores.double
    variances, covariances = [], []
    for target in range(n):
        donors = [donor for donor in range(n) if donor != target]
        runs = np.stack([single[target], double[target], *scores.pair[target, donors]])
        runs = runs[:, np.isfinite(runs).all(axis=0)]
        if runs.shape[1] < 2:
            continue
        matrix = np.cov(runs)
        variances.append(np.diagonal(matrix).mean())
        covariances.append(matrix[~np.eye(len(matrix), dtype=bool)].mean())
    gains = double - single
    gain = np.nanmean(gains, axis=1)
    error = np.nanvar(gains, axis=1, ddof=1) / np.isfinite(gains).sum(axis=1)
    return replace(
        Simulation(
            n_seeds=single.shape[1],
            base=float(np.nanmean(single)),
            gain_mean=float(gain.mean()),
            # What the seeds' noise adds to the differences between languages is out.
            gain_sd=float(np.sqrt(max(gain.var(ddof=1) - error.mean(), 0.0))),
            run_sd=float(np.sqrt(np.mean(variances))),
            seed_correlation=float(
                np.clip(np.mean(covariances) / np.mean(variances), 0, 1)
            ),
        ),
        **changes,
    )


def simulation_of_results(path: Path, task: str, **changes: float) -> Simulation:
    """Take base, gains and noise from a results file.

    Raises:
        UserError: The file can't be read, or holds no seeds.
    """
    scores = read_scores(path, Choice(task))
    if not isinstance(scores, SeedScores):
        raise UserError(f"{path} holds means over seeds: give a file with the seeds.")
    return simulation_like(scores, **changes)


def draw_truth(simulation: Simulation, generator: np.random.Generator) -> Truth:
    """Draw a matrix."""
    n = simulation.n_languages
    gain = np.full(n, simulation.gain_mean)
    if simulation.gain_sd > 0:
        shape = (simulation.gain_mean / simulation.gain_sd) ** 2
        gain = generator.gamma(shape, simulation.gain_mean / shape, size=n)
    if simulation.share_no_gain:
        gain[generator.random(n) < simulation.share_no_gain] = 0.0
    cltm = generator.normal(simulation.cltm_mean, simulation.cltm_sd, (n, n))
    which = generator.random((n, n))
    cltm[which < simulation.share_zero] = 0.0
    cltm[which > 1 - simulation.share_one] = 1.0
    np.fill_diagonal(cltm, 1.0)
    return Truth(gain, cltm)


def draw_scores(
    truth: Truth, simulation: Simulation, generator: np.random.Generator
) -> SeedScores:
    """Draw the scores of every run; values are not cut to 0 to 1."""
    n, s = len(truth.gain), simulation.n_seeds
    gain = truth.gain[:, None]
    # Along the runs of a target: the pairs, whose own place the double run takes, and
    # the single run.
    expectation = np.concatenate([truth.cltm * gain, np.zeros((n, 1))], axis=1)
    shared_sd = simulation.run_sd * np.sqrt(simulation.seed_correlation)
    own_sd = simulation.run_sd * np.sqrt(1 - simulation.seed_correlation)
    runs = (
        simulation.base
        + expectation[..., None]
        + generator.normal(0, shared_sd, (n, 1, s))
        + generator.normal(0, own_sd, (n, n + 1, s))
        + generator.normal(0, simulation.test_set_sd, (n, 1, 1))
        + generator.normal(0, simulation.test_run_sd, (n, n + 1, 1))
    )
    held_out = None
    if simulation.n_speakers:
        held_out = _by_speakers(runs, simulation, own_sd, generator)
    itself = np.arange(n)
    zero_shot = np.full((n, n, s), np.nan)
    zero_shot[itself, itself] = runs[:, n]
    pair = runs[:, :n].copy()
    pair[itself, itself] = np.nan
    languages = tuple(f"l{index:02d}" for index in range(n))
    return SeedScores(
        source=ResultsSource("simulated", "", "gender", "macro_f1"),
        languages=languages,
        test_languages=languages,
        seeds=tuple(range(FIRST_SEED, FIRST_SEED + s)),
        zero_shot=zero_shot,
        double=runs[itself, itself],
        pair=pair,
        held_out=held_out,
    )


def _by_speakers(
    runs: np.ndarray,
    simulation: Simulation,
    own_sd: float,
    generator: np.random.Generator,
) -> HeldOutScores:
    """Split what is of the test set over its speakers, and leave each out in turn.

    The parts that ``runs`` already has stay as they are: given a mean over speakers,
    departures of single ones from it are independent of it.
    """
    n, _, s = runs.shape
    count = simulation.n_speakers
    sd_of_one = np.sqrt(count)
    of_all = generator.normal(
        0, simulation.test_run_sd * sd_of_one, (n, n + 1, 1, count)
    )
    of_seed = generator.normal(
        0, np.sqrt(simulation.item_share) * own_sd * sd_of_one, (n, n + 1, s, count)
    )
    departures = of_all + of_seed
    departures -= departures.mean(axis=-1, keepdims=True)
    values = runs[..., None] - departures / (count - 1)
    itself = np.arange(n)
    return HeldOutScores(values[:, n], values[itself, itself], values[:, :n])


# What the published pipeline does ---------------------------------------------------

MOST_SINGLES_REMOVED = 0.8  # of a language's single runs
MOST_DOUBLES_REMOVED = 9
PAIR_QUANTILE = 0.925


def select_as_published(scores: SeedScores) -> SeedScores:
    """Drop runs by their scores as the published gender pipeline does.

    Of each language the single runs above the mean of its doubles go, best first, up
    to 80%; then its doubles go, worst first, up to nine and never the last, until
    their mean reaches the 92.5th percentile of its pair runs
    (``scripts/matrix/gender/mean_seeds.py`` of ``Pol-Buitrago/cltm-framework``).

    Returns:
        Dropped runs are NaN. For every kind of run its own mean is to be taken
        (:func:`unpaired_cltm`): seeds are no longer paired.
    """
    zero_shot, double = scores.zero_shot.copy(), scores.double.copy()
    for target, code in enumerate(scores.languages):
        single = scores.single[target]
        column = scores.test_languages.index(code)
        zero_shot[target, column] = _without_best_singles(single, double[target])
        double[target] = _without_worst_doubles(double[target], scores.pair[target])
    return replace(scores, zero_shot=zero_shot, double=double)


def unpaired_cltm(scores: SeedScores) -> np.ndarray:
    """Compute the matrix from every run's mean over the seeds that it has itself."""
    single, double = mean_over_seeds(scores.single), mean_over_seeds(scores.double)
    pair = mean_over_seeds(scores.pair)
    cltm = (pair - single[:, None]) / (double - single)[:, None]
    np.fill_diagonal(cltm, 1.0)
    return cltm


def _without_best_singles(single: np.ndarray, double: np.ndarray) -> np.ndarray:
    kept = single.copy()
    present = np.flatnonzero(np.isfinite(single))
    best_first = present[np.argsort(-single[present], kind="stable")]
    too_good = int((single[present] > np.nanmean(double)).sum())
    most = int(MOST_SINGLES_REMOVED * len(present))
    kept[best_first[: min(too_good, most)]] = np.nan
    return kept


def _without_worst_doubles(double: np.ndarray, pair: np.ndarray) -> np.ndarray:
    kept = double.copy()
    wanted = np.nanquantile(pair, PAIR_QUANTILE)
    present = np.flatnonzero(np.isfinite(double))
    worst_first = present[np.argsort(double[present], kind="stable")]
    for run in worst_first[: min(MOST_DOUBLES_REMOVED, len(present) - 1)]:
        if np.nanmean(kept) >= wanted:
            break
        kept[run] = np.nan
    return kept
