import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from espnet2_cltm.matrix.fieller import fieller_sets


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
