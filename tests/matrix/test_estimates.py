import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from espnet2_cltm.matrix.estimates import (
    cell_moments,
    cltm_ratio,
    cltm_standard_error,
    estimate,
    identify_targets,
    relative_gain,
    relative_gain_standard_error,
)
from espnet2_cltm.matrix.scores import ResultsSource, SeedScores

SOURCE = ResultsSource("results.tsv", "0" * 64, "gender", "macro_f1", 60)


def seed_scores(single, double, pair, seeds=None) -> SeedScores:
    """Scores from (n, s), (n, s) and (n, n, s) arrays."""
    single, double, pair = (np.array(a, dtype=float) for a in (single, double, pair))
    n, s = single.shape
    codes = tuple(f"l{index:02d}" for index in range(n))
    zero_shot = np.full((n, n, s), np.nan)
    zero_shot[np.arange(n), np.arange(n)] = single
    pair[np.arange(n), np.arange(n)] = np.nan
    seeds = tuple(range(42, 42 + s)) if seeds is None else seeds
    return SeedScores(SOURCE, codes, codes, seeds, zero_shot, double, pair)


def random_scores(seed: int, n: int = 3, s: int = 5) -> SeedScores:
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.01, (n, s))
    single = 0.7 + shared + rng.normal(0, 0.005, (n, s))
    double = 0.8 + shared + rng.normal(0, 0.005, (n, s))
    pair = 0.76 + shared[:, None] + rng.normal(0, 0.02, (n, n, s))
    return seed_scores(single, double, pair)


def build(scores: SeedScores):
    return estimate(cell_moments(scores))


def test_matrix_of_two_languages_equals_the_hand_computed_one():
    # Target 0: (0.79 - 0.70) / (0.80 - 0.70); target 1: (0.60 - 0.50) / (0.70 - 0.50).
    scores = seed_scores(
        [[0.68, 0.72], [0.48, 0.52]],
        [[0.79, 0.81], [0.69, 0.71]],
        [[[0, 0], [0.78, 0.80]], [[0.57, 0.63], [0, 0]]],
    )
    matrix = build(scores)
    np.testing.assert_allclose(matrix.cltm, [[1, 0.9], [0.5, 1]], rtol=1e-12)
    np.testing.assert_allclose(
        matrix.relative_gain, [[0.1 / 0.7, 0.09 / 0.7], [0.2, 0.4]], rtol=1e-12
    )
    np.testing.assert_array_equal(matrix.n_seeds, 2)


def test_standard_error_equals_that_of_the_linearised_ratio_seed_by_seed():
    # The delta method's error is the standard error of the residuals p - s - r (d - s).
    scores = random_scores(1)
    matrix = build(scores)
    for i, j in [(0, 1), (2, 0)]:
        s, d, p = scores.single[i], scores.double[i], scores.pair[i, j]
        residual = (p - s) - matrix.cltm[i, j] * (d - s)
        expected = stats.sem(residual) / (d - s).mean()
        assert matrix.raw_cltm_se[i, j] == pytest.approx(expected, rel=1e-10)
        residual = (p - s) - matrix.relative_gain[i, j] * s
        expected = stats.sem(residual) / s.mean()
        assert matrix.relative_gain_se[i, j] == pytest.approx(expected, rel=1e-10)
        assert matrix.self_gain_se[i, j] == pytest.approx(stats.sem(d - s), rel=1e-10)
        assert matrix.cross_gain_se[i, j] == pytest.approx(stats.sem(p - s), rel=1e-10)
        np.testing.assert_allclose(
            matrix.perf_se[i, j], stats.sem(np.stack([s, d, p]), axis=1), rtol=1e-10
        )


def test_standard_error_agrees_with_a_monte_carlo_simulation():
    mean = np.array([0.70, 0.80, 0.77])
    deviation = np.array([0.015, 0.010, 0.012])
    correlation = np.array([[1, 0.6, 0.5], [0.6, 1, 0.3], [0.5, 0.3, 1]])
    covariance = np.outer(deviation, deviation) * correlation
    draws = np.random.default_rng(7).multivariate_normal(
        mean, covariance, size=(100_000, 10)
    )
    s, d, p = draws.mean(axis=1).T  # 100,000 experiments of 10 paired seeds
    expected = cltm_ratio(s, d, p).std(ddof=1)
    assert cltm_standard_error(mean, covariance / 10) == pytest.approx(
        expected, rel=0.02
    )
    expected = relative_gain(s, p).std(ddof=1)
    assert relative_gain_standard_error(mean, covariance / 10) == pytest.approx(
        expected, rel=0.02
    )
    # Taking the seeds for unpaired would be far off: the covariances matter.
    unpaired = cltm_standard_error(mean, np.diag(deviation**2) / 10)
    assert unpaired > 1.1 * cltm_standard_error(mean, covariance / 10)


def test_diagonal_is_one_without_error_and_relative_diagonal_is_the_self_gain():
    matrix = build(random_scores(2))
    np.testing.assert_array_equal(np.diagonal(matrix.cltm), 1.0)
    assert np.isnan(np.diagonal(matrix.raw_cltm_se)).all()
    np.testing.assert_allclose(
        np.diagonal(matrix.relative_gain),
        np.diagonal(matrix.self_gain) / np.diagonal(matrix.perf[..., 0]),
        rtol=1e-12,
    )


def test_cell_uses_the_seeds_that_its_three_runs_share():
    scores = random_scores(3, s=6)
    scores.double[0, 0] = np.nan
    scores.pair[0, 1, 1] = np.nan
    matrix = build(scores)
    assert matrix.n_seeds[0, 1] == 4
    assert matrix.n_seeds[0, 2] == 5
    assert matrix.n_seeds[0, 0] == 5
    assert matrix.n_seeds[1, 0] == 6
    common = slice(2, None)
    s, d, p = (
        a[common].mean()
        for a in (scores.single[0], scores.double[0], scores.pair[0, 1])
    )
    assert matrix.cltm[0, 1] == pytest.approx((p - s) / (d - s), rel=1e-12)


def test_low_scores_are_never_left_out():
    scores = random_scores(4)
    scores.pair[0, 1, 0] = 0.0  # one failed training
    assert build(scores).n_seeds[0, 1] == 5
    assert build(scores).cltm[0, 1] < build(random_scores(4)).cltm[0, 1]


@pytest.mark.parametrize(
    ("gap", "expected"),
    [("single", "no single run of l00"), ("double", "no double run of l00")],
)
def test_target_without_single_or_double_runs_has_no_row(gap, expected):
    scores = random_scores(5)
    getattr(scores, gap)[0] = np.nan
    if gap == "single":
        scores.zero_shot[0, 0] = np.nan
    matrix = build(scores)
    assert np.isnan(matrix.cltm[0]).all()
    assert np.isfinite(matrix.cltm[1:]).all()
    assert set(matrix.reason[0]) == {expected}
    # Without double runs the relative gain is still there.
    assert np.isfinite(matrix.relative_gain[0, 1:]).all() == (gap == "double")


def test_missing_pair_leaves_out_only_the_cells_it_was_for():
    scores = random_scores(6)
    scores.pair[0, 1] = np.nan
    matrix = build(scores)
    assert np.isnan(matrix.cltm).sum() == 1
    assert matrix.reason[0, 1] == "no pair run l00+l01 tested on l00"


def test_runs_without_a_seed_in_common_give_no_cell():
    scores = random_scores(7, s=2)
    scores.single[:]  # property: zero_shot is what is stored
    scores.zero_shot[0, 0, 0] = np.nan
    scores.pair[0, 1, 1] = np.nan
    matrix = build(scores)
    assert np.isnan(matrix.cltm[0, 1])
    assert "no seed in common" in matrix.reason[0, 1]


def test_undefined_metric_is_the_reason_given_for_its_cells():
    scores = random_scores(8)
    scores.pair[0, 1] = np.nan
    source = ResultsSource(
        "results.tsv", "", "gender", "macro_f1", 60, {("pair", "l00", "l01"): 5}
    )
    scores = SeedScores(
        source,
        scores.languages,
        scores.test_languages,
        scores.seeds,
        scores.zero_shot,
        scores.double,
        scores.pair,
    )
    assert build(scores).reason[0, 1] == (
        "macro_f1 is undefined for the pair run l00+l01 tested on l00"
    )


def test_identification_is_the_one_sided_paired_t_test():
    rng = np.random.default_rng(9)
    for _ in range(50):
        gains = rng.normal(0.01, 0.01, (1, 6))
        single = rng.normal(0.7, 0.05, (1, 6))
        single, double = np.repeat(single, 2, 0), np.repeat(single + gains, 2, 0)
        matrix = build(seed_scores(single, double, np.full((2, 2, 6), 0.75)))
        p = stats.ttest_rel(double[0], single[0], alternative="greater").pvalue
        assert matrix.target_identified[0] == (p < 0.05)


def test_target_not_identified_keeps_raw_estimates_but_no_row():
    scores = random_scores(10)
    scores.double[1] = scores.single[1] - 0.02
    matrix = build(scores)
    assert list(matrix.target_identified) == [True, False, True]
    assert np.isnan(matrix.cltm[1]).all()
    assert np.isfinite(matrix.raw_cltm[1]).all()
    assert "not clearly positive" in matrix.target_reason[1]
    assert matrix.reason[1, 0].startswith("target not identified")


def test_with_one_seed_the_sign_decides():
    identified, reasons = identify_targets(
        np.array([0.01, -0.01, 0.0]),
        np.full(3, np.nan),
        np.ones(3, dtype=int),
        np.zeros(3),
        np.full(3, "", dtype=object),
    )
    assert list(identified) == [True, False, False]
    assert reasons[0] == ""
    assert "one seed" in reasons[1]


def test_cell_whose_own_seeds_have_no_self_gain_is_not_identified():
    scores = random_scores(11, s=8)
    scores.double[0, 0] = scores.single[0, 0] - 0.01
    scores.pair[0, 1, 1:] = np.nan  # this cell has only the unlucky seed
    matrix = build(scores)
    assert matrix.target_identified[0]
    assert np.isnan(matrix.cltm[0, 1])
    assert "over the cell's 1 seed is not positive" in matrix.reason[0, 1]


def test_equal_single_and_double_give_no_ratio():
    assert math.isnan(cltm_ratio(np.array(0.7), np.array(0.7), np.array(0.8)))


def test_relative_gain_needs_a_positive_single_score():
    assert np.isnan(relative_gain(np.array([0.0, -0.2]), np.array([0.1, 0.1]))).all()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(0.1, 10),
    st.floats(-5, 5),
)
def test_affine_change_of_perf_leaves_the_cltm_unchanged(seed, scale, shift):
    scores = random_scores(seed)
    changed = seed_scores(
        *(scale * a + shift for a in (scores.single, scores.double, scores.pair))
    )
    before, after = build(scores), build(changed)
    np.testing.assert_allclose(after.raw_cltm, before.raw_cltm, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        after.raw_cltm_se, before.raw_cltm_se, rtol=1e-5, atol=1e-8
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_permuting_languages_permutes_the_matrix(seed, order):
    scores = random_scores(seed, n=4)
    square = np.ix_(order, order)
    permuted = seed_scores(
        scores.single[order], scores.double[order], scores.pair[square]
    )
    before, after = build(scores), build(permuted)
    for name in ("raw_cltm", "raw_cltm_se", "relative_gain", "cltm", "n_seeds"):
        np.testing.assert_array_equal(
            getattr(after, name), getattr(before, name)[square]
        )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(5)))
def test_order_of_seeds_does_not_matter(seed, order):
    scores = random_scores(seed)
    shuffled = seed_scores(
        *(a[..., order] for a in (scores.single, scores.double, scores.pair))
    )
    before, after = build(scores), build(shuffled)
    np.testing.assert_allclose(after.raw_cltm, before.raw_cltm, rtol=1e-9)
    np.testing.assert_allclose(after.raw_cltm_se, before.raw_cltm_se, rtol=1e-7)
