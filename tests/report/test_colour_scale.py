import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.report.colour_scale import (
    ANCHORS,
    colour_scale,
    relative_luminance,
    sequential_scale,
)

NARROW = colour_scale(np.array([0.8, 0.9, 1.1]))
WIDE = colour_scale(np.linspace(-12, 5, 500))


def test_range_always_shows_zero_and_one_and_stays_within_its_limits():
    assert (NARROW.low, NARROW.high) == (-0.5, 1.5)
    assert (WIDE.low, WIDE.high) == (-3, 2)
    assert colour_scale(np.array([np.nan])).low == -0.5


@pytest.mark.parametrize("value", [-0.4, 0.0, 0.3, 1.0, 1.4])
def test_a_value_has_the_same_colour_in_every_figure(value):
    np.testing.assert_allclose(NARROW.rgb(value), WIDE.rgb(value), atol=0.02)


@pytest.mark.parametrize("scale", [NARROW, WIDE])
def test_lightness_falls_on_either_side_of_zero(scale):
    for end in (scale.low, scale.high):
        path = np.linspace(0, end, 40)
        luminance = [relative_luminance(scale.rgb(value)) for value in path]
        assert all(np.diff(luminance) < 1e-3)
        assert luminance[-1] < luminance[0] - 0.3


def test_numbers_can_be_read_on_every_colour():
    for value in np.linspace(-3, 2, 101):
        background = relative_luminance(WIDE.rgb(value))
        text = 1.0 if WIDE.text_colour(value) == "white" else 0.01
        lighter, darker = max(background, text), min(background, text)
        assert (lighter + 0.05) / (darker + 0.05) >= 3.5  # WCAG 2 contrast ratio


def test_anchors_hold_the_two_values_that_mean_something():
    assert {0.0, 1.0} <= {value for value, _ in ANCHORS}


def test_ticks_of_cltm_hit_0_and_1():
    for scale in (NARROW, WIDE):
        for most in (5, 10):
            assert {0.0, 1.0} <= set(scale.ticks(most).tolist())
    assert NARROW.ticks(10).tolist() == [-0.5, 0.0, 0.5, 1.0, 1.5]


@given(st.lists(st.floats(0, 1), max_size=20))
def test_a_sequential_scale_covers_all_values_and_has_round_ticks(values):
    scale = sequential_scale(np.array([*values, np.nan]), "macro F1")
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in values)
    ticks = scale.ticks(10)
    assert 2 <= len(ticks) <= 11
    step = np.diff(ticks)
    np.testing.assert_allclose(step, step[0], rtol=1e-6)
    mantissa = float(f"{step[0]:.3e}".split("e")[0])
    assert mantissa in (1.0, 2.0, 5.0)


def test_lightness_of_a_sequential_scale_rises():
    scale = sequential_scale(np.array([0.4, 0.9]), "macro F1")
    luminance = [relative_luminance(scale.rgb(x)) for x in np.linspace(0.4, 0.9, 50)]
    assert (np.diff(luminance) > 0).all()
