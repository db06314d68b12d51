"""Runs are chosen where they tell most about which donors are best."""

from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.matrix.adaptive import (
    Measured,
    choose_runs,
    first_runs,
    judge,
    measured_gains,
)
from espnet2_cltm.matrix.prediction_model import ModelSettings

N, SEEDS, NOISE = 8, 10, 0.1
FEW = ModelSettings(burn_in=50, draws=100)
RELATIONS = np.zeros((N, N, 0))
OFF = ~np.eye(N, dtype=bool)


def measured(values, n_seeds):
    """What so many seeds of each pair tell of a matrix."""
    made = n_seeds > 0
    errors = np.where(made, NOISE / np.sqrt(np.maximum(n_seeds, 1)), np.nan)
    return Measured(
        np.where(made & OFF, values, np.nan),
        errors,
        np.full((N, N), NOISE),
        n_seeds,
        np.ones(N, dtype=bool),
    )


def matrix(seed=0):
    return np.random.default_rng(seed).standard_normal((N, N))


def with_seeds(n):
    return np.where(OFF, n, 0)


def test_the_best_donors_of_a_matrix_without_noise_are_known():
    values = matrix()
    known = replace(measured(values, with_seeds(10)), errors=np.full((N, N), 1e-6))
    standing = judge(known, RELATIONS, SEEDS, FEW)
    best = np.argsort(-np.where(OFF, values, -np.inf), axis=1)[:, :3]
    assert np.array_equal(standing.best, best)
    assert (standing.certainty > 0.99).all()
    assert not choose_runs(standing, known.n_seeds, SEEDS, 100)


def test_a_pair_between_the_last_place_and_the_next_is_worth_most():
    values = np.where(OFF, -3.0, 0.0) + 0.01 * matrix()
    values[:, 1:4] = 3.0  # the best donors of all targets but themselves
    values[1:4, :] = 0.1 * np.arange(N)[None, :] ** 2
    values[0, 4] = values[4, 0] = 3.0  # as good as the three
    standing = judge(measured(values, with_seeds(2)), RELATIONS, SEEDS, FEW)
    contenders = {(0, 1), (0, 2), (0, 3), (0, 4), (1, 4), (2, 4), (3, 4)}
    assert {run[:2] for run in choose_runs(standing, with_seeds(2), SEEDS, 8)} <= (
        contenders
    )
    assert standing.certainty[0] < 0.9 < standing.certainty[5]


def test_runs_keep_to_their_number_and_to_the_seeds_and_follow_from_the_data():
    n_seeds = with_seeds(9)
    n_seeds[0, 1] = n_seeds[1, 0] = 10
    n_seeds[2, 3] = n_seeds[3, 2] = 0
    first = judge(measured(matrix(), n_seeds), RELATIONS, SEEDS, FEW)
    runs = choose_runs(first, n_seeds, SEEDS, 7)
    assert sum(seeds - n_seeds[i, j] for i, j, seeds in runs) <= 7
    assert all(i < j and n_seeds[i, j] < seeds <= SEEDS for i, j, seeds in runs)
    assert (0, 1) not in {(i, j) for i, j, _ in runs}
    again = judge(measured(matrix(), n_seeds), RELATIONS, SEEDS, FEW)
    assert choose_runs(again, n_seeds, SEEDS, 7) == runs


def test_what_is_no_target_asks_for_no_run():
    known = measured(matrix(), with_seeds(2))
    known.values[7] = np.nan
    known = replace(known, targets=np.arange(N) < 7)
    standing = judge(known, RELATIONS, SEEDS, FEW)
    assert standing.certainty[7] == 1
    alone = replace(known, targets=np.zeros(N, dtype=bool))
    assert not judge(alone, RELATIONS, SEEDS, FEW).worth.any()


def test_gains_are_those_of_paired_seeds():
    single = np.array([[0.5, 0.6, 0.7], [0.2, 0.2, np.nan]])
    pair = np.full((2, 2, 3), np.nan)
    pair[0, 1] = [0.6, 0.9, np.nan]
    pair[1, 0] = [0.3, np.nan, np.nan]
    found = measured_gains(single, pair)
    assert found.values[0, 1] == pytest.approx(0.2)
    deviation = np.std([0.1, 0.3], ddof=1)
    assert found.errors[0, 1] == pytest.approx(deviation / np.sqrt(2))
    assert found.values[1, 0] == pytest.approx(0.1)
    assert found.errors[1, 0] == pytest.approx(deviation)  # that of the other target
    assert np.isnan(found.values[0, 0])
    one_seed = measured_gains(single[:, :1], pair[..., :1])
    assert np.isnan(one_seed.errors).all()
    assert found.n_seeds.tolist() == [[0, 2], [2, 0]]


def test_the_first_round_has_every_language_in_it():
    pairs = [(i, j) for i in range(N) for j in range(i)]
    runs = first_runs(pairs, N, SEEDS, 0.01)
    assert len(runs) == N and all(i < j and seeds == 2 for i, j, seeds in runs)
    assert first_runs(pairs, N, SEEDS, 0.01, most_runs=7) == runs[:3]
