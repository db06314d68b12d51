"""The noise of the test set: results without groups of test speakers."""

from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.estimates import DOUBLE, SINGLE, cell_moments
from espnet2_cltm.matrix.held_out import (
    HeldOutScores,
    read_held_out,
    shared_covariance,
    sources_of_test_sets,
)
from espnet2_cltm.matrix.noise import departures_by_test_set, seed_noise
from espnet2_cltm.matrix.results import read_scores
from espnet2_cltm.matrix.uncertainty import IntervalSettings, analyse
from espnet2_cltm.results_format import HELD_OUT_COLUMNS
from tests.matrix.results_files import perf_rows, write_results
from tests.matrix.simulator import Simulation, draw_scores, draw_truth

SEEDS = (42, 43, 44)


def values(seed: int = 0, seeds: int = 4, groups: int = 6) -> np.ndarray:
    """Values of three runs, (3, seeds, groups), that share what groups do to them."""
    generator = np.random.default_rng(seed)
    of_groups = generator.normal(0, 1, (3, 1, groups))
    return of_groups + generator.normal(0, 0.1, (3, seeds, groups))


def test_shared_covariance_is_the_mean_over_pairs_of_different_seeds():
    held_out = values()
    departures = held_out - held_out.mean(axis=-1, keepdims=True)
    products = 5 / 6 * np.einsum("asg,btg->abst", departures, departures)
    different = ~np.eye(4, dtype=bool)
    found, groups = shared_covariance(held_out, np.ones(4, dtype=bool))
    np.testing.assert_allclose(found, products[..., different].mean(axis=-1))
    assert groups == 6


def test_what_differs_from_seed_to_seed_is_not_counted_twice():
    alone = np.random.default_rng(0).normal(0, 1, (3000, 3, 5, 8))
    found, _ = shared_covariance(alone, np.ones((3000, 5), dtype=bool))
    # A jackknife of the means would find 7 / 8 * 8 / 5 = 1.4 of each.
    assert np.diagonal(found, axis1=1, axis2=2).mean() < 0.5


def test_a_group_that_one_run_lacks_leaves_nothing_known():
    held_out = values()
    held_out[1, 2, 3] = np.nan
    found, groups = shared_covariance(held_out, np.ones(4, dtype=bool))
    assert not found.any() and groups == 0
    # Where its seed is not used it does not matter.
    used = np.array([True, True, False, True])
    assert shared_covariance(held_out, used)[1] == 6


def test_sources_sum_to_the_covariance_of_all_runs_of_a_target():
    n, s, groups = 3, 4, 9
    # Enough groups, and hardly anything of one seed, for a covariance of full rank.
    held_out = values(1, s, groups), *(values(k, s, groups) for k in (2, 3, 4))
    found = HeldOutScores(held_out[0], held_out[1], np.stack(held_out[1:]))
    sources = sources_of_test_sets(found)
    runs = found.pair[1].copy()
    runs[1] = found.double[1]
    runs = np.concatenate([runs, found.single[1][None]])
    covariance, _ = shared_covariance(runs, np.ones(s, dtype=bool))
    np.testing.assert_allclose(
        sources[1] @ sources[1].T, covariance, atol=1e-3 * covariance.max()
    )
    # A pair that a seed lacks is left undisturbed, and the others stay as they are.
    found.pair[1, 0, 2] = np.nan
    fewer = sources_of_test_sets(found)
    assert not fewer[1, 0].any()
    np.testing.assert_allclose(
        fewer[1, 1:] @ fewer[1, 1:].T, covariance[1:, 1:], atol=1e-3 * covariance.max()
    )
    assert sources.shape == (n, n + 1, sources.shape[-1])


def test_noise_of_a_test_set_is_that_of_the_cells_of_its_target():
    simulation = Simulation(5, 4, gain_mean=0.4, test_run_sd=0.03, n_speakers=10)
    generator = np.random.default_rng(3)
    scores = draw_scores(draw_truth(simulation, generator), simulation, generator)
    noise = seed_noise(scores)
    cells = np.full((5, 5), 0.5)
    found = departures_by_test_set(noise, cells)
    sources = sources_of_test_sets(scores.held_out)
    pair, single, double = sources[2, 0], sources[2, -1], sources[2, 2]
    change = (pair - single) - 0.5 * (double - single)
    np.testing.assert_allclose(found[2, 0], change / noise.self_gain[2, 0])


def test_intervals_are_wider_and_tests_more_careful_by_the_noise_of_the_test_set():
    simulation = Simulation(6, 5, gain_mean=0.4, test_run_sd=0.03, n_speakers=10)
    generator = np.random.default_rng(3)
    scores = draw_scores(draw_truth(simulation, generator), simulation, generator)
    known, unknown = (
        analyse(one, IntervalSettings(resamples=400))
        for one in (scores, replace(scores, held_out=None))
    )
    width = [a.uncertainty.gain_high - a.uncertainty.gain_low for a in (known, unknown)]
    assert width[0].mean() > 1.2 * width[1].mean()
    np.testing.assert_array_equal(known.matrix.raw_cltm, unknown.matrix.raw_cltm)
    assert (known.moments.n_groups == 10).all()
    bootstrap = [
        np.nanmedian(a.uncertainty.bootstrap.high - a.uncertainty.bootstrap.low)
        for a in (known, unknown)
    ]
    assert bootstrap[0] > bootstrap[1]


def test_values_are_read_from_the_file_beside_the_results(tmp_path):
    rows = perf_rows(
        ("ca", "es"), SEEDS, lambda kind, *run: 0.8 if kind == "double" else 0.7
    )
    path = write_results(tmp_path / "results.tsv", rows)
    assert read_scores(path).held_out is None
    # In all seeds the first speakers of ca suit the double run.
    value = {"double": "0.7 0.9"}
    lines = [
        "\t".join((row[0], row[6], row[7], value.get(row[2], "0.7 0.7")))
        for row in rows
        if row[6] in row[3].split("+")
    ]
    header = "run\ttest_language\tmetric\tvalues"
    beside = tmp_path / "held_out.tsv"
    beside.write_text("\n".join([header, *lines]) + "\n")
    moments = cell_moments(read_scores(path))
    assert (moments.n_groups == 2).all()
    shared = moments.shared[0, 1]
    assert shared[DOUBLE, DOUBLE] == pytest.approx(0.5 * 2 * 0.1**2)
    assert shared[SINGLE, SINGLE] == pytest.approx(0)
    beside.write_text("run\n")
    with pytest.raises(UserError, match=r"held_out\.tsv"):
        read_scores(path)


def test_values_that_are_not_numbers_are_named(tmp_path):
    path = tmp_path / "held_out.tsv"
    row = "\t".join(["run", "es", "macro_f1", "0.5 o.6"])
    path.write_text("\t".join(HELD_OUT_COLUMNS) + f"\n{row}\n")
    with pytest.raises(UserError, match=r"held_out\.tsv, line 2"):
        read_held_out(path, "macro_f1")
