"""How sure every cell is: confidence sets, tests and q-values.

Two intervals of the CLTM: Fieller's set (:mod:`espnet2_cltm.matrix.fieller`), and a
bootstrap over seeds where the file holds them. Two tests, both of differences and so
without the ratio's trouble with small self-gains:

    against 0:  Perf(i+j) - Perf(i)   = 0    the donor adds nothing
    against 1:  Perf(i+j) - Perf(i+i) = 0    it adds as much as the target itself

All rest on the seeds: they say how far other seeds' runs would differ on the same test
sets, not what other test sets would give. The diagonal is 1 by definition and has none.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.bootstrap import BootstrapLimits, bootstrap_limits
from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.fieller import RatioSets, fieller_sets
from espnet2_cltm.matrix.moments import DOUBLE, PAIR, SINGLE, CellMoments, contrast
from espnet2_cltm.matrix.scores import Scores, SeedScores
from espnet2_cltm.matrix.significance import (
    benjamini_hochberg,
    critical_value,
    two_sided_p,
)


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made.

    Attributes:
        confidence: Their level.
        resamples: Of the bootstrap.
        bootstrap_seed: Of its draws.
    """

    confidence: float = 0.95
    resamples: int = 10_000
    bootstrap_seed: int = 0


@dataclass(frozen=True)
class CellUncertainty:
    """What is known of each cell's uncertainty; arrays are (n, n).

    Attributes:
        settings: How the intervals were made.
        fieller: Sets of all cells with an estimate, identified or not.
        bootstrap: Limits of these; None where the file holds no seeds.
        p_zero: Two-sided p of the test against 0.
        p_one: The same against 1.
        q_zero: Benjamini-Hochberg over the identified off-diagonal cells, else NaN.
        q_one: The same against 1.
    """

    settings: IntervalSettings
    fieller: RatioSets
    bootstrap: BootstrapLimits | None
    p_zero: np.ndarray
    p_one: np.ndarray
    q_zero: np.ndarray
    q_one: np.ndarray


def cell_uncertainty(
    scores: Scores,
    moments: CellMoments,
    matrix: TransferMatrix,
    settings: IntervalSettings | None = None,
) -> CellUncertainty:
    """Compute the uncertainty of every cell of ``matrix``.

    Args:
        scores: Of which ``moments`` were made.
        moments: Of which ``matrix`` was made.
        matrix: The estimates.
        settings: How intervals are made.
    """
    settings = settings or IntervalSettings()
    bootstrap = None
    if isinstance(scores, SeedScores):
        bootstrap = bootstrap_limits(
            scores, settings.confidence, settings.resamples, settings.bootstrap_seed
        )
    p_zero = _p_value(moments, plus=PAIR, minus=SINGLE)
    p_one = _p_value(moments, plus=PAIR, minus=DOUBLE)
    identified = matrix.reason == ""
    return CellUncertainty(
        settings=settings,
        fieller=cell_fieller_sets(moments, settings.confidence),
        bootstrap=bootstrap,
        p_zero=p_zero,
        p_one=p_one,
        q_zero=benjamini_hochberg(np.where(identified, p_zero, np.nan)),
        q_one=benjamini_hochberg(np.where(identified, p_one, np.nan)),
    )


def cell_fieller_sets(moments: CellMoments, confidence: float) -> RatioSets:
    """Compute Fieller's set of every off-diagonal cell.

    Where runs are independent the degrees of freedom are those of x - g d at the
    estimate g.
    """
    single, double, pair = np.moveaxis(moments.mean, -1, 0)
    covariance = moments.covariance
    weights = np.zeros_like(moments.mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (pair - single) / (double - single)
    ratio = np.where(np.isfinite(ratio), ratio, 0.0)
    weights[..., SINGLE], weights[..., DOUBLE], weights[..., PAIR] = (
        ratio - 1,
        -ratio,
        1,
    )
    _, _, df = contrast(moments, weights)
    x, d = np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 1.0, 0.0])
    critical = critical_value(confidence, df)
    critical[np.eye(len(single), dtype=bool)] = np.nan
    return fieller_sets(
        pair - single,
        double - single,
        np.einsum("a,...ab,b", x, covariance, x),
        np.einsum("a,...ab,b", d, covariance, d),
        np.einsum("a,...ab,b", x, covariance, d),
        critical,
    )


def _p_value(moments: CellMoments, *, plus: int, minus: int) -> np.ndarray:
    weights = np.zeros(3)
    weights[plus], weights[minus] = 1.0, -1.0
    p = two_sided_p(*contrast(moments, weights))
    np.fill_diagonal(p, np.nan)
    return p
