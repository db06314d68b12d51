import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from espnet2_cltm.matrix.significance import (
    benjamini_hochberg,
    critical_value,
    two_sided_p,
)


def test_p_is_that_of_the_t_test():
    values = np.random.default_rng(0).normal(0.3, 1, 8)
    p = two_sided_p(values.mean(), stats.sem(values), np.array(7))
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-12)


def test_equal_runs_have_p_one_and_a_constant_difference_p_zero():
    p = two_sided_p(np.array([0.0, 0.1]), np.array([0.0, 0.0]), np.array([4, 4]))
    assert list(p) == [1, 0]


def test_nothing_is_tested_without_degrees_of_freedom():
    assert np.isnan(two_sided_p(np.array(0.1), np.array(np.nan), np.array(0)))
    assert np.isnan(critical_value(0.95, np.array(0)))


def test_critical_value_is_students_quantile():
    assert critical_value(0.95, np.array(9)) == pytest.approx(stats.t.ppf(0.975, 9))


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
