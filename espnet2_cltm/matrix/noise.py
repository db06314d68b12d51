"""The noise in a matrix's cells, and the matrix without it or with it anew.

All cells of a target rest on the same single and double runs, and all runs of a seed on
the same draws. So the errors of cells are correlated, and the noise of a row looks like
an effect of its target unless that is allowed for (:class:`CellNoise`).

An estimated matrix is the true one and noise; the noise spreads its cells. So shares,
extremes, norms and concentrations of the estimate are not those of the truth:
:func:`quiet_matrix` shrinks the cells until they spread as much as the true ones do,
and :func:`disturbed` adds the noise of resampled seeds to a matrix that stands for the
truth: how summary numbers of the disturbed matrices differ from its own tells how far
noise moves them.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.estimates import DOUBLE, PAIR, SINGLE, TransferMatrix
from espnet2_cltm.matrix.held_out import sources_of_test_sets
from espnet2_cltm.matrix.layout import MatrixBatch, MatrixLayout
from espnet2_cltm.matrix.scores import RunScores, SeedScores, mean_over_seeds

RANK_TOLERANCE = 1e-9  # relative to the largest singular value
ROUNDS = 20  # of the weighted variance; it settles within ten
MIXTURES = 200  # sources that stand for those of all test sets


@dataclass(frozen=True)
class SeedNoise:
    """Gains of every cell and how each seed departs from them.

    Attributes:
        there: (n, n, s) bool, seeds that all three runs of the cell have.
        self_gain: (n, n), mean of Perf(i+i) - Perf(i) over them; 0 without any.
        cross_gain: (n, n), mean of Perf(i+j) - Perf(i).
        self_noise: (n, n, s), departures from ``self_gain``, enlarged by
            sqrt(k / (k - 1)) for k seeds, so that their mean square is the unbiased
            variance; 0 where not there.
        cross_noise: (n, n, s), departures from ``cross_gain``, enlarged likewise.
        self_test: (n, q), what q sources of noise in a target's test set change in its
            self-gain in all seeds alike (:mod:`espnet2_cltm.matrix.held_out`); those
            of different targets are different sources. q is 0 where not known.
        cross_test: (n, n, q), what they change in the cross-gains.
    """

    there: np.ndarray
    self_gain: np.ndarray
    cross_gain: np.ndarray
    self_noise: np.ndarray
    cross_noise: np.ndarray
    self_test: np.ndarray
    cross_test: np.ndarray

    @property
    def n_seeds(self) -> np.ndarray:
        """(n, n), number of seeds."""
        return self.there.sum(axis=-1)


def seed_noise(scores: SeedScores) -> SeedNoise:
    """Take the gains of every off-diagonal cell seed by seed."""
    single, double = scores.single[:, None], scores.double[:, None]
    self_gain = np.broadcast_to(double - single, scores.pair.shape)
    cross_gain = scores.pair - single
    there = np.isfinite(self_gain) & np.isfinite(cross_gain)
    count = there.sum(axis=-1)
    enlarged = np.sqrt(count / np.maximum(count - 1, 1))
    parts = []
    for gain in (self_gain, cross_gain):
        mean = np.nan_to_num(mean_over_seeds(np.where(there, gain, np.nan)))
        departure = np.where(there, gain - mean[..., None], 0.0)
        parts.append((mean, departure * enlarged[..., None]))
    (self_mean, self_noise), (cross_mean, cross_noise) = parts
    n = len(there)
    sources = np.zeros((n, n + 1, 0))
    if scores.held_out is not None:
        sources = sources_of_test_sets(scores.held_out)
    self_test = np.diagonal(sources, axis1=0, axis2=1).T - sources[:, -1]
    cross_test = sources[:, :-1] - sources[:, -1:]
    return SeedNoise(
        there, self_mean, cross_mean, self_noise, cross_noise, self_test, cross_test
    )


def additive_design(rows: np.ndarray, columns: np.ndarray, n: int) -> np.ndarray:
    """Return the (k, 2 n) indicators of targets and donors of k cells."""
    design = np.zeros((len(rows), 2 * n))
    cells = np.arange(len(rows))
    design[cells, rows] = design[cells, n + columns] = 1.0
    return design


def quiet_matrix(
    noise: SeedNoise, matrix: np.ndarray, layout: MatrixLayout
) -> np.ndarray:
    """Shrink a matrix until its spread is that of the truth, as far as seeds tell.

    The additive model of :mod:`espnet2_cltm.matrix.decomposition` splits the cells into
    mean, effects of targets, effects of donors, and what is left for the pairs, and
    splits each seed's noise in the same way; noisy rows weigh less in it. Each of the
    three parts y with noise variance v is multiplied by sqrt(t / (t + v)), t being the
    part's variance less noise: constrained empirical Bayes (Louis 1984, JASA 79,
    393-398), whose values spread as the true ones, where plain shrinkage by t / (t + v)
    would leave too little.

    Args:
        noise: Noise of the scores that the matrix was made of.
        matrix: (n, n), estimates.
        layout: Cells that are there.

    Returns:
        (n, n), 1 on the diagonal, 0 where no cell is there.
    """
    quiet = _quiet(noise, matrix, matrix, layout)
    if noise.self_test.size:
        # A cell that noise made large looks noisier than it is: take what its quiet
        # value says.
        quiet = _quiet(noise, matrix, quiet, layout)
    return quiet


def _quiet(
    noise: SeedNoise, matrix: np.ndarray, near: np.ndarray, layout: MatrixLayout
) -> np.ndarray:
    """Shrink ``matrix`` by the noise that cells like those of ``near`` have."""
    rows, columns = np.nonzero(layout.off_diagonal)
    n, cells = len(matrix), matrix[rows, columns]
    departures = cell_departures(noise, near)[rows, columns]
    # With few seeds a cell's own variance is too rough: take that of its row.
    row_noise = _mean_by(rows, (departures**2).sum(axis=1), n)
    weight = _weights(row_noise)[rows]
    design = additive_design(rows, columns, n)
    # First column the cells, then each seed's departures from them.
    parts = np.column_stack([cells, departures])
    root = np.sqrt(weight)[:, None]
    effects = np.linalg.lstsq(design * root, parts * root, rcond=RANK_TOLERANCE)[0]
    of_pairs = parts - design @ effects
    pair_noise = _mean_by(rows, (of_pairs[:, 1:] ** 2).sum(axis=1), n)
    quiet = _shrink(of_pairs[:, 0], pair_noise[rows])
    for of_languages, positions in ((effects[:n], rows), (effects[n:], columns)):
        present = np.unique(positions)
        of_languages = of_languages[present]
        weight = _weights((of_languages[:, 1:] ** 2).sum(axis=1))
        centre = weight @ of_languages / weight.sum()
        around = of_languages - centre
        shrunken = np.zeros(n)
        shrunken[present] = centre[0] + _shrink(
            around[:, 0], (around[:, 1:] ** 2).sum(axis=1)
        )
        quiet = quiet + shrunken[positions]

    result = np.where(layout.there, 1.0, 0.0)
    result[rows, columns] = quiet
    return result


def cell_departures(noise: SeedNoise, matrix: np.ndarray) -> np.ndarray:
    """Return what each source of noise changes in the cells, to first order.

    Sources are the seeds, and of the test sets' many a fixed number of mixtures with
    random signs, in which those of different targets are independent.

    Args:
        noise: Noise of the scores that the matrix was made of.
        matrix: (n, n), estimates.

    Returns:
        (n, n, q); over the sources, products of two cells' sum to the covariance of
        their errors, so the squares of one to its squared standard error. 0 where no
        cell is there.
    """
    departures = noise.cross_noise - matrix[..., None] * noise.self_noise
    scale = noise.self_gain * noise.n_seeds
    with np.errstate(divide="ignore", invalid="ignore"):
        departures = departures / scale[..., None]
    departures = np.where(np.isfinite(departures), departures, 0.0)
    n, q = noise.self_test.shape
    if not q:
        return departures
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (n, q, MIXTURES))
    mixed = departures_by_test_set(noise, matrix) @ signs / np.sqrt(MIXTURES)
    return np.concatenate([departures, mixed], axis=-1)


def departures_by_test_set(noise: SeedNoise, matrix: np.ndarray) -> np.ndarray:
    """Return what each source of noise in test sets changes in the cells.

    To first order: the ratio of two normal numbers has no mean, and of so many targets
    one would always be far out.

    Args:
        noise: Noise of the scores.
        matrix: (n, n), the cells.

    Returns:
        (n, n, q), 0 where no cell is there.
    """
    departures = noise.cross_test - matrix[..., None] * noise.self_test[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        departures = departures / noise.self_gain[..., None]
    return np.where(np.isfinite(departures), departures, 0.0)


def _weights(noise: np.ndarray) -> np.ndarray:
    """Weigh by noise variance, so that a few wild rows do not decide on the others.

    Rows less noisy than the median count little more than that one.
    """
    usual = np.median(noise[noise > 0]) if noise.any() else 1.0
    return usual / (usual + noise)


def _mean_by(positions: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    count = np.bincount(positions, minlength=n)
    return np.bincount(positions, values, n) / np.maximum(count, 1)


def _shrink(values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Multiply by sqrt(t / (t + noise)), with t found over all values.

    Each counts by the inverse square of its own variance, t + noise.
    """
    if not noise.any():
        return values
    t = max(float(np.mean(values**2 - noise)), 0.0)
    least = 1e-12 * float(np.mean(values**2) + noise.mean())
    for _ in range(ROUNDS):
        weight = 1 / (t + noise + least) ** 2
        t = max(float((weight * (values**2 - noise)).sum() / weight.sum()), 0.0)
    return values * np.sqrt(t / (t + noise + least))


@dataclass(frozen=True)
class CellNoise:
    """Errors of cells: covariance = shared @ shared.T + diag(own ** 2).

    Attributes:
        shared: (n, n, q), what each of q sources of noise changes in each cell.
        own: (n, n), standard error of what a cell has alone.
    """

    shared: np.ndarray
    own: np.ndarray


def cell_noise(scores: RunScores, matrix: TransferMatrix) -> CellNoise:
    """Return the noise of every cell's CLTM, to first order.

    With seeds, they and the test sets are sources; without, single and double run of
    each target are, and the pair run is the cell's own. NaN where there is no standard
    error.

    Args:
        scores: Scores that ``matrix`` was made of.
        matrix: The estimates.
    """
    cells = matrix.raw_cltm
    unknown = ~np.isfinite(matrix.raw_cltm_se)
    if isinstance(scores, SeedScores):
        shared = cell_departures(seed_noise(scores), cells)
        return CellNoise(shared, np.where(unknown, np.nan, 0.0))
    n = len(cells)
    error = matrix.perf_se
    with np.errstate(divide="ignore", invalid="ignore"):
        by_single = (cells - 1) / matrix.self_gain * error[..., SINGLE]
        by_double = -cells / matrix.self_gain * error[..., DOUBLE]
        own = np.abs(error[..., PAIR] / matrix.self_gain)
    shared = np.zeros((n, n, 2 * n))
    targets = np.arange(n)
    shared[targets, :, targets] = np.nan_to_num(by_single)
    shared[targets, :, n + targets] = np.nan_to_num(by_double)
    return CellNoise(shared, np.where(unknown, np.nan, own))


def resampled(
    noise: SeedNoise, matrix: np.ndarray, layout: MatrixLayout, weights: np.ndarray
) -> MatrixBatch:
    """Estimate the matrix of every resample.

    Where a resample holds no seed of a cell, or its self-gain is exactly 0, the cell
    keeps its estimate.

    Args:
        noise: Noise of the scores that the matrix was made of.
        matrix: (n, n), estimates.
        layout: Cells that are there.
        weights: (m, s), how often each seed is in each resample.
    """
    # The residuals as they are, not enlarged: plain resamples of the seeds.
    count = noise.n_seeds
    shrink = np.sqrt(np.maximum(count - 1, 0) / np.maximum(count, 1))
    seeds = _sums(noise.there.astype(float), weights)
    numerator = noise.cross_gain * seeds + shrink * _sums(noise.cross_noise, weights)
    denominator = noise.self_gain * seeds + shrink * _sums(noise.self_noise, weights)
    return _ratios(numerator, denominator, matrix, layout)


def disturbed(
    noise: SeedNoise, quiet: np.ndarray, layout: MatrixLayout, weights: np.ndarray
) -> MatrixBatch:
    """Estimate a known matrix with the noise of every resample.

    Args:
        noise: Noise of the scores, and their self-gains.
        quiet: (n, n), finite, the matrix that stands for the truth.
        layout: Cells of the estimates.
        weights: (m, s), how often each seed is in each resample.
    """
    seeds = _sums(noise.there.astype(float), weights)
    self_gain = noise.self_gain * seeds
    numerator = quiet * self_gain + _sums(noise.cross_noise, weights)
    denominator = self_gain + _sums(noise.self_noise, weights)
    return _ratios(numerator, denominator, quiet, layout)


def _sums(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum (n, n, s) values over the seeds of each resample: (m, n, n).

    Sums, not means: the number of seeds cancels in the ratio of two of them.
    """
    n, _, s = values.shape
    return (weights @ values.reshape(n * n, s).T).reshape(len(weights), n, n)


def _ratios(
    numerator: np.ndarray,
    denominator: np.ndarray,
    otherwise: np.ndarray,
    layout: MatrixLayout,
) -> MatrixBatch:
    with np.errstate(divide="ignore", invalid="ignore"):
        cltm = np.divide(numerator, denominator, out=numerator)
    off_diagonal = layout.off_diagonal
    np.copyto(cltm, otherwise, where=~np.isfinite(cltm) & off_diagonal)
    cltm[:, ~off_diagonal] = 0.0
    itself = np.flatnonzero(np.diagonal(layout.there))
    cltm[:, itself, itself] = 1.0
    return MatrixBatch(layout, cltm)
