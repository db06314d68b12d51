import numpy as np
import pytest

from espnet2_cltm.matrix.estimates import cell_moments, estimate
from espnet2_cltm.matrix.layout import layout_of
from espnet2_cltm.matrix.noise import disturbed, quiet_matrix, resampled, seed_noise
from espnet2_cltm.matrix.uncertainty import draw_weights
from tests.matrix.simulator import Simulation, draw_scores, draw_truth
from tests.matrix.test_estimates import random_scores, seed_scores

OFF = ~np.eye(20, dtype=bool)


def parts(scores):
    matrix = estimate(cell_moments(scores)).raw_cltm
    layout = layout_of(matrix, np.zeros(matrix.shape, dtype=bool))
    return seed_noise(scores), matrix, layout


def repeated(scores, weights: np.ndarray):
    seeds = np.repeat(np.arange(len(weights)), weights)
    return seed_scores(
        scores.single[:, seeds], scores.double[:, seeds], scores.pair[..., seeds]
    )


def test_noise_has_the_variance_of_the_gains():
    scores = random_scores(1, s=6)
    scores.pair[0, 1, :2] = np.nan
    noise = seed_noise(scores)
    gains = (scores.pair - scores.single[:, None])[0]
    assert noise.n_seeds[0, 1] == 4
    assert noise.cross_gain[0, 1] == pytest.approx(np.nanmean(gains[1]))
    assert (noise.cross_noise[0, 1] ** 2).sum() / 4 == pytest.approx(
        np.nanvar(gains[1], ddof=1)
    )
    assert (noise.cross_noise[0, 1, :2] == 0).all()


@pytest.mark.parametrize("missing", [False, True])
def test_resamples_are_matrices_of_repeated_seeds(missing):
    scores = random_scores(2, n=4, s=5)
    if missing:
        scores.pair[0, 1, 0] = scores.double[2, 3] = np.nan
    noise, matrix, layout = parts(scores)
    weights = draw_weights(5, 30, 0)
    found = resampled(noise, matrix, layout, weights).values
    for one, values in zip(weights.astype(int), found, strict=True):
        expected = estimate(cell_moments(repeated(scores, one))).raw_cltm
        np.testing.assert_allclose(values, expected, rtol=1e-9)


def test_cell_whose_seeds_are_not_drawn_keeps_its_estimate():
    scores = random_scores(3, n=3, s=4)
    scores.pair[0, 1, 1:] = np.nan
    noise, matrix, layout = parts(scores)
    found = resampled(noise, matrix, layout, np.array([[0.0, 2.0, 1.0, 1.0]]))
    assert found.values[0, 0, 1] == matrix[0, 1]
    assert found.values[0, 0, 2] != matrix[0, 2]


def test_undisturbed_resample_gives_the_quiet_matrix():
    scores = random_scores(4, n=4, s=5)
    noise, matrix, layout = parts(scores)
    quiet = quiet_matrix(noise, matrix, layout)
    found = disturbed(noise, quiet, layout, np.ones((1, 5))).values[0]
    np.testing.assert_allclose(found, quiet, rtol=1e-9)


def test_without_noise_the_quiet_matrix_is_the_estimate():
    simulation = Simulation(n_languages=5, run_sd=0.0)
    generator = np.random.default_rng(0)
    truth = draw_truth(simulation, generator)
    noise, matrix, layout = parts(draw_scores(truth, simulation, generator))
    quiet = quiet_matrix(noise, matrix, layout)
    np.testing.assert_allclose(quiet, truth.cltm, rtol=1e-6, atol=1e-6)


def test_quiet_matrix_spreads_as_the_truth_where_the_estimate_spreads_more():
    simulation = Simulation(n_languages=20, gain_sd=0.01, share_zero=0, share_one=0)
    spreads = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        truth = draw_truth(simulation, generator)
        noise, matrix, layout = parts(draw_scores(truth, simulation, generator))
        quiet = quiet_matrix(noise, matrix, layout)
        spreads.append([one[OFF].std() for one in (truth.cltm, matrix, quiet)])
    true, estimated, quiet = np.median(spreads, axis=0)
    assert estimated > 1.2 * true
    assert abs(quiet - true) < 0.5 * (estimated - true)


def test_pure_noise_leaves_no_spread_between_pairs():
    simulation = Simulation(
        n_languages=20, gain_sd=0.0, cltm_sd=0.0, share_zero=0, share_one=0
    )
    generator = np.random.default_rng(0)
    truth = draw_truth(simulation, generator)
    noise, matrix, layout = parts(draw_scores(truth, simulation, generator))
    quiet = quiet_matrix(noise, matrix, layout)
    assert quiet[OFF].std() < 0.3 * matrix[OFF].std()


def test_cells_that_are_missing_are_neither_used_nor_made():
    scores = random_scores(5, n=5, s=4)
    scores.double[1] = scores.pair[0, 2] = np.nan
    noise, matrix, layout = parts(scores)
    quiet = quiet_matrix(noise, matrix, layout)
    assert np.isfinite(quiet).all()
    np.testing.assert_array_equal(quiet[~layout.there], 0)
    assert (quiet[1] == 0).all()
