import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from espnet2_cltm.report.colours import (
    ANCHORS,
    PAGE_STOPS,
    gain_scale,
    perf_scale,
    relative_luminance,
    transfer_scale,
)

NARROW = transfer_scale(np.array([0.8, 0.9, 1.1]))
WIDE = transfer_scale(np.linspace(-12, 5, 500))


def test_range_always_shows_zero_and_one_and_stays_within_its_limits():
    assert (NARROW.low, NARROW.high) == (-0.5, 1.5)
    assert (WIDE.low, WIDE.high) == (-3, 2)
    assert transfer_scale(np.array([np.nan])).low == -0.5


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
    scale = perf_scale(np.array([*values, np.nan]), "macro F1")
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in values)
    ticks = scale.ticks(10)
    assert 2 <= len(ticks) <= 11
    step = np.diff(ticks)
    np.testing.assert_allclose(step, step[0], rtol=1e-6)
    mantissa = float(f"{step[0]:.3e}".split("e")[0])
    assert mantissa in (1.0, 2.0, 5.0)


def test_lightness_of_a_sequential_scale_rises():
    scale = perf_scale(np.array([0.4, 0.9]), "macro F1")
    luminance = [relative_luminance(scale.rgb(x)) for x in np.linspace(0.4, 0.9, 50)]
    assert (np.diff(luminance) > 0).all()


def test_gain_is_symmetric_with_its_neutral_colour_in_the_middle():
    scale = gain_scale(np.array([[0.2, -0.05], [np.nan, 0.0]]))
    assert scale.low == -scale.high
    assert 0.19 < scale.high <= 0.2
    assert relative_luminance(scale.rgb(0.0)) > 0.85


def test_transfer_is_neutral_at_zero_and_blue_at_one():
    assert relative_luminance(NARROW.rgb(0.0)) > 0.85
    red, _, blue = NARROW.rgb(1.0)
    assert blue > red + 0.4


@pytest.mark.parametrize("values", [np.full((2, 2), np.nan), np.full((2, 2), 0.7)])
def test_no_values_and_equal_values_have_a_scale_of_some_width(values):
    for scale in (perf_scale(values), gain_scale(values)):
        assert scale.low < scale.high
    assert gain_scale(np.zeros((2, 2))).high == 1


def test_the_page_has_the_same_colours():
    given = NARROW.for_page()
    assert (given["low"], given["high"]) == (NARROW.low, NARROW.high)
    places, colours = zip(*given["colours"], strict=True)
    np.testing.assert_allclose(places, np.linspace(0, 1, PAGE_STOPS))
    for value in (NARROW.low, 0.5, NARROW.high):
        share = (value - NARROW.low) / (NARROW.high - NARROW.low)
        shown = to_rgb(colours[round(share * (PAGE_STOPS - 1))])
        np.testing.assert_allclose(shown, NARROW.rgb(value), atol=0.005)
