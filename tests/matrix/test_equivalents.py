"""Equivalent target utterances against curves worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from espnet2_cltm.matrix.equivalents import (
    Equivalent,
    TargetCurve,
    equivalent,
    isotonic,
    reached_at,
)
from espnet2_cltm.matrix.uncertainty import IntervalSettings

SETTINGS = IntervalSettings(resamples=1000)


def curve_of(perf, sizes=(2, 8, 32)):
    perf = np.array(perf, dtype=float)
    return TargetCurve(sizes, perf)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
@settings(max_examples=100, deadline=None)
def test_isotonic_regression_is_that_of_scikit_learn(values):
    values = np.array(values)
    np.testing.assert_allclose(isotonic(values), isotonic_regression(values), atol=1e-9)


def test_a_score_half_way_in_log_n_is_worth_the_geometric_mean():
    # 0.5 at 2, 0.7 at 8, 0.9 at 32: 0.6 is half way from 2 to 8, 4.
    sizes, curve = np.array([2.0, 8.0, 32.0]), np.array([0.5, 0.7, 0.9])
    scores = np.array([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.91])
    found = [float(reached_at(curve, sizes, score)) for score in scores]
    assert found == pytest.approx([0, 2, 4, 8, 16, 32, np.inf])


def test_where_the_curve_is_flat_the_smaller_n_counts():
    sizes, curve = np.array([2.0, 8.0, 32.0]), np.array([0.5, 0.7, 0.7])
    assert float(reached_at(curve, sizes, np.array(0.7))) == pytest.approx(8)


def test_what_lies_outside_of_the_curve_is_said():
    curve = curve_of([[0.5, 0.52], [0.7, 0.71], [0.9, 0.91]])
    above = equivalent(curve, np.array([0.95, 0.97]), SETTINGS)
    below = equivalent(curve, np.array([0.3, 0.32]), SETTINGS)
    assert above.text == "more than 32"
    assert below.text == "less than 2"
    assert not Equivalent(np.inf, 0.0, np.inf, 2, 32).is_known


def test_a_pool_of_the_target_itself_is_worth_its_own_n():
    """Paired with the curve, the score of single runs of N is worth N in every draw."""
    generator = np.random.default_rng(0)
    rise = np.array([0.5, 0.6, 0.7])[:, None]
    perf = rise + generator.normal(0, 0.01, (3, 5))
    found = equivalent(curve_of(perf), perf[1], SETTINGS)
    assert found.n == pytest.approx(8)
    assert found.low <= 8 <= found.high


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_other_runs_of_n_are_worth_n_within_the_interval(n_seeds):
    """Runs as good as single runs of 8, with noise of their own: 95% hold 8."""
    generator = np.random.default_rng(n_seeds)
    rise = np.array([0.5, 0.6, 0.7])[:, None]
    inside = []
    for _ in range(200):
        perf = rise + generator.normal(0, 0.03, (3, n_seeds))
        score = 0.6 + generator.normal(0, 0.03, n_seeds)
        found = equivalent(curve_of(perf), score, SETTINGS)
        inside.append(found.low <= 8 <= found.high)
    assert np.mean(inside) > 0.9


def test_one_seed_has_no_interval_and_one_n_no_curve():
    found = equivalent(curve_of([[0.5], [0.7], [0.9]]), np.array([0.7]), SETTINGS)
    assert found.text == "8"
    assert np.isnan(found.low)
    assert equivalent(curve_of([[0.5]], (2,)), np.array([0.7]), SETTINGS) is None
    nothing = np.array([np.nan])
    assert equivalent(curve_of([[0.5], [0.7], [0.9]]), nothing, SETTINGS) is None
