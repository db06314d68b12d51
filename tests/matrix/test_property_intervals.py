import numpy as np
import pytest

from espnet2_cltm.matrix.bootstrap import draw_weights, tail_level
from espnet2_cltm.matrix.estimates import estimate
from espnet2_cltm.matrix.moments import cell_moments
from espnet2_cltm.matrix.properties import matrix_properties
from espnet2_cltm.matrix.property_intervals import property_intervals
from espnet2_cltm.matrix.simulator import Simulation, draw_scores, draw_truth
from tests.matrix.test_estimates import random_scores, seed_scores


def matrix_of(scores) -> np.ndarray:
    return estimate(cell_moments(scores)).cltm


def test_limits_are_quantiles_over_matrices_of_repeated_seeds():
    scores = random_scores(1, s=6)
    matrix = matrix_of(scores)
    intervals = property_intervals(scores, matrix, 0.9, 300, 4)
    drawn = []
    for weights in draw_weights(6, 300, 4).astype(int):
        seeds = np.repeat(np.arange(6), weights)
        resample = seed_scores(
            scores.single[:, seeds], scores.double[:, seeds], scores.pair[..., seeds]
        )
        drawn.append(matrix_properties(estimate(cell_moments(resample)).raw_cltm))
    tails = [float(tail_level(0.9, 6)), 1 - float(tail_level(0.9, 6))]
    expected = np.quantile([one.mean_off_diagonal for one in drawn], tails)
    assert intervals["mean_off_diagonal"] == pytest.approx(expected)
    low, high = np.quantile([one.rfd for one in drawn], tails)
    rfd = matrix_properties(matrix).rfd
    expected = (max(2 * rfd - high, 0), 2 * rfd - low)
    assert intervals["rfd"] == pytest.approx(expected)


def test_interval_of_the_mean_holds_the_true_mean():
    simulation = Simulation(n_languages=5, gain_mean=0.15, gain_sd=0.03)
    off = ~np.eye(5, dtype=bool)
    held = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        truth = draw_truth(simulation, generator)
        scores = draw_scores(truth, simulation, generator)
        matrix = estimate(cell_moments(scores)).raw_cltm
        low, high = property_intervals(scores, matrix, 0.95, 200, 0)[
            "mean_off_diagonal"
        ]
        held.append(low <= truth.cltm[off].mean() <= high)
    assert np.mean(held) >= 0.8


def test_one_seed_and_incomplete_matrix_have_no_interval():
    one = random_scores(2, s=1)
    assert set(property_intervals(one, matrix_of(one), 0.95, 20, 0).values()) == {None}
    scores = random_scores(3)
    scores.pair[0, 1] = np.nan
    intervals = property_intervals(scores, matrix_of(scores), 0.95, 20, 0)
    assert intervals["relative_asymmetry"] is None
    assert intervals["rfd"] is not None


def test_same_seed_gives_the_same_limits():
    scores = random_scores(4)
    first, again, other = (
        property_intervals(scores, matrix_of(scores), 0.95, 150, seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
