from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from espnet2_cltm.matrix.estimates import estimate
from espnet2_cltm.matrix.fieller import fieller_sets
from espnet2_cltm.matrix.moments import cell_moments
from espnet2_cltm.matrix.scores import AggregatedScores
from espnet2_cltm.matrix.uncertainty import IntervalSettings, cell_uncertainty
from tests.matrix.test_estimates import random_scores

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
        assert result.p_zero[0, donor] == pytest.approx(expected, rel=1e-8)
        expected = stats.ttest_rel(p[there], d[there]).pvalue
        assert result.p_one[0, donor] == pytest.approx(expected, rel=1e-8)


def test_fieller_set_agrees_with_the_tests_against_zero_and_one():
    for seed in range(20):
        result = uncertainty(random_scores(seed, n=4))
        off = ~np.eye(4, dtype=bool)
        for ratio, p in ((0.0, result.p_zero), (1.0, result.p_one)):
            np.testing.assert_array_equal(
                result.fieller.contains(np.full((4, 4), ratio))[off], p[off] > 0.05
            )


def test_diagonal_has_no_interval_and_no_test():
    result = uncertainty(random_scores(2))
    assert set(np.diagonal(result.fieller.kind)) == {""}
    for values in (result.fieller.low, result.p_zero, result.p_one, result.q_zero):
        assert np.isnan(np.diagonal(values)).all()


def test_target_not_identified_keeps_its_intervals_but_is_left_out_of_q():
    scores = random_scores(3, n=4)
    scores.double[1] = scores.single[1] + np.array([-0.02, 0.03, -0.01, 0.01, 0])
    result = uncertainty(scores)
    others = [0, 2, 3]
    assert np.isfinite(result.p_zero[1, others]).all()
    assert (result.fieller.kind[1, others] != "bounded").all()
    assert np.isnan(result.q_zero[1]).all()
    if hasattr(stats, "false_discovery_control"):
        kept = np.isfinite(result.q_one)
        assert kept.sum() == 9
        np.testing.assert_allclose(
            result.q_one[kept], stats.false_discovery_control(result.p_one[kept])
        )


def test_one_seed_gives_no_interval():
    result = uncertainty(random_scores(4, s=1))
    assert set(result.fieller.kind.ravel()) == {""}
    assert np.isnan(result.p_zero).all()
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
    assert result.p_zero[0, 1] == pytest.approx(welch.pvalue, rel=1e-9)


def test_aggregates_of_one_seed_give_no_interval():
    scores = aggregated(random_scores(6))
    ones = {kind: np.ones_like(count) for kind, count in scores.count.items()}
    unknown = {kind: np.full(c.shape, np.nan) for kind, c in ones.items()}
    result = uncertainty(replace(scores, count=ones, variance=unknown))
    assert set(result.fieller.kind.ravel()) == {""}
    assert np.isnan(result.p_one).all()
