import numpy as np
import pytest
from scipy import stats

from espnet2_cltm.matrix.bootstrap import bootstrap_limits, draw_weights, tail_level
from tests.matrix.test_estimates import random_scores, seed_scores


def test_limits_agree_with_scipys_bootstrap_of_one_cell():
    scores = random_scores(1, s=10)
    limits = bootstrap_limits(scores, 0.95, 10_000, 0)
    s, d, p = scores.single[0], scores.double[0], scores.pair[0, 1]
    expected = stats.bootstrap(
        (p - s, d - s),
        lambda x, d, axis: x.mean(axis=axis) / d.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=1 - 2 * float(tail_level(0.95, 10)),
        n_resamples=20_000,
        random_state=np.random.default_rng(5),
    ).confidence_interval
    width = expected.high - expected.low
    assert limits.low[0, 1] == pytest.approx(expected.low, abs=0.06 * width)
    assert limits.high[0, 1] == pytest.approx(expected.high, abs=0.06 * width)


def test_tail_level_makes_up_for_few_seeds():
    # Hesterberg (arXiv:1411.5279): Phi(-sqrt(n / (n - 1)) t), here with n = 10.
    expected = stats.norm.cdf(-np.sqrt(10 / 9) * stats.t.ppf(0.975, 9))
    assert tail_level(0.95, np.array(10)) == pytest.approx(expected)
    assert tail_level(0.95, np.array(100_000)) == pytest.approx(0.025, rel=1e-3)
    assert np.isnan(tail_level(0.95, np.array(1)))


def test_draws_have_as_many_seeds_as_there_are_and_follow_the_seed():
    weights = draw_weights(7, 500, 3)
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(weights, draw_weights(7, 500, 3))
    assert (weights != draw_weights(7, 500, 4)).any()


def test_limits_follow_the_seed_and_little_else():
    scores = random_scores(2)
    first = bootstrap_limits(scores, 0.95, 2000, 1)
    again = bootstrap_limits(scores, 0.95, 2000, 1)
    other = bootstrap_limits(scores, 0.95, 2000, 2)
    np.testing.assert_array_equal(first.low, again.low)
    assert np.nanmax(np.abs(first.low - other.low)) > 0
    assert (first.low < first.high)[~np.eye(3, dtype=bool)].all()
    assert np.isnan(np.diagonal(first.low)).all()


def test_higher_level_gives_a_wider_interval():
    scores = random_scores(3, s=8)
    narrow = bootstrap_limits(scores, 0.8, 4000, 1)
    wide = bootstrap_limits(scores, 0.99, 4000, 1)
    off = ~np.eye(3, dtype=bool)
    assert (wide.low < narrow.low)[off].all()
    assert (wide.high > narrow.high)[off].all()


def test_self_gain_that_may_be_zero_gives_an_unbounded_interval():
    scores = random_scores(4, s=10)
    scores.double[0] = scores.single[0] + np.linspace(-0.05, 0.055, 10)
    limits = bootstrap_limits(scores, 0.95, 2000, 0)
    assert (limits.low[0, 1], limits.high[0, 1]) == (-np.inf, np.inf)
    assert np.isfinite(limits.low[1, 0])


def test_cell_uses_the_seeds_that_it_has():
    scores = random_scores(5, s=8)
    complete = bootstrap_limits(scores, 0.95, 3000, 0)
    scores.pair[0, 1, 0] = np.nan
    scores.pair[0, 2, 1:] = np.nan
    limits = bootstrap_limits(scores, 0.95, 3000, 0)
    assert limits.low[0, 1] != complete.low[0, 1]
    assert np.isfinite(limits.low[0, 1])
    assert np.isnan(limits.low[0, 2])  # one seed
    assert limits.low[1, 0] == complete.low[1, 0]


def test_missing_seed_and_experiment_without_it_agree_closely():
    scores = random_scores(6, s=10)
    kept = slice(1, None)
    without = seed_scores(
        scores.single[:, kept], scores.double[:, kept], scores.pair[..., kept]
    )
    scores.pair[0, 1, 0] = np.nan
    a = bootstrap_limits(scores, 0.95, 10_000, 0)
    b = bootstrap_limits(without, 0.95, 10_000, 0)
    width = b.high[0, 1] - b.low[0, 1]
    assert a.low[0, 1] == pytest.approx(b.low[0, 1], abs=0.15 * width)
    assert a.high[0, 1] == pytest.approx(b.high[0, 1], abs=0.15 * width)
