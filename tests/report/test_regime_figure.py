from dataclasses import replace
from itertools import pairwise

import matplotlib.image
import matplotlib.text
import numpy as np
import pytest

from espnet2_cltm.matrix.regime import LearningCurves, RegimeSettings, find_regime
from espnet2_cltm.matrix.scores import ResultsSource
from espnet2_cltm.report.regime_figure import (
    draw_regime_figure,
    regime_figure,
    write_regime_figure,
)

SIZES = (2, 4, 8, 16, 32, 64)


def learning_curves(n: int, seeds: int = 4, sizes=SIZES) -> LearningCurves:
    rng = np.random.default_rng(n)
    middle = 2.5 + rng.normal(0, 0.4, (n, 1))
    mean = 0.5 + 0.4 / (1 + np.exp(-(np.log(sizes) - middle) / 0.6))
    perf = mean[..., None] + rng.normal(0, 0.01, (n, len(sizes), seeds))
    return LearningCurves(
        ResultsSource("results.tsv", "0" * 64, "gender", "macro_f1"),
        tuple(f"lang-{k:02d}" for k in range(n)),
        tuple(sizes),
        tuple(range(seeds)),
        perf,
    )


def figure_of(curves, **settings):
    return regime_figure(curves, find_regime(curves, RegimeSettings(**settings)))


def all_texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


@pytest.mark.parametrize("n", [1, 2, 4, 8, 9, 54])
def test_text_lies_inside_the_picture(n):
    figure = draw_regime_figure(figure_of(learning_curves(n)))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    for text in figure.findobj(matplotlib.text.Text):
        if not text.get_text() or not text.get_visible():
            continue
        box = matplotlib.text.Text.get_window_extent(text, renderer)
        assert box.x0 >= -1 and box.y0 >= -1, text
        assert box.x1 <= width + 1 and box.y1 <= height + 1, text


@pytest.mark.parametrize("n", [2, 8])
def test_few_languages_are_named_once_each_and_no_name_covers_another(n):
    curves = learning_curves(n)
    curves.perf[:, -1] = 0.9  # all end at one height
    figure = draw_regime_figure(figure_of(curves))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    names = [t for t in figure.axes[0].texts if t.get_text() in curves.languages]
    assert sorted(t.get_text() for t in names) == sorted(curves.languages)
    boxes = [matplotlib.text.Text.get_window_extent(t, renderer) for t in names]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])


def test_of_many_languages_the_median_stands_out_and_none_is_named():
    curves = learning_curves(54)
    figure = draw_regime_figure(figure_of(curves))
    assert not any(code in all_texts(figure) for code in curves.languages)
    thickest = max(figure.axes[0].lines, key=lambda line: line.get_linewidth())
    expected = np.median(curves.perf.mean(axis=-1), axis=0)
    assert thickest.get_ydata() == pytest.approx(expected)


def test_both_panels_have_the_same_axis_and_mark_the_suggested_n():
    shown = figure_of(learning_curves(4))
    curves, index = draw_regime_figure(shown).axes
    assert curves.get_xlim() == index.get_xlim()
    for axes in (curves, index):
        marks = [t for t in axes.texts if t.get_text() == f"N = {shown.suggested}"]
        assert [mark.xy[0] for mark in marks] == [shown.suggested]
    assert shown.spans and "N\N{NO-BREAK SPACE}=" in shown.subtitle


def test_without_a_regime_nothing_is_shaded_or_suggested():
    shown = figure_of(learning_curves(4), threshold=90.0)
    figure = draw_regime_figure(shown)
    assert shown.suggested is None and shown.spans == ()
    texts = " ".join(all_texts(figure))
    assert "shaded" not in texts and "No N" in texts.replace("\N{NO-BREAK SPACE}", " ")


def test_values_above_the_axis_are_drawn_at_its_edge_and_counted():
    shown = figure_of(learning_curves(12))
    far = shown.ci_min.copy()
    far[3, 2] = 500.0
    figure = draw_regime_figure(replace(shown, ci_min=far))
    assert figure.axes[1].get_ylim()[1] < 20
    assert any("above the axis" in text for text in all_texts(figure))


def test_a_large_grid_has_ticks_that_can_be_read():
    figure = draw_regime_figure(figure_of(learning_curves(5, sizes=range(1, 121))))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes:
        boxes = [label.get_window_extent(renderer) for label in axes.get_xticklabels()]
        assert len(boxes) >= 5
        for left, right in pairwise(boxes):
            assert left.x1 < right.x0


def test_files_are_the_same_bytes_whenever_they_are_written(tmp_path):
    shown = figure_of(learning_curves(4))
    for name in ("first", "second"):
        write_regime_figure(
            shown, png=tmp_path / f"{name}.png", pdf=tmp_path / f"{name}.pdf"
        )
    for kind in ("png", "pdf"):
        first, second = (
            (tmp_path / f"{name}.{kind}").read_bytes() for name in ("first", "second")
        )
        assert first == second
    assert matplotlib.image.imread(tmp_path / "first.png").shape[1] == 2080
