from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from espnet2_cltm.matrix.estimates import cell_moments, estimate
from espnet2_cltm.matrix.scores import AggregatedScores
from espnet2_cltm.matrix.uncertainty import (
    IntervalSettings,
    benjamini_hochberg,
    bootstrap_limits,
    cell_uncertainty,
    critical_value,
    draw_weights,
    fieller_sets,
    tail_level,
    two_sided_p,
    verdicts,
)
from tests.matrix.test_estimates import random_scores, seed_scores


def test_p_is_that_of_the_t_test():
    values = np.random.default_rng(0).normal(0.3, 1, 8)
    p = two_sided_p(values.mean(), stats.sem(values), np.array(7))
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-12)


def test_equal_runs_have_p_one_and_a_constant_difference_p_gain():
    p = two_sided_p(np.array([0.0, 0.1]), np.array([0.0, 0.0]), np.array([4, 4]))
    assert list(p) == [1, 0]


def test_nothing_is_tested_without_degrees_of_freedom():
    assert np.isnan(two_sided_p(np.array(0.1), np.array(np.nan), np.array(0)))
    assert np.isnan(critical_value(0.95, np.array(0)))


def test_critical_value_is_students_quantile():
    assert critical_value(0.95, np.array(9)) == pytest.approx(stats.t.ppf(0.975, 9))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_equals_that_of_scipy(p):
    if not hasattr(stats, "false_discovery_control"):
        pytest.skip("scipy before 1.11 has no false_discovery_control")
    q = benjamini_hochberg(np.array(p))
    np.testing.assert_allclose(q, stats.false_discovery_control(p), rtol=1e-12)


def test_q_counts_only_tests_that_were_made():
    p = np.array([[0.01, np.nan], [0.04, 0.03]])
    np.testing.assert_allclose(benjamini_hochberg(p), [[0.03, np.nan], [0.04, 0.04]])
    assert benjamini_hochberg(np.full(3, np.nan)).shape == (3,)


def finney(x, d, var_x, var_d, covariance, t):
    """The limits in Finney's form (Statistical Method in Biological Assay, 1964).

    With g = t^2 var(d) / d^2, it divides by 1 - g where this project solves a
    quadratic equation.
    """
    ratio, g = x / d, t**2 * var_d / d**2
    root = np.sqrt(
        var_x
        - 2 * ratio * covariance
        + ratio**2 * var_d
        - g * (var_x - covariance**2 / var_d)
    )
    middle = ratio - g * covariance / var_d
    return (middle - t / d * root) / (1 - g), (middle + t / d * root) / (1 - g)


def of_samples(x, d, level=0.95):
    covariance = np.cov(x, d) / len(x)
    critical = stats.t.ppf((1 + level) / 2, len(x) - 1)
    sets = fieller_sets(
        x.mean(),
        d.mean(),
        covariance[0, 0],
        covariance[1, 1],
        covariance[0, 1],
        critical,
    )
    return str(sets.kind), float(sets.low), float(sets.high)


def test_limits_equal_those_of_finneys_formula():
    arguments = (1.2, 0.8, 0.02, 0.01, 0.004, 2.262)
    sets = fieller_sets(*map(np.array, arguments))
    assert (sets.low, sets.high) == pytest.approx(finney(*arguments), rel=1e-12)
    assert sets.kind == "bounded"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.1, 0.3))
def test_set_holds_exactly_the_ratios_that_a_paired_t_test_does_not_reject(seed, gain):
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.03, 6)
    d = gain + shared + rng.normal(0, 0.05, 6)
    x = 0.6 * gain + shared + rng.normal(0, 0.05, 6)
    covariance = np.cov(x, d) / 6
    ratios = np.concatenate([np.linspace(-6, 6, 41), [-1e5, 1e5]])
    sets = fieller_sets(
        x.mean(),
        d.mean(),
        covariance[0, 0],
        covariance[1, 1],
        covariance[0, 1],
        stats.t.ppf(0.975, 5),
    )
    p = np.array([stats.ttest_1samp(x - ratio * d, 0).pvalue for ratio in ratios])
    clear = np.abs(p - 0.05) > 1e-6
    np.testing.assert_array_equal(sets.contains(ratios)[clear], (p > 0.05)[clear])


def test_denominator_that_may_be_zero_gives_an_unbounded_set():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, 10)
    kind, low, high = of_samples(5 + noise[::-1], 0.1 + noise)
    assert kind == "outside" and low < high
    kind, low, high = of_samples(0.2 + noise[::-1], 0.1 + noise)
    assert (kind, low, high) == ("whole line", -np.inf, np.inf)


@pytest.mark.parametrize(
    ("sign", "low", "high"), [(1.0, 0.75, np.inf), (-1.0, -np.inf, -0.75)]
)
def test_denominator_exactly_at_its_limit_gives_a_half_line(sign, low, high):
    # a = 2^2 - 2^2 * 1 = 0; 2 b g >= c with b = 4 and c = 16 - 4 * 2.5 = 6.
    sets = fieller_sets(*map(np.array, (sign * 4.0, 2.0, 2.5, 1.0, sign * 1.0, 2.0)))
    assert (sets.kind, sets.low, sets.high) == ("half-line", low, high)


def test_runs_without_noise_give_a_point():
    sets = fieller_sets(*map(np.array, (0.09, 0.1, 0.0, 0.0, 0.0, 2.0)))
    assert sets.kind == "bounded"
    assert (sets.low, sets.high) == pytest.approx((0.9, 0.9))
    at_zero = fieller_sets(*map(np.array, (0.0, 0.1, 0.0, 0.0, 0.0, 2.0)))
    assert (at_zero.low, at_zero.high) == (0, 0)


def test_unknown_variance_gives_no_set():
    sets = fieller_sets(*map(np.array, (0.1, 0.1, np.nan, 0.1, 0.0, 2.0)))
    assert sets.kind == ""
    assert np.isnan(sets.low) and np.isnan(sets.high)
    assert not sets.contains(np.array(1.0))


def test_limits_agree_with_scipys_bootstrap_of_one_cell():
    scores = random_scores(1, s=10)
    limits = bootstrap_limits(scores, IntervalSettings(0.95, 10_000, 0))
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
    first = bootstrap_limits(scores, IntervalSettings(0.95, 2000, 1))
    again = bootstrap_limits(scores, IntervalSettings(0.95, 2000, 1))
    other = bootstrap_limits(scores, IntervalSettings(0.95, 2000, 2))
    np.testing.assert_array_equal(first.low, again.low)
    assert np.nanmax(np.abs(first.low - other.low)) > 0
    assert (first.low < first.high)[~np.eye(3, dtype=bool)].all()
    assert np.isnan(np.diagonal(first.low)).all()


def test_higher_level_gives_a_wider_interval():
    scores = random_scores(3, s=8)
    narrow = bootstrap_limits(scores, IntervalSettings(0.8, 4000, 1))
    wide = bootstrap_limits(scores, IntervalSettings(0.99, 4000, 1))
    off = ~np.eye(3, dtype=bool)
    assert (wide.low < narrow.low)[off].all()
    assert (wide.high > narrow.high)[off].all()


def test_self_gain_that_may_be_zero_gives_an_unbounded_interval():
    scores = random_scores(4, s=10)
    scores.double[0] = scores.single[0] + np.linspace(-0.05, 0.055, 10)
    limits = bootstrap_limits(scores, IntervalSettings(0.95, 2000, 0))
    assert (limits.low[0, 1], limits.high[0, 1]) == (-np.inf, np.inf)
    assert np.isfinite(limits.low[1, 0])


def test_cell_uses_the_seeds_that_it_has():
    scores = random_scores(5, s=8)
    complete = bootstrap_limits(scores, IntervalSettings(0.95, 3000, 0))
    scores.pair[0, 1, 0] = np.nan
    scores.pair[0, 2, 1:] = np.nan
    limits = bootstrap_limits(scores, IntervalSettings(0.95, 3000, 0))
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
    a = bootstrap_limits(scores, IntervalSettings(0.95, 10_000, 0))
    b = bootstrap_limits(without, IntervalSettings(0.95, 10_000, 0))
    width = b.high[0, 1] - b.low[0, 1]
    assert a.low[0, 1] == pytest.approx(b.low[0, 1], abs=0.15 * width)
    assert a.high[0, 1] == pytest.approx(b.high[0, 1], abs=0.15 * width)


QUICK = IntervalSettings(resamples=200)


def uncertainty(scores):
    moments = cell_moments(scores)
    return cell_uncertainty(scores, moments, estimate(moments), QUICK)


def aggregated(scores) -> AggregatedScores:
    by_kind = {"single": scores.single, "double": scores.double, "pair": scores.pair}
    count = {kind: np.isfinite(a).sum(axis=-1) for kind, a in by_kind.items()}
    mean = {kind: a.mean(axis=-1) for kind, a in by_kind.items()}
    variance = {kind: a.var(axis=-1, ddof=1) for kind, a in by_kind.items()}
    return AggregatedScores(scores.source, scores.languages, mean, variance, count)


def test_tests_are_paired_t_tests_of_the_runs():
    scores = random_scores(1)
    scores.pair[0, 2, 1] = np.nan
    result = uncertainty(scores)
    s, d = scores.single[0], scores.double[0]
    for donor in (1, 2):
        p = scores.pair[0, donor]
        there = np.isfinite(p)
        expected = stats.ttest_rel(p[there], s[there]).pvalue
        assert result.p_gain[0, donor] == pytest.approx(expected, rel=1e-8)
        expected = stats.ttest_rel(p[there], d[there]).pvalue
        assert result.p_one[0, donor] == pytest.approx(expected, rel=1e-8)


def test_fieller_set_agrees_with_the_tests_against_zero_and_one():
    for seed in range(20):
        result = uncertainty(random_scores(seed, n=4))
        off = ~np.eye(4, dtype=bool)
        for ratio, p in ((0.0, result.p_gain), (1.0, result.p_one)):
            np.testing.assert_array_equal(
                result.fieller.contains(np.full((4, 4), ratio))[off], p[off] > 0.05
            )


def test_diagonal_has_no_interval_of_the_ratio_and_is_about_the_self_gain():
    scores = random_scores(2)
    result = uncertainty(scores)
    assert set(np.diagonal(result.fieller.kind)) == {""}
    for values in (result.fieller.low, result.p_one, result.q_one):
        assert np.isnan(np.diagonal(values)).all()
    test = stats.ttest_rel(scores.double, scores.single, axis=1)
    np.testing.assert_allclose(np.diagonal(result.p_gain), test.pvalue)
    interval = test.confidence_interval(0.95)
    np.testing.assert_allclose(np.diagonal(result.gain_low), interval.low)
    np.testing.assert_allclose(np.diagonal(result.gain_high), interval.high)


def test_gains_have_q_values_over_all_cells_and_over_all_targets():
    result = uncertainty(random_scores(3, n=4))
    itself = np.eye(4, dtype=bool)
    for family in (itself, ~itself):
        expected = benjamini_hochberg(result.p_gain[family])
        np.testing.assert_array_equal(result.q_gain[family], expected)


def test_verdicts_need_a_q_below_the_rate():
    gain, q = np.array([0.1, -0.1, 0.1, 0.1]), np.array([0.04, 0.04, 0.06, np.nan])
    assert verdicts(gain, q).tolist() == ["helps", "harms", "unclear", ""]


def test_target_not_identified_keeps_gains_and_intervals_but_has_no_q_against_one():
    scores = random_scores(3, n=4)
    scores.double[1] = scores.single[1] + np.array([-0.02, 0.03, -0.01, 0.01, 0])
    result = uncertainty(scores)
    others = [0, 2, 3]
    assert np.isfinite(result.p_gain[1, others]).all()
    assert (result.fieller.kind[1, others] != "bounded").all()
    assert np.isfinite(result.q_gain[1]).all()
    assert np.isnan(result.q_one[1]).all()
    if hasattr(stats, "false_discovery_control"):
        kept = np.isfinite(result.q_one)
        assert kept.sum() == 9
        np.testing.assert_allclose(
            result.q_one[kept], stats.false_discovery_control(result.p_one[kept])
        )


def test_one_seed_gives_no_interval():
    result = uncertainty(random_scores(4, s=1))
    assert set(result.fieller.kind.ravel()) == {""}
    assert np.isnan(result.p_gain).all()
    assert np.isnan(result.bootstrap.low).all()


def test_means_and_variances_give_the_interval_of_independent_runs():
    scores = aggregated(random_scores(5, s=8))
    result = uncertainty(scores)
    assert result.bootstrap is None
    s, d, p = (
        scores.mean["single"][0],
        scores.mean["double"][0],
        scores.mean["pair"][0, 1],
    )
    vs, vd, vp = (
        v / 8
        for v in (
            scores.variance["single"][0],
            scores.variance["double"][0],
            scores.variance["pair"][0, 1],
        )
    )
    r = (p - s) / (d - s)
    terms = np.array([(r - 1) ** 2 * vs, r**2 * vd, vp])
    df = terms.sum() ** 2 / (terms**2 / 7).sum()
    expected = fieller_sets(p - s, d - s, vp + vs, vd + vs, vs, stats.t.ppf(0.975, df))
    assert result.fieller.low[0, 1] == pytest.approx(float(expected.low), rel=1e-9)
    assert result.fieller.high[0, 1] == pytest.approx(float(expected.high), rel=1e-9)
    welch = stats.ttest_ind_from_stats(
        p, np.sqrt(vp * 8), 8, s, np.sqrt(vs * 8), 8, equal_var=False
    )
    assert result.p_gain[0, 1] == pytest.approx(welch.pvalue, rel=1e-9)


def test_aggregates_of_one_seed_give_no_interval():
    scores = aggregated(random_scores(6))
    ones = {kind: np.ones_like(count) for kind, count in scores.count.items()}
    unknown = {kind: np.full(c.shape, np.nan) for kind, c in ones.items()}
    result = uncertainty(replace(scores, count=ones, variance=unknown))
    assert set(result.fieller.kind.ravel()) == {""}
    assert np.isnan(result.p_one).all()
