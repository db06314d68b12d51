"""Speaker metrics against scikit-learn, isotonic regression, brute force, by hand."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score, roc_curve

from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker import metrics
from espnet2_cltm.speaker.metrics import count_errors, score_trials


def scores_of(scores, is_target):
    computed = score_trials(scores, is_target)
    return {**computed.metrics, "n_test": computed.n_test}


def values(scores, is_target):
    """AUC, both EERs and both min DCFs, however few the trials."""
    counts = count_errors(scores, is_target)
    rates = [f(counts) for f in (metrics.roc_auc, metrics.eer, metrics.eer_hull)]
    return rates + [metrics.min_dcf(counts, prior) for prior in (0.01, 0.05)]


def roc_auc(scores, is_target):
    return metrics.roc_auc(count_errors(scores, is_target))


def eer(scores, is_target):
    return metrics.eer(count_errors(scores, is_target))


def eer_hull(scores, is_target):
    return metrics.eer_hull(count_errors(scores, is_target))


def min_dcf(scores, is_target, *costs, **more):
    return metrics.min_dcf(count_errors(scores, is_target), *costs, **more)


@st.composite
def scored_trials(draw, max_size=60):
    """Few distinct scores, for ties, or many; at least one trial of either kind."""
    n_trials = draw(st.integers(2, max_size))
    n_levels = draw(st.sampled_from([1, 2, 5, 1000]))
    levels = st.integers(-n_levels, n_levels)
    scores = draw(st.lists(levels, min_size=n_trials, max_size=n_trials))
    is_target = draw(st.lists(st.booleans(), min_size=n_trials, max_size=n_trials))
    is_target[:2] = [True, False]
    return np.array(scores, dtype=np.float32) / 8, np.array(is_target)


def random_trials(n_trials: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    is_target = generator.random(n_trials) < 0.4
    scores = generator.normal(1.2 * is_target, 1 + is_target).astype(np.float32)
    return np.round(scores, 2), is_target


def error_rates(scores, is_target) -> list[tuple[float, float]]:
    """P_miss and P_fa at every threshold, straight from their definition."""
    thresholds = [-np.inf, *sorted(set(scores.tolist()))]
    return [
        (np.mean(scores[is_target] <= limit), np.mean(scores[~is_target] > limit))
        for limit in thresholds
    ]


def eer_by_isotonic_regression(scores, is_target) -> float:
    """EER on the hull whose vertices are the blocks of pooled adjacent violators."""
    calibrated = IsotonicRegression().fit_transform(
        scores.astype(np.float64), is_target.astype(float)
    )
    # A block's trials differ in the last bit; rounding makes them tie.
    points = error_rates(calibrated.round(12), is_target)
    for (miss, fa), (next_miss, next_fa) in pairwise(points):
        if next_miss >= next_fa:
            share = (fa - miss) / ((fa - miss) + (next_miss - next_fa))
            return miss + share * (next_miss - miss)
    raise AssertionError("the hull ends at P_miss = 1, P_fa = 0")


def eer_at_the_worst_prior(scores, is_target) -> float:
    """The largest, over priors, of the least error rate over thresholds.

    A least error rate is a concave chain of lines of the prior, one line a threshold:
    its top lies where two of the lines cross.
    """
    points = np.array(error_rates(scores, is_target))
    priors = [0.0, 1.0]
    for (miss, fa), (other_miss, other_fa) in combinations(points, 2):
        slope = (miss - fa) - (other_miss - other_fa)
        if slope:
            priors.append(min(max((other_fa - fa) / slope, 0), 1))
    costs = np.outer(priors, points[:, 0]) + np.outer(
        1 - np.array(priors), points[:, 1]
    )
    return costs.min(axis=1).max()


@given(scored_trials())
def test_auc_equals_scikit_learns(trials):
    scores, is_target = trials
    expected = roc_auc_score(is_target, scores)
    assert roc_auc(scores, is_target) == pytest.approx(expected, abs=1e-12)


@given(scored_trials())
def test_eer_equals_that_of_pooled_adjacent_violators(trials):
    expected = eer_by_isotonic_regression(*trials)
    assert eer_hull(*trials) == pytest.approx(expected, abs=1e-9)


@given(scored_trials(max_size=25))
def test_eer_is_the_least_error_rate_at_the_worst_prior(trials):
    assert eer_hull(*trials) == pytest.approx(eer_at_the_worst_prior(*trials), abs=1e-9)


@given(scored_trials())
def test_eer_is_where_the_interpolated_roc_meets_the_diagonal(trials):
    scores, is_target = trials
    fpr, tpr, _ = roc_curve(is_target, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1 - x - np.interp(x, fpr, tpr), 0, 1, xtol=1e-12)
    if (np.diff(fpr) > 0).all():  # else the ROC is no function of P_fa
        assert eer(*trials) == pytest.approx(expected, abs=1e-9)
    assert eer(*trials) >= eer_hull(*trials) - 1e-12
    if len(set(scores)) == len(scores):
        # ESPnet's, at the threshold nearest to the diagonal.
        nearest = np.abs(1 - tpr - fpr).argmin()
        step = 1 / min(is_target.sum(), (~is_target).sum())
        assert abs(max(fpr[nearest], 1 - tpr[nearest]) - eer(*trials)) <= step + 1e-12


def test_min_dcf_is_not_told_where_one_false_alarm_changes_too_much():
    is_target = np.arange(400) < 200
    metrics = score_trials(np.arange(400.0), is_target).metrics
    assert np.isnan(metrics["min_dcf_p0.01"])  # it takes 990
    assert metrics["min_dcf_p0.05"] == 1.0  # 190


@given(scored_trials(max_size=30), st.floats(0.001, 0.999))
def test_min_dcf_is_the_least_cost_over_all_thresholds(trials, prior):
    costs = [prior * miss + (1 - prior) * fa for miss, fa in error_rates(*trials)]
    expected = min(costs) / min(prior, 1 - prior)
    assert min_dcf(*trials, prior) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_many_trials_have_the_metrics_of_the_references(seed):
    scores, is_target = random_trials(20000, seed)
    metrics = scores_of(scores, is_target)
    expected = roc_auc_score(is_target, scores)
    assert metrics["roc_auc"] == pytest.approx(expected, abs=1e-12)
    expected = eer_by_isotonic_regression(scores, is_target)
    assert metrics["eer_hull"] == pytest.approx(expected, abs=1e-9)
    assert metrics["n_test"] == 20000


@given(scored_trials(), st.data())
def test_increasing_transformations_and_permutations_change_nothing(trials, data):
    scores, is_target = trials
    metrics = scores_of(scores, is_target)
    assert scores_of(scores.astype(np.float64) ** 3, is_target) == metrics
    assert scores_of(3 * scores.astype(np.float64) - 7, is_target) == metrics
    order = data.draw(st.permutations(range(len(scores))))
    assert scores_of(scores[order], is_target[order]) == metrics


@given(scored_trials())
def test_metrics_keep_within_their_bounds(trials):
    scores, is_target = trials
    metrics = scores_of(scores, is_target)
    assert roc_auc(-scores, is_target) == pytest.approx(1 - metrics["roc_auc"])
    assert 0 <= metrics["eer_hull"] <= min(metrics["eer"], 0.5) + 1e-12
    assert metrics["eer"] <= 1
    for prior in (0.01, 0.05):
        assert 0 <= min_dcf(scores, is_target, prior) <= 1


@given(scored_trials())
def test_perfect_separation_makes_no_error(trials):
    scores, is_target = trials
    apart = np.where(is_target, 1000, 0) + scores
    assert values(apart, is_target) == [1, 0, 0, 0, 0]


@given(scored_trials())
def test_equal_scores_tell_nothing(trials):
    scores, is_target = trials
    assert values(np.full_like(scores, 0.3), is_target) == [0.5, 0.5, 0.5, 1, 1]


@pytest.mark.parametrize(
    ("target", "nontarget", "expected"),
    [
        (0.2, 0.1, [1, 0, 0, 0, 0]),
        (0.1, 0.2, [0, 1, 0.5, 1, 1]),
        (0.1, 0.1, [0.5, 0.5, 0.5, 1, 1]),
    ],
)
def test_two_trials_are_enough(target, nontarget, expected):
    trials = np.array([target, nontarget]), np.array([True, False])
    assert values(*trials) == expected
    assert scores_of(*trials)["n_test"] == 2


def test_values_by_hand():
    # Targets 3 and 1, nontargets 2 and 0. Three of four pairs are in order; the hull
    # runs from (P_miss, P_fa) = (0, 1/2) to (1/2, 0) and meets the diagonal at 1/4.
    scores = np.array([3.0, 1.0, 2.0, 0.0])
    is_target = np.array([True, True, False, False])
    assert roc_auc(scores, is_target) == 0.75
    assert eer_hull(scores, is_target) == 0.25
    assert eer(scores, is_target) == 0.5  # between nontarget 2 and target 1
    # Only nontarget 2 lies above target 1: rejecting both costs half the misses.
    assert min_dcf(scores, is_target, 0.01) == pytest.approx(0.5)


def test_a_million_trials_are_counted_without_overflow():
    n_trials = 3_000_000
    is_target = np.arange(n_trials) % 2 == 0
    assert values(np.arange(n_trials) // 2, is_target) == [0.5, 0.5, 0.5, 1, 1]


@pytest.mark.parametrize(
    ("scores", "is_target", "message"),
    [
        ([0.1, np.nan], [True, False], "score of trial 2 is nan"),
        ([-np.inf, 0.2], [True, False], "score of trial 1 is -inf"),
        ([0.1, 0.2], [False, False], "None of the 2 trials is a target trial"),
        ([0.1, 0.2], [True, True], "None of the 2 trials is a nontarget trial"),
        ([], [], "None of the 0 trials is a target trial"),
        ([0.1], [True, False], r"shape \(1,\) .* shape \(2,\)"),
    ],
)
def test_trials_that_cannot_be_scored_are_refused(scores, is_target, message):
    arrays = np.array(scores, dtype=np.float32), np.array(is_target, dtype=bool)
    with pytest.raises(UserError, match=message):
        score_trials(*arrays)
