"""A Bayesian model of a transfer matrix with missing cells, and draws from it.

Rows i are targets, columns j donors. A cell, in units of the measured cells' deviation:

    cell[i,j] = mean + sum_k beta_k x_k[i,j]    how related the two languages are
                + target_i + donor_j            how much i gains, how much j gives
                + u_i . v_j                     which targets like which donors
                + pair_{i,j}, the same for (j,i)
                + rest[i,j]                     Student's t, scale by target
    measured  = cell + noise of known standard error

The additive and multiplicative effects model of relational data (Hoff, *Dyadic data
analysis with amen*, arXiv:1506.08237), with a heavy-tailed rest whose scale differs by
target, because a small self-gain in the denominator makes a whole row noisy. All
variances are learnt from the measured cells, by Gibbs sampling.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

# Scales of the priors, in units of the measured cells' deviation. They are weak: a few
# languages' worth beside the data.
EFFECT_VARIANCE = 0.3
PAIR_VARIANCE = 0.1
RELATION_VARIANCE = 0.02
# Of the rest's Student distribution; which one is learnt, from heavy tails to normal.
DEGREES_OF_FREEDOM = np.array([2.5, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0])
SCALE_STRENGTH = 4.0  # cells that the targets' common scale is worth to each target


@dataclass(frozen=True)
class ModelSettings:
    """How the model is fitted.

    Attributes:
        rank: Length of u and v.
        burn_in: Sweeps that are thrown away.
        draws: Sweeps that are kept.
        seed: Of all draws.
    """

    rank: int = 2
    burn_in: int = 200
    draws: int = 400
    seed: int = 0


@dataclass(frozen=True)
class MatrixDraws:
    """Draws from the posterior.

    Attributes:
        expected: (draws, n, n), cells without their rest.
        cells: (draws, n, n), cells with a rest drawn anew: what an unmeasured cell may
            be.
    """

    expected: np.ndarray
    cells: np.ndarray


def draw_matrices(
    matrix: np.ndarray,
    errors: np.ndarray,
    relations: np.ndarray,
    settings: ModelSettings | None = None,
) -> MatrixDraws:
    """Fit the model and draw from it.

    Args:
        matrix: (n, n), NaN where not measured; the diagonal does not count.
        errors: (n, n), standard errors of the measured cells; NaN, where not known,
            leaves the noise in the rest.
        relations: (n, n, p), standardised; 0 where not known.
        settings: How the model is fitted.

    Raises:
        ValueError: There are fewer than two measured cells.
    """
    settings = settings or ModelSettings()
    known = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    if known.sum() < 2:
        raise ValueError("the model needs at least two measured cells")
    centre, unit = matrix[known].mean(), matrix[known].std()
    unit = unit if unit > 0 else 1.0
    sampler = _Sampler(
        np.where(known, (matrix - centre) / unit, 0.0),
        known,
        np.where(known & np.isfinite(errors), errors, 0.0) / unit,
        relations,
        settings,
    )
    shape = (settings.draws, *matrix.shape)
    expected, cells = np.empty(shape), np.empty(shape)
    for sweep in range(-settings.burn_in, settings.draws):
        sampler.sweep()
        if sweep >= 0:
            expected[sweep] = centre + unit * sampler.expected
            cells[sweep] = expected[sweep] + unit * sampler.draw_rest()
    return MatrixDraws(expected, cells)


class _Sampler:
    """State of the Markov chain: every sweep draws each part given all others."""

    def __init__(
        self,
        values: np.ndarray,
        known: np.ndarray,
        errors: np.ndarray,
        relations: np.ndarray,
        settings: ModelSettings,
    ) -> None:
        n = len(values)
        self.generator = np.random.default_rng(settings.seed)
        self.values, self.errors = values, errors
        self.known = known.astype(float)
        self.noisy = known & (errors > 0)
        # The first regressor is the mean.
        self.regressors = np.concatenate([np.ones((n, n, 1)), relations], axis=-1)
        self.freedom = 4.0
        self.width = 1 + settings.rank
        self.cells = values.copy()
        self.rows = self._normal(n, self.width) * 0.1  # target_i, u_i
        self.columns = self._normal(n, self.width) * 0.1  # donor_j, v_j
        self.covariance = EFFECT_VARIANCE * np.eye(2 * self.width)
        self.weights = np.ones((n, n))
        self.scale = np.full(n, 0.5)
        self.common_scale = 0.5
        self.coefficients = np.zeros(self.regressors.shape[-1])
        self.relation_variance = RELATION_VARIANCE
        self.pair = np.zeros((n, n))
        self.pair_variance = PAIR_VARIANCE

    @property
    def expected(self) -> np.ndarray:
        return self._fixed() + self._effects() + self.pair

    def draw_rest(self) -> np.ndarray:
        shape = self.known.shape
        return self.generator.standard_t(self.freedom, shape) * np.sqrt(
            self.scale[:, None]
        )

    def sweep(self) -> None:
        self._draw_cells()
        precision = self.known * self.weights / self.scale[:, None]
        self._draw_rows_and_columns(precision)
        self._draw_coefficients(precision)
        self._draw_pairs(precision)
        self._draw_covariance()
        self._draw_scales()

    def _normal(self, *shape: int) -> np.ndarray:
        return self.generator.standard_normal(shape)

    def _fixed(self) -> np.ndarray:
        return self.regressors @ self.coefficients

    def _effects(self) -> np.ndarray:
        rows, columns = self.rows, self.columns
        return rows[:, :1] + columns[:, 0] + rows[:, 1:] @ columns[:, 1:].T

    def _draw_cells(self) -> None:
        """Draw what a cell would be without the noise of its measurement."""
        if not self.noisy.any():
            return
        of_rest = (self.scale[:, None] / self.weights)[self.noisy]
        of_noise = self.errors[self.noisy] ** 2
        share = of_rest / (of_rest + of_noise)
        expected = self.expected[self.noisy]
        mean = expected + share * (self.values[self.noisy] - expected)
        self.cells[self.noisy] = mean + np.sqrt(share * of_noise) * self._normal(
            len(mean)
        )

    def _draw_rows_and_columns(self, precision: np.ndarray) -> None:
        width = self.width
        of_rows, of_columns = (
            self.covariance[:width, :width],
            self.covariance[width:, width:],
        )
        between = self.covariance[:width, width:]
        left = self.cells - self._fixed() - self.pair
        self.rows = self._draw_effects(
            precision,
            left - self.columns[:, 0],
            self.columns,
            *_conditional(of_rows, of_columns, between),
        )
        self.columns = self._draw_effects(
            precision.T,
            (left - self.rows[:, :1]).T,
            self.rows,
            *_conditional(of_columns, of_rows, between.T),
        )

    def _draw_effects(
        self,
        precision: np.ndarray,
        residual: np.ndarray,
        others: np.ndarray,
        slope: np.ndarray,
        prior_precision: np.ndarray,
    ) -> np.ndarray:
        """Draw one side's effects, given the other side's; all languages at once."""
        n, width = others.shape
        design = np.concatenate([np.ones((n, 1)), others[:, 1:]], axis=1)
        squares = (design[:, :, None] * design[:, None]).reshape(n, -1)
        posterior = (precision @ squares).reshape(n, width, width) + prior_precision
        # A language's two sides are correlated: its own other side is its prior mean.
        pull = (precision * residual) @ design + others @ slope.T @ prior_precision
        lower = np.linalg.cholesky(posterior)
        half = np.linalg.solve(lower, pull[..., None]) + self._normal(n, width, 1)
        return np.linalg.solve(np.swapaxes(lower, 1, 2), half)[..., 0]

    def _draw_coefficients(self, precision: np.ndarray) -> None:
        known = self.known > 0
        design, weight = self.regressors[known], precision[known]
        left = (self.cells - self._effects() - self.pair)[known]
        prior = np.full(design.shape[1], 1 / self.relation_variance)
        prior[0] = 0.01  # of the mean, which the data know well
        lower = np.linalg.cholesky((design.T * weight) @ design + np.diag(prior))
        half = np.linalg.solve(lower, design.T @ (weight * left))
        half += self._normal(len(prior))
        self.coefficients = np.linalg.solve(lower.T, half)
        of_relations = self.coefficients[1:]
        if len(of_relations):
            self.relation_variance = self._draw_variance(
                of_relations, RELATION_VARIANCE, 1.0
            )

    def _draw_pairs(self, precision: np.ndarray) -> None:
        weighted = precision * (self.cells - self._fixed() - self._effects())
        variance = 1 / (precision + precision.T + 1 / self.pair_variance)
        mean = variance * (weighted + weighted.T)
        drawn = mean + np.sqrt(variance) * self._normal(*mean.shape)
        upper = np.triu(drawn, 1)
        self.pair = upper + upper.T
        there = np.triu(self.known + self.known.T, 1) > 0
        self.pair_variance = self._draw_variance(self.pair[there], PAIR_VARIANCE, 5.0)

    def _draw_variance(
        self, values: np.ndarray, prior: float, strength: float
    ) -> float:
        total = strength * prior + (values**2).sum()
        return float(total / 2 / self.generator.gamma((strength + len(values)) / 2))

    def _draw_covariance(self) -> None:
        """Draw from the inverse Wishart distribution, by Bartlett's decomposition."""
        size = 2 * self.width
        effects = np.concatenate([self.rows, self.columns], axis=1)
        total = effects.T @ effects + 3 * EFFECT_VARIANCE * np.eye(size)
        freedom = size + 2 + len(effects)
        triangle = np.tril(self._normal(size, size), -1)
        chi_squared = self.generator.chisquare(freedom - np.arange(size))
        triangle[np.diag_indices(size)] = np.sqrt(chi_squared)
        root = np.linalg.cholesky(np.linalg.inv(total)) @ triangle
        self.covariance = np.linalg.inv(root @ root.T)

    def _draw_scales(self) -> None:
        """Draw each cell's weight, each target's scale and the scale common to all."""
        squares = self.known * (self.cells - self.expected) ** 2
        rate = (self.freedom + squares / self.scale[:, None]) / 2
        shape = (self.freedom + self.known) / 2
        self.weights = self.generator.gamma(shape) / rate
        self._draw_degrees_of_freedom()
        total = SCALE_STRENGTH * self.common_scale + (self.weights * squares).sum(
            axis=1
        )
        count = SCALE_STRENGTH + self.known.sum(axis=1)
        self.scale = total / 2 / self.generator.gamma(count / 2)
        n = len(self.scale)
        self.common_scale = float(
            self.generator.gamma(1 + n * SCALE_STRENGTH / 2)
            / (1 + SCALE_STRENGTH / 2 * (1 / self.scale).sum())
        )

    def _draw_degrees_of_freedom(self) -> None:
        """Draw from those that are allowed, given the weights of the measured cells."""
        weights = self.weights[self.known > 0]
        half = DEGREES_OF_FREEDOM / 2
        log_density = len(weights) * (half * np.log(half) - gammaln(half))
        log_density += half * (np.log(weights) - weights).sum()
        probability = np.exp(log_density - log_density.max())
        self.freedom = self.generator.choice(
            DEGREES_OF_FREEDOM, p=probability / probability.sum()
        )


def _conditional(
    own: np.ndarray, other: np.ndarray, between: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the slope and the precision of one side's effects given the other's."""
    slope = between @ np.linalg.inv(other)
    return slope, np.linalg.inv(own - slope @ between.T)
