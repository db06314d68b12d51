from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.matrix.estimates import cell_moments, estimate
from espnet2_cltm.matrix.uncertainty import IntervalSettings, cell_uncertainty
from tests.matrix.simulator import (
    Simulation,
    draw_scores,
    draw_truth,
    select_as_published,
    simulation_like,
    unpaired_cltm,
)
from tests.matrix.test_estimates import seed_scores


def draw(simulation: Simulation, seed: int = 0):
    generator = np.random.default_rng(seed)
    truth = draw_truth(simulation, generator)
    return truth, draw_scores(truth, simulation, generator)


def test_without_noise_the_estimate_is_the_truth():
    truth, scores = draw(Simulation(n_languages=6, run_sd=0.0))
    matrix = estimate(cell_moments(scores))
    np.testing.assert_allclose(matrix.cltm, truth.cltm, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(unpaired_cltm(scores), truth.cltm, rtol=1e-8, atol=1e-9)


def test_settings_are_found_again_in_what_was_drawn():
    simulation = Simulation(n_languages=60, n_seeds=20, gain_sd=0.04)
    truth, scores = draw(simulation, 1)
    found = simulation_like(scores)
    assert found.n_seeds == 20
    assert found.run_sd == pytest.approx(simulation.run_sd, rel=0.05)
    assert found.seed_correlation == pytest.approx(0.3, abs=0.04)
    assert found.gain_mean == pytest.approx(truth.gain.mean(), abs=0.006)
    assert found.gain_sd == pytest.approx(truth.gain.std(ddof=1), abs=0.006)
    assert truth.gain.mean() == pytest.approx(0.075, abs=0.015)
    assert simulation_like(scores, n_seeds=5).n_seeds == 5


def test_shares_of_zero_and_one_are_as_asked():
    truth, _ = draw(Simulation(n_languages=100, share_zero=0.3, share_one=0.1))
    cells = truth.cltm[~np.eye(100, dtype=bool)]
    assert (cells == 0).mean() == pytest.approx(0.3, abs=0.02)
    assert (cells == 1).mean() == pytest.approx(0.1, abs=0.02)
    assert (truth.gain > 0).all()


def test_difficulty_of_a_test_set_cancels():
    easy = Simulation(n_languages=4, test_set_sd=0.0)
    hard = replace(easy, test_set_sd=0.3)
    cltm = [unpaired_cltm(draw(simulation, 2)[1]) for simulation in (easy, hard)]
    np.testing.assert_allclose(*cltm, rtol=1e-9)


def test_same_seed_draws_the_same():
    first, again, other = (draw(Simulation(), seed)[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.pair, again.pair)
    assert (first.double != other.double).any()


def test_intervals_of_identified_cells_cover_the_truth():
    covered = []
    for seed in range(25):
        truth, scores = draw(Simulation(n_languages=8, n_seeds=5), seed)
        moments = cell_moments(scores)
        matrix = estimate(moments)
        settings = IntervalSettings(resamples=10)
        sets = cell_uncertainty(scores, moments, matrix, settings).fieller
        shown = (matrix.reason == "") & ~np.eye(8, dtype=bool)
        covered += list(sets.contains(truth.cltm)[shown])
    # Cells of a row share runs, so this spreads more than a binomial share.
    assert len(covered) > 500
    assert 0.91 < np.mean(covered) < 0.985


def test_published_selection_drops_good_singles_and_bad_doubles():
    single = [[0.5, 0.6, 0.7, 0.8, 0.9]] * 2
    double = [[0.4, 0.6, 0.7, 0.8, 0.95]] * 2  # mean 0.69
    pair = np.full((2, 2, 5), 0.8)
    kept = select_as_published(seed_scores(single, double, pair))
    # 0.9, 0.8 and 0.7 are above 0.69; doubles go until 0.7, 0.8, 0.95 have 0.817.
    np.testing.assert_array_equal(kept.single[0], [0.5, 0.6, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(kept.double[0], [np.nan, np.nan, 0.7, 0.8, 0.95])


def test_published_selection_keeps_a_fifth_of_singles_and_one_double():
    single = [[0.5, 0.6, 0.7, 0.8, 0.9]] * 2
    double = [[0.1, 0.2, 0.3, 0.4, 0.45]] * 2
    kept = select_as_published(seed_scores(single, double, np.full((2, 2, 5), 0.8)))
    assert list(kept.single[1][np.isfinite(kept.single[1])]) == [0.5]
    assert list(kept.double[1][np.isfinite(kept.double[1])]) == [0.45]


def test_published_selection_halves_a_transfer_of_one():
    # The method's own check: 20 languages, 10 seeds, seed deviation 0.015.
    simulation = Simulation(
        gain_mean=0.02,
        gain_sd=0.0,
        run_sd=0.015,
        seed_correlation=0.0,
        share_zero=0,
        share_one=1,
    )
    off = ~np.eye(20, dtype=bool)
    selected, every = [], []
    for seed in range(10):
        _, scores = draw(simulation, seed)
        every += list(unpaired_cltm(scores)[off])
        selected += list(unpaired_cltm(select_as_published(scores))[off])
    assert np.median(every) == pytest.approx(1, abs=0.1)
    assert np.median(selected) < 0.7
