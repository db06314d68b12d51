"""A Bayesian model of a transfer matrix with missing cells, and draws from it.

Rows i are targets, columns j donors. A cell, in units of the measured cells' deviation:

    cell[i,j] = mean + sum_k beta_k x_k[i,j]    how related the two languages are
                + target_i + donor_j            how much i gains, how much j gives
                + u_i . v_j                     which targets like which donors
                + f_i . a + f_j . b + f_i B f_j'   related languages behave alike
                + pair_{i,j}, the same for (j,i)
                + rest[i,j]                     Student's t or normal
    measured  = cell + noise of known standard error

It is the additive and multiplicative effects model of relational data (Hoff, *Dyadic
data analysis with amen*, arXiv:1506.08237). f are the leading eigenvectors of the
languages' relatedness, so that f_i B f_j' is a Gaussian process over pairs with a
Kronecker kernel, of reduced rank (Bonilla, Chai and Williams, *Multi-task Gaussian
Process Prediction*, 2007). Two structures of it are averaged (``STRUCTURES`` of
:mod:`espnet2_cltm.matrix.prediction_structure`): one learns u and v, and a scale of the
rest for each target, because a small self-gain in the denominator makes a whole row
noisy; one has f instead and a single scale. Half of the draws come from each; the
structures err in different cells.

A cell measured at a limit lies there or beyond (Tobin's censored regression, 1958). All
variances are learnt from the measured cells, by Gibbs sampling; deviations that may be
0 have half-t priors (Huang and Wand, *Bayesian Analysis* 8, 2013), which let what the
data do not show shrink away.
"""

import math
from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.prediction_sampler import Sampler
from espnet2_cltm.matrix.prediction_structure import STRUCTURES, ModelSettings

FARTHEST = 3.0  # a cell at a limit lies within this many limits


@dataclass(frozen=True)
class MatrixDraws:
    """Draws from the posterior, of all structures.

    Attributes:
        expected: (draws, n, n), expected cells, within the limits.
        cells: (draws, n, n), cells with a rest drawn anew: what an unmeasured cell may
            be, within the limits.
    """

    expected: np.ndarray
    cells: np.ndarray


def draw_matrices(
    matrix: np.ndarray,
    errors: np.ndarray,
    relations: np.ndarray,
    settings: ModelSettings | None = None,
    limit: float = math.inf,
) -> MatrixDraws:
    """Fit the model and draw from it.

    Args:
        matrix: (n, n), NaN where not measured; the diagonal does not count.
        errors: (n, n), standard errors of the measured cells; NaN, where not known,
            leaves the noise in the rest.
        relations: (n, n, p), standardised, symmetric; 0 where not known.
        settings: How the model is fitted.
        limit: Cells were clipped to ± this.

    Raises:
        ValueError: There are fewer than two measured cells.
    """
    settings = settings or ModelSettings()
    known = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    if known.sum() < 2:
        raise ValueError("the model needs at least two measured cells")
    centre, unit = matrix[known].mean(), matrix[known].std()
    unit = unit if unit > 0 else 1.0
    shape = (len(STRUCTURES) * settings.draws, *matrix.shape)
    expected, cells = np.empty(shape), np.empty(shape)
    for place, structure in enumerate(STRUCTURES):
        sampler = Sampler(
            np.where(known, (matrix - centre) / unit, 0.0),
            known,
            np.where(known & np.isfinite(errors), errors, 0.0) / unit,
            relations,
            ((-limit - centre) / unit, (limit - centre) / unit),
            (
                (-FARTHEST * limit - centre) / unit,
                (FARTHEST * limit - centre) / unit,
            ),
            structure,
            settings,
            np.random.default_rng((settings.seed, place)),
        )
        start = place * settings.draws
        for sweep in range(-settings.burn_in, settings.draws):
            sampler.sweep()
            if sweep >= 0:
                expected[start + sweep] = centre + unit * sampler.expected_within()
                cells[start + sweep] = centre + unit * sampler.draw_within()
    return MatrixDraws(expected, cells)
