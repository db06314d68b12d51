from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from espnet2_cltm.matrix.regime import LearningCurves, RegimeSettings, find_regime
from espnet2_cltm.matrix.scores import ResultsSource
from espnet2_cltm.report.regime_figure import FoundRegime, draw_regime
from tests.report.figure_texts import boxes, lie_inside, overlap, texts

SIZES = (2, 4, 8, 16, 32, 64)


def found(n: int, seeds: int = 4, sizes=SIZES, **settings) -> FoundRegime:
    rng = np.random.default_rng(n)
    middle = 2.5 + rng.normal(0, 0.4, (n, 1))
    mean = 0.5 + 0.4 / (1 + np.exp(-(np.log(sizes) - middle) / 0.6))
    perf = mean[..., None] + rng.normal(0, 0.01, (n, len(sizes), seeds))
    curves = LearningCurves(
        ResultsSource("results.tsv", "0" * 64, "gender", "macro_f1"),
        tuple(f"lang-{k:02d}" for k in range(n)),
        tuple(sizes),
        tuple(range(seeds)),
        perf,
    )
    return FoundRegime(curves, find_regime(curves, RegimeSettings(**settings)))


@pytest.mark.parametrize("n", [1, 2, 4, 8, 9, 54])
def test_no_text_is_cut(n):
    figure = draw_regime(found(n))
    assert lie_inside(figure)
    assert not overlap(boxes(figure, list(figure.texts)))


@pytest.mark.parametrize("n", [2, 8])
def test_few_languages_are_named_once_each_and_no_name_covers_another(n):
    shown = found(n)
    figure = draw_regime(shown)
    legend = figure.axes[0].get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert names == list(shown.curves.languages)
    assert not overlap(boxes(figure, legend.get_texts()))
    said = texts(figure)
    assert [said.count(name) for name in names] == n * [1]
    right = boxes(figure, figure.axes[1].get_yticklabels())
    assert max(box.x1 for box in boxes(figure, legend.get_texts())) < right[0].x0


def test_of_many_languages_the_median_stands_out_and_none_is_named():
    shown = found(54)
    figure = draw_regime(shown)
    assert not set(texts(figure)) & set(shown.curves.languages)
    thickest = max(figure.axes[0].lines, key=lambda line: line.get_linewidth())
    expected = np.median(shown.curves.perf.mean(axis=-1), axis=0)
    assert thickest.get_ydata() == pytest.approx(expected)


def test_both_panels_have_the_same_axis_and_mark_the_suggested_n():
    shown = found(4)
    figure = draw_regime(shown)
    curves, index = figure.axes
    assert curves.get_xlim() == index.get_xlim()
    suggested = shown.regime.suggested
    for axes in (curves, index):
        marks = [t for t in axes.texts if t.get_text() == f"N = {suggested}"]
        assert [mark.xy[0] for mark in marks] == [suggested]
    assert shown.spans
    assert any("N\N{NO-BREAK SPACE}=" in text for text in texts(figure))


def test_without_a_regime_nothing_is_shaded_or_suggested():
    shown = found(4, threshold=90.0)
    said = " ".join(texts(draw_regime(shown)))
    assert shown.regime.suggested is None and shown.spans == ()
    assert "shaded" not in said and "No N" in said.replace("\N{NO-BREAK SPACE}", " ")


def test_values_above_the_axis_are_drawn_at_its_edge_and_counted():
    shown = found(12)
    far = shown.regime.indices.ci_min.copy()
    far[3, 2] = 500.0
    indices = replace(shown.regime.indices, ci_min=far)
    figure = draw_regime(replace(shown, regime=replace(shown.regime, indices=indices)))
    assert figure.axes[1].get_ylim()[1] < 20
    assert any("above the axis" in text for text in texts(figure))


def test_a_large_grid_has_ticks_that_can_be_read():
    figure = draw_regime(found(5, sizes=range(1, 121)))
    for axes in figure.axes:
        labels = boxes(figure, axes.get_xticklabels())
        assert len(labels) >= 5
        for left, right in pairwise(labels):
            assert left.x1 < right.x0
