"""All that is known of one metric's matrix: scores, estimates, their uncertainty."""

from dataclasses import dataclass

from espnet2_cltm.matrix.estimates import TransferMatrix, estimate
from espnet2_cltm.matrix.moments import CellMoments, cell_moments
from espnet2_cltm.matrix.scores import Scores
from espnet2_cltm.matrix.uncertainty import (
    CellUncertainty,
    IntervalSettings,
    cell_uncertainty,
)


@dataclass(frozen=True)
class Analysis:
    """A metric's scores and what follows from them.

    Attributes:
        scores: Of every run.
        moments: Means over seeds and their covariance.
        matrix: The estimates.
        uncertainty: Of the estimates.
    """

    scores: Scores
    moments: CellMoments
    matrix: TransferMatrix
    uncertainty: CellUncertainty


def analyse(scores: Scores, settings: IntervalSettings) -> Analysis:
    """Estimate the matrix of some scores, and how sure it is.

    Args:
        scores: Of one task and metric.
        settings: How intervals are made.
    """
    moments = cell_moments(scores)
    matrix = estimate(moments)
    uncertainty = cell_uncertainty(scores, moments, matrix, settings)
    return Analysis(scores, moments, matrix, uncertainty)
