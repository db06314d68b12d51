from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.matrix import property_intervals
from espnet2_cltm.matrix.estimates import cell_moments, estimate
from espnet2_cltm.matrix.layout import batch_of, layout_of
from espnet2_cltm.matrix.noise import quiet_matrix, seed_noise
from espnet2_cltm.matrix.properties import PROPERTIES, STRENGTHS
from espnet2_cltm.matrix.property_intervals import (
    ALL_COVER_LESS,
    IDENTIFIED_COVER_LESS,
    MOST_COSTLY,
    MatrixNumbers,
    matrix_numbers,
    matrix_numbers_with_intervals,
)
from espnet2_cltm.matrix.uncertainty import IntervalSettings, draw_weights, tail_level
from tests.matrix.simulator import Simulation, draw_scores, draw_truth
from tests.matrix.test_estimates import random_scores
from tests.matrix.test_noise import repeated


def related(n: int) -> np.ndarray:
    family = np.arange(n) // 2
    return (family[:, None] == family) & ~np.eye(n, dtype=bool)


def numbers(scores, level=0.95, resamples=120, seed=0, **options) -> MatrixNumbers:
    matrix = estimate(cell_moments(scores)).raw_cltm
    settings = IntervalSettings(level, resamples, seed)
    return matrix_numbers_with_intervals(
        scores, matrix, related(len(matrix)), settings, **options
    )


def test_every_property_and_strength_has_value_and_interval():
    found = numbers(random_scores(0, n=5, s=6))
    assert found.properties.keys() == PROPERTIES.keys()
    assert found.strengths.keys() == STRENGTHS.keys()
    strengths = [one for all_of in found.strengths.values() for one in all_of]
    for one in (*found.properties.values(), *strengths):
        assert one.low <= one.high
        assert one.note == ""
        assert one.resamples == 120
    for one in strengths:
        assert 1 <= one.rank_low <= one.rank_high <= 5


def test_condition_number_has_quantiles_over_matrices_of_repeated_seeds():
    scores = random_scores(1, n=4, s=6)
    one = numbers(scores, 0.9, 200, 4).properties["condition_number"]
    drawn = [
        np.linalg.cond(estimate(cell_moments(repeated(scores, weights))).raw_cltm)
        for weights in draw_weights(6, 200, 4).astype(int)
    ]
    tail = float(tail_level(0.9, 6))
    assert (one.low, one.high) == pytest.approx(np.quantile(drawn, [tail, 1 - tail]))
    assert (one.method, one.corrected) == ("percentile", None)


def test_other_intervals_are_draws_around_the_number_of_the_quiet_matrix():
    scores = random_scores(1, n=4, s=6)
    matrix = estimate(cell_moments(scores)).raw_cltm
    layout = layout_of(matrix, related(4))
    noise = seed_noise(scores)
    quiet = quiet_matrix(noise, matrix, layout)
    drawn = []
    for weights in draw_weights(6, 200, 4).astype(int):
        seeds = np.repeat(np.arange(6), weights)
        self_gain = noise.self_gain + noise.self_noise[..., seeds].mean(axis=-1)
        departure = noise.cross_noise[..., seeds].mean(axis=-1)
        cltm = (quiet * noise.self_gain + departure) / self_gain
        np.fill_diagonal(cltm, 1)
        drawn.append(np.linalg.norm(cltm - 1) / 4)
    low, high = np.quantile(drawn, [0.05, 0.95]) - np.median(drawn)
    rfd = numbers(scores, 0.9, 200, 4).properties["rfd"]
    centre = PROPERTIES["rfd"].compute(batch_of(quiet, layout))[0]
    assert rfd.corrected == pytest.approx(centre)
    assert rfd.low == pytest.approx(max(centre + low, 0))
    assert rfd.high == pytest.approx(centre + high)
    assert rfd.value == pytest.approx(np.linalg.norm(matrix - 1) / 4)


def test_intervals_hold_the_truth_where_estimates_are_far_off():
    # Shares, extremes and norms are the ones that a plain bootstrap misses.
    simulation = Simulation(
        n_languages=8, gain_mean=0.1, gain_sd=0.02, share_zero=0, share_one=0
    )
    names = ("rfd", "relative_asymmetry", "share_positive", "maximum", "reciprocity")
    held, bias, corrected = [], [], []
    for seed in range(25):
        generator = np.random.default_rng(seed)
        truth = draw_truth(simulation, generator)
        found = numbers(draw_scores(truth, simulation, generator), resamples=200)
        true = matrix_numbers(truth.cltm, related(8)).properties
        for name in names:
            one, value = found.properties[name], true[name].value
            held.append(one.low <= value <= one.high)
        asymmetry = found.properties["relative_asymmetry"]
        bias.append(asymmetry.value - true["relative_asymmetry"].value)
        corrected.append(asymmetry.corrected - true["relative_asymmetry"].value)
    assert np.mean(held) >= 0.9
    assert abs(np.mean(corrected)) < 0.6 * np.mean(bias)


def test_limits_stay_within_what_a_number_can_be():
    found = numbers(random_scores(5, n=3, s=3), 0.999)
    for name, one in found.properties.items():
        definition = PROPERTIES[name]
        assert definition.least <= one.low <= one.high <= definition.most
    components = found.properties["components_for_80_percent"]
    assert components.high <= 2
    assert components.low == int(components.low)


def test_higher_level_gives_wider_intervals():
    narrow, wide = (numbers(random_scores(6), level) for level in (0.8, 0.99))
    for name, one in narrow.properties.items():
        assert wide.properties[name].low <= one.low
        assert wide.properties[name].high >= one.high


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_two_seeds_have_values_and_no_interval(n_seeds):
    found = numbers(random_scores(2, s=n_seeds))
    rfd = found.properties["rfd"]
    assert (rfd.low, rfd.note) == (None, "needs 3 seeds")
    assert rfd.value > 0
    assert found.strengths["outgoing_mean"][0].rank_low is None


def test_file_without_seeds_says_so():
    rfd = matrix_numbers(np.full((2, 2), 0.5), related(2)).properties["rfd"]
    assert rfd.note == "no seeds: the file holds means and variances"


def test_matrix_without_cells_has_no_number_and_no_error():
    scores = random_scores(3)
    nothing = np.full((3, 3), np.nan)
    settings = IntervalSettings(resamples=20)
    found = matrix_numbers_with_intervals(scores, nothing, related(3), settings)
    assert {one.value for one in found.properties.values()} == {None}
    assert {one.note for one in found.properties.values()} == {"no cell"}


def test_missing_runs_leave_intervals_for_what_is_there():
    scores = random_scores(3, n=5)
    scores.pair[0, 1] = scores.double[4] = scores.pair[2, 3, :4] = np.nan
    found = numbers(scores)
    assert list(found.layout.square) == [0, 2, 3]
    assert all(one.low is not None for one in found.properties.values())
    incoming = found.strengths["incoming_mean"]
    assert (incoming[4].note, incoming[4].rank) == ("no cell", None)
    assert incoming[0].low is not None


def test_equal_runs_in_every_seed_have_intervals_without_width():
    simulation = Simulation(n_languages=4, run_sd=0.0)
    generator = np.random.default_rng(0)
    found = numbers(
        draw_scores(draw_truth(simulation, generator), simulation, generator)
    )
    rfd = found.properties["rfd"]
    assert rfd.low == pytest.approx(rfd.value) == rfd.high


def test_costly_numbers_take_fewer_resamples_and_say_so():
    found = numbers(random_scores(4), resamples=MOST_COSTLY + 150)
    assert found.properties["spectral_radius"].resamples == MOST_COSTLY
    assert found.properties["rfd"].resamples == MOST_COSTLY + 150


def test_poor_coverage_is_noted():
    found = numbers(random_scores(4), cover_less={"rfd": 0.712})
    assert found.properties["rfd"].coverage_note == (
        "at a level of 95% it held the truth in only 71% of the simulated matrices of "
        "the worst setting"
    )
    assert found.properties["maximum"].coverage_note == ""
    assert {*IDENTIFIED_COVER_LESS, *ALL_COVER_LESS} <= set(PROPERTIES)


def test_same_seed_gives_the_same_numbers_and_another_seed_others():
    scores = random_scores(4)
    first, again, other = (numbers(scores, seed=seed) for seed in (1, 1, 2))
    assert first.properties == again.properties
    assert first.strengths == again.strengths
    assert first.properties != other.properties


def test_scale_of_the_metric_does_not_matter():
    scores = random_scores(8)
    larger = replace(
        scores,
        zero_shot=3 * scores.zero_shot + 1,
        double=3 * scores.double + 1,
        pair=3 * scores.pair + 1,
    )
    for name, one in numbers(scores).properties.items():
        other = numbers(larger).properties[name]
        assert other.low == pytest.approx(one.low, rel=1e-6, abs=1e-9)
        assert other.high == pytest.approx(one.high, rel=1e-6, abs=1e-9)


def test_noise_of_test_sets_widens_the_intervals():
    simulation = Simulation(8, 5, gain_mean=0.4, test_run_sd=0.03, n_speakers=10)
    generator = np.random.default_rng(1)
    scores = draw_scores(draw_truth(simulation, generator), simulation, generator)
    widths = []
    for one in (scores, replace(scores, held_out=None)):
        mean = numbers(one, resamples=300).properties["mean_off_diagonal"]
        widths.append(mean.high - mean.low)
    assert widths[0] > 1.1 * widths[1]


def test_many_languages_have_fewer_resamples_and_say_so(monkeypatch):
    monkeypatch.setattr(property_intervals, "LARGE", 5)
    monkeypatch.setattr(property_intervals, "FEWEST", 60)
    small, large = (
        numbers(random_scores(4, n=n), resamples=400).properties for n in (5, 6)
    )
    assert small["rfd"].resamples == small["spectral_radius"].resamples == 400
    assert large["rfd"].resamples == int(400 * (5 / 6) ** 3)
    few = numbers(random_scores(4, n=20), resamples=400).properties
    assert few["rfd"].resamples == 60
