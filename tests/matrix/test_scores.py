"""Runs that lack some of the seeds are named."""

import numpy as np

from espnet2_cltm.matrix.scores import absent_seeds
from tests.matrix.simulator import Simulation, draw_scores, draw_truth


def scores():
    generator = np.random.default_rng(0)
    simulation = Simulation(n_languages=3, n_seeds=4)
    return draw_scores(draw_truth(simulation, generator), simulation, generator)


def test_complete_scores_lack_nothing():
    assert absent_seeds(scores()) == []


def test_runs_are_named_with_the_seeds_they_lack():
    found = scores()
    first, second, _ = found.languages
    found.zero_shot[0, 0, [1, 3]] = np.nan
    found.pair[1, 0, 0] = np.nan
    seeds = found.seeds
    assert absent_seeds(found) == [
        f"single {first} (seed {seeds[1]} {seeds[3]})",
        f"pair {first}+{second} tested on {second} (seed {seeds[0]})",
    ]


def test_a_run_without_any_seed_is_told_elsewhere():
    found = scores()
    found.double[2] = np.nan
    assert absent_seeds(found) == []
