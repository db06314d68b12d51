"""Sentences and figure of targets without data."""

import math
from dataclasses import replace

import pytest

from espnet2_cltm.matrix.equivalents import Equivalent
from espnet2_cltm.matrix.languages import describe, read_languages
from espnet2_cltm.matrix.pool_results import read_pool_results
from espnet2_cltm.matrix.results import read_scores
from espnet2_cltm.report.pools import (
    Curve,
    Panel,
    draw_pools,
    few_shot_panels,
    perf_axis,
    pool_sentence,
    pool_sentences,
)
from tests.matrix.pool_files import LANGUAGES, write_pool_experiment
from tests.report.reports import CONF, FAST, make_report

NAMES = describe(LANGUAGES, read_languages(CONF))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_pool_experiment(tmp_path_factory.mktemp("exp"))


@pytest.fixture(scope="module")
def results(path):
    return read_pool_results(path, read_scores(path).source, FAST)


def with_pool(results, **changes):
    """Change the pool of Galician without shots."""
    pool = results.best_pool("gl")
    scores = [replace(s, **changes) if s is pool else s for s in results.scores]
    return replace(results, scores=scores)


def test_every_target_has_a_sentence(results):
    assert len(pool_sentences(results, NAMES)) == len(LANGUAGES)
    sentence = pool_sentence(results, "gl", NAMES)
    for part in (
        "For Galician without data",
        "Catalan, Portuguese and Spanish",
        "worth 12 utterances per class",
        "clearly above the best single donor, Portuguese",
        "with 2 labelled utterances per class of its own, clearly better (+0.020",
    ):
        assert part in sentence


def test_what_the_data_do_not_tell_is_not_claimed(results):
    unclear = {"best_donor": (0.01, -0.02, 0.04)}
    sentence = pool_sentence(with_pool(results, differences=unclear), "gl", NAMES)
    assert "not clearly different from the best single donor" in sentence
    anything = Equivalent(8.0, 0.0, math.inf, 2, 16)
    sentence = pool_sentence(with_pool(results, equivalent=anything), "gl", NAMES)
    assert "is unclear: anywhere from less than 2 to more than 16" in sentence
    sentence = pool_sentence(with_pool(results, equivalent=None), "gl", NAMES)
    assert "its worth is not known" in sentence


def test_shots_that_do_not_clearly_help_are_said_so(results):
    scores = [
        replace(s, differences={"no_shots": (0.01, -0.01, 0.03)}) if s.shots else s
        for s in results.scores
    ]
    sentence = pool_sentence(replace(results, scores=scores), "gl", NAMES)
    assert (
        "4 labelled utterances per class of its own, not clearly different" in sentence
    )


def test_shots_that_harm_are_said_so(results):
    scores = [
        replace(s, shots=1, differences={"no_shots": (-0.1, -0.15, -0.05)})
        if s.shots == 2
        else replace(s, differences={"no_shots": (0.01, -0.01, 0.03)})
        for s in results.scores
    ]
    sentence = pool_sentence(replace(results, scores=scores), "gl", NAMES)
    assert "1 labelled utterance per class of its own, clearly worse" in sentence
    assert "(-0.100 " in sentence


def test_a_panel_has_a_curve_for_every_way(results):
    panels = list(few_shot_panels(results, NAMES))
    assert [panel.title for panel in panels] == [NAMES[x].name for x in LANGUAGES]
    curves = {curve.name: curve.shots for curve in panels[0].curves}
    alone = [2, 4, 8, 16]
    assert curves == {
        "from the encoder alone": alone,
        "all": [0, 2, 4],
        "random:2": [0],
    }


def test_intervals_far_beyond_the_points_are_cut_off():
    curve = Curve("all", "k", [0, 1], [0, 1], [0.8, 0.9], [-3, 0.85], [0.85, math.nan])
    low, high = perf_axis([Panel("Galician", [curve])])
    assert 0.69 < low < 0.7 and 0.9 < high < 0.92


def test_the_figure_shows_what_there_is(path, results):
    report = make_report([read_scores(path)])
    assert draw_pools(report) is None
    figure = draw_pools(replace(report, pools=results))
    assert len(figure.axes) == 6
    figure.draw_without_rendering()
    for column in range(3):  # each names the shots below its lowest panel
        above = [axes for axes in figure.axes[column::3] if axes.axison]
        lowest = above[-1]
        assert any(label.get_visible() for label in lowest.get_xticklabels())
        assert "of the target" in lowest.get_xlabel()
