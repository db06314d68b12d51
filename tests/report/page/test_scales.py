import numpy as np
import pytest

from espnet2_cltm.report.page.scales import (
    STOPS,
    gain_scale,
    perf_scale,
    transfer_scale,
)

NAN = np.nan


def brightness(colour: str) -> float:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def colour_at(scale, value):
    share = (value - scale["low"]) / (scale["high"] - scale["low"])
    return scale["colours"][round(share * (STOPS - 1))][1]


def test_transfer_is_neutral_at_zero_and_blue_at_one():
    values = np.array([[1, 0.3], [-0.4, 1]])
    scale = transfer_scale(values, values)
    assert (scale["low"], scale["high"]) == (-0.5, 1.5)
    assert brightness(colour_at(scale, 0.0)) > 235
    one = colour_at(scale, 1.0)
    assert int(one[5:], 16) > int(one[1:3], 16) + 100
    assert [x for x, _ in scale["colours"]] == pytest.approx(np.linspace(0, 1, STOPS))


def test_transfer_of_targets_that_are_not_identified_does_not_widen_the_scale():
    identified = np.array([[1, 0.3], [NAN, NAN]])
    every = np.array([[1, 0.3], [-40, 1]])
    assert transfer_scale(identified, every)["low"] == -0.5
    nothing = np.full((2, 2), NAN)
    assert transfer_scale(nothing, every)["low"] == -3


def test_gain_is_symmetric_with_its_neutral_colour_in_the_middle():
    scale = gain_scale(np.array([[0.2, -0.05], [NAN, 0.0]]))
    assert scale["low"] == -scale["high"]
    assert 0.19 < scale["high"] <= 0.2
    assert brightness(scale["colours"][STOPS // 2][1]) > 235


def test_perf_runs_from_the_smallest_to_the_largest_and_gets_brighter():
    scale = perf_scale(np.array([0.6, 0.9, NAN]))
    assert (scale["low"], scale["high"]) == (0.6, 0.9)
    levels = [brightness(colour) for _, colour in scale["colours"]]
    assert levels[0] < levels[STOPS // 2] < levels[-1]


@pytest.mark.parametrize("values", [np.full((2, 2), NAN), np.full((2, 2), 0.7)])
def test_no_values_and_equal_values_have_a_scale_of_some_width(values):
    for scale in (perf_scale(values), gain_scale(values)):
        assert scale["low"] < scale["high"]


def test_no_gain_at_all_has_a_scale_of_some_width():
    assert gain_scale(np.zeros((2, 2)))["high"] == 1
