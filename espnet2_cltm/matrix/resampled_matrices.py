"""A matrix many times over: from resampled seeds, and as other noise would have it.

:func:`resampled` estimates the matrix of bootstrap resamples of the seeds.
:func:`disturbed` takes a matrix that stands for the truth, adds the noise of these
resamples, and estimates it anew: how summary numbers of the disturbed matrices differ
from its own tells how far noise moves them.
"""

import numpy as np

from espnet2_cltm.matrix.matrix_layout import MatrixBatch, MatrixLayout
from espnet2_cltm.matrix.seed_noise import SeedNoise


def resampled(
    noise: SeedNoise, matrix: np.ndarray, layout: MatrixLayout, weights: np.ndarray
) -> MatrixBatch:
    """Estimate the matrix of every resample.

    Where a resample holds no seed of a cell, or its self-gain is exactly 0, the cell
    keeps its estimate.

    Args:
        noise: Of the scores that the matrix was made of.
        matrix: (n, n), estimates.
        layout: Its cells.
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
        noise: Of the scores; self-gains are theirs.
        quiet: (n, n), finite, the matrix that stands for the truth.
        layout: Of the estimates.
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
