"""The noise of a matrix's cells, with what cells have in common.

All cells of a target rest on the same single and double runs, and all runs of a seed on
the same draws. So the errors of cells are correlated, and the noise of a row looks like
an effect of its target unless that is allowed for.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.matrix_layout import layout_of
from espnet2_cltm.matrix.moments import DOUBLE, PAIR, SINGLE
from espnet2_cltm.matrix.scores import Scores, SeedScores
from espnet2_cltm.matrix.seed_noise import cell_departures, seed_noise


@dataclass(frozen=True)
class CellNoise:
    """Errors of cells: covariance = shared @ shared.T + diag(own ** 2).

    Attributes:
        shared: (n, n, q), what each of q sources of noise changes in each cell.
        own: (n, n), standard error of what a cell has alone.
    """

    shared: np.ndarray
    own: np.ndarray


def independent_noise(standard_errors: np.ndarray) -> CellNoise:
    """Take the errors of all cells as independent.

    Args:
        standard_errors: (n, n), NaN where not known.
    """
    return CellNoise(np.zeros((*standard_errors.shape, 0)), standard_errors)


def cell_noise(scores: Scores, matrix: TransferMatrix) -> CellNoise:
    """Give the noise of every cell's CLTM, to first order.

    With seeds, each seed is a source; without, single and double run of each target
    are, and the pair run is the cell's own. NaN where there is no standard error.

    Args:
        scores: Of which ``matrix`` was made.
        matrix: The estimates.
    """
    cells = matrix.raw_cltm
    unknown = ~np.isfinite(matrix.raw_cltm_se)
    if isinstance(scores, SeedScores):
        no_family = np.zeros(cells.shape, dtype=bool)
        layout = layout_of(cells, no_family)
        shared = cell_departures(seed_noise(scores), cells, layout)
        own = np.where(unknown, np.nan, 0.0)
        return CellNoise(shared, own)
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
