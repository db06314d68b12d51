"""Likelihood ratios of trials against brute force, other solvers, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from espnet2_cltm.speaker.calibration import (
    CALIBRATION_METRICS,
    act_dcf,
    cllr,
    fit_calibration,
    min_cllr,
)
from espnet2_cltm.speaker.metrics import count_errors, min_dcf, score_trials
from tests.speaker.test_metrics import random_trials, scored_trials

NEUTRAL = (1.0, 0.0)


def plain_cllr(ratios, is_target):
    miss, fa = (
        np.mean(np.logaddexp(0, sign * ratios[of_kind]) / np.log(2))
        for sign, of_kind in ((-1, is_target), (1, ~is_target))
    )
    return (miss + fa) / 2


def pooled_ratios(scores, is_target):
    """Pool adjacent violators by definition: the blocks with too low shares merge."""
    blocks = [
        [is_target[scores == score].sum(), (scores == score).sum(), [score]]
        for score in sorted(set(scores))
    ]
    k = 0
    while k < len(blocks) - 1:
        (hits, n, members), (next_hits, next_n, next_members) = blocks[k : k + 2]
        if hits * next_n >= next_hits * n:
            blocks[k : k + 2] = [[hits + next_hits, n + next_n, members + next_members]]
            k = max(k - 1, 0)
        else:
            k += 1
    prior = np.log(is_target.sum() / (~is_target).sum())
    with np.errstate(divide="ignore"):
        ratio = {
            s: np.log(h) - np.log(n - h) - prior for h, n, of in blocks for s in of
        }
    return np.array([ratio[score] for score in scores])


@given(scored_trials())
def test_min_cllr_is_that_of_pooled_adjacent_violators(trials):
    expected = plain_cllr(pooled_ratios(*trials), trials[1])
    assert min_cllr(count_errors(*trials)) == pytest.approx(expected, abs=1e-9)


@given(scored_trials(), st.floats(0.1, 5), st.floats(-3, 3))
def test_cllr_is_its_definition_and_never_below_min_cllr(trials, scale, offset):
    scores, is_target = trials
    counts = count_errors(scores, is_target)
    found = cllr(counts, (scale, offset))
    expected = plain_cllr(scale * scores.astype(float) + offset, is_target)
    assert found == pytest.approx(expected)
    assert min_cllr(counts) <= min(found, 1) + 1e-9


@given(scored_trials(), st.floats(0.01, 0.9), st.floats(-5, 5), st.floats(-4, 4))
def test_actual_dcf_is_its_definition_and_never_below_min_dcf(trials, p, scale, offset):
    scores, is_target = trials
    counts = count_errors(scores, is_target)
    accepted = scale * scores.astype(float) + offset > np.log((1 - p) / p)
    cost = p * np.mean(~accepted[is_target]) + (1 - p) * np.mean(accepted[~is_target])
    found = act_dcf(counts, (scale, offset), p)
    if counts.n_nontargets * p < 10 * (1 - p):
        assert np.isnan(found) or found == pytest.approx(cost / min(p, 1 - p))
        return
    assert found == pytest.approx(cost / min(p, 1 - p))
    if scale > 0:
        assert found >= min_dcf(counts, p) - 1e-9


def test_metrics_by_hand():
    counts = count_errors(np.array([1.0, 0.0, -1.0]), np.array([True, True, False]))
    target = (np.log2(1 + np.exp(-1)) + 1) / 2
    expected = (target + np.log2(1 + np.exp(-1))) / 2
    assert cllr(counts, NEUTRAL) == pytest.approx(expected)
    assert cllr(counts, (0.0, 0.0)) == pytest.approx(1)
    assert min_cllr(counts) == 0
    scores = np.concatenate([np.full(200, -1.0), [1.0], np.full(4, 3.5), [0.0]])
    counts = count_errors(scores, np.arange(206) >= 201)
    # The threshold is log 19 = 2.94: one of five targets is missed, nothing accepted.
    assert act_dcf(counts, NEUTRAL, 0.05) == pytest.approx(0.2)
    assert np.isnan(act_dcf(counts, NEUTRAL, 0.01))


@pytest.mark.parametrize("seed", range(3))
def test_many_trials_have_the_calibration_of_scikit_learn(seed):
    scores, is_target = random_trials(20000, seed)
    balanced = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-10)
    balanced.fit(scores[:, None], is_target)
    found = fit_calibration(scores, is_target)
    expected = [balanced.coef_[0, 0], balanced.intercept_[0]]
    assert found == pytest.approx(expected, rel=2e-3, abs=2e-3)
    counts = count_errors(scores, is_target)
    assert min_cllr(counts) <= cllr(counts, found) < cllr(counts, NEUTRAL)


@given(scored_trials())
def test_the_fit_has_the_least_cost_and_stays_finite(trials):
    scores, is_target = trials
    n = [np.count_nonzero(~is_target), np.count_nonzero(is_target)]
    sure = np.where(is_target, (n[1] + 1) / (n[1] + 2), 1 / (n[0] + 2))
    weight = np.where(is_target, 0.5 / n[1], 0.5 / n[0])

    def cost(at):
        logit = at[0] * scores.astype(float) + at[1]
        return weight @ (np.logaddexp(0, logit) - sure * logit)

    found = fit_calibration(scores, is_target)
    assert np.isfinite(found).all()
    assert cost(found) <= minimize(cost, [0.0, 0.0], method="BFGS").fun + 1e-9


def test_each_metric_takes_the_calibration_that_it_names():
    scores, is_target = random_trials(5000, 4)
    calibrations = {"target": fit_calibration(scores, is_target), "donor": [0.0, 0.0]}
    found = score_trials(scores, is_target, CALIBRATION_METRICS, calibrations).metrics
    assert found["min_cllr"] < found["cllr_target"] < found["cllr_donor"]
    assert found["cllr_donor"] == pytest.approx(1)
    assert found["act_dcf_p0.01_donor"] == 1
    assert np.isnan(found["cllr_both"])
