"""A gap and its interval: by hand, and as often right as they say."""

import numpy as np
import pytest
from scipy import stats

from espnet2_cltm.abx.averaging import draw_speakers
from espnet2_cltm.gap.estimates import Errors, estimate

GAP = {"multi": 1, "mono": -1}


def test_a_gap_is_that_of_hand_and_its_variances_add_up():
    generator = np.random.default_rng(0)
    errors = {
        "mono": Errors(
            np.array([0.10, 0.12, 0.11]), generator.normal(0.11, 0.01, 50), 9
        ),
        "multi": Errors(
            np.array([0.14, 0.13, 0.15]), generator.normal(0.14, 0.01, 50), 9
        ),
    }
    found = estimate([errors], GAP)
    assert found.relative == pytest.approx((0.14 - 0.11) / 0.11)
    of_speakers = np.var(np.log(errors["multi"].drawn / errors["mono"].drawn), ddof=1)
    of_seeds = np.var(np.log([0.14 / 0.10, 0.13 / 0.12, 0.15 / 0.11]), ddof=1) / 3
    total = of_speakers + of_seeds
    freedom = total**2 / (of_speakers**2 / 8 + of_seeds**2 / 2)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(total)
    limits = np.expm1(np.log(0.14 / 0.11) + np.array([-half, half]))
    assert (found.low, found.high) == pytest.approx(tuple(limits))
    assert (found.seeds, found.speakers) == (3, 9)


def test_what_holds_for_every_speaker_and_seed_is_sure():
    drawn = np.linspace(0.05, 0.3, 40)
    mono = Errors(np.array([0.1, 0.2]), drawn, 5)
    multi = Errors(1.5 * mono.by_seed, 1.5 * drawn, 5)
    found = estimate([{"mono": mono, "multi": multi}] * 2, GAP)
    assert (found.relative, found.low, found.high) == pytest.approx((0.5,) * 3)
    one_seed = {"mono": Errors(mono.by_seed[:1], drawn, 5)} | {"multi": multi}
    one_seed["multi"] = Errors(multi.by_seed[:1], 1.5 * drawn, 5)
    assert np.isnan(estimate([one_seed], GAP).low)


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(1)
    speakers, seeds, held = 12, 3, []
    weights = draw_speakers(speakers, 100, 0) / speakers
    for _ in range(400):
        languages = []
        for _ in range(2):
            voice = generator.normal(0, 0.2, speakers)
            errors = {}
            for name, level in (("mono", 0.10), ("multi", 0.13)):
                own = voice + generator.normal(0, 0.15, speakers)
                of_seeds = generator.normal(0, 0.05, (seeds, 1))
                table = level * (1 + own + of_seeds)
                drawn = (table @ weights.T).mean(axis=0)
                errors[name] = Errors(table.mean(axis=1), drawn, speakers)
            languages.append(errors)
        found = estimate(languages, GAP)
        held.append(found.low < 0.3 < found.high)
    assert 0.92 < np.mean(held) < 0.99
