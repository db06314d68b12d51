import itertools
import math

import matplotlib.colors
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.figure_files import DPI
from espnet2_cltm.report.ranking_figure import (
    RankedLanguage,
    RankingFigure,
    best_first,
    draw_ranking_figure,
    write_ranking_figure,
)


def entries(n: int, seed: int = 0, width: float = 0.2) -> tuple[RankedLanguage, ...]:
    values = np.random.default_rng(seed).normal(0.6, 0.2, n)
    return tuple(
        RankedLanguage(
            Language(f"l{i:02d}", f"Language {i}", "Family"),
            float(value),
            float(value - width),
            float(value + width),
        )
        for i, value in enumerate(values)
    )


def ranking(n: int, **changes) -> RankingFigure:
    fields = {
        "donors": entries(n, seed=1),
        "targets": entries(n, seed=2),
        "title": "Donors and targets, gender identification",
        "subtitle": "macro F1, N = 60 utterances per class, 10 seeds",
    } | changes
    return RankingFigure(**fields)


def labels(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def points(axes) -> np.ndarray:
    """(n, 2) value and row of the points, which are drawn last."""
    return np.asarray(axes.collections[-1].get_offsets())


def guides(axes) -> list[float]:
    """Where the vertical lines are."""
    return [line.get_xdata()[0] for line in axes.lines]


@pytest.mark.parametrize("n", [2, 9, 24, 54])
def test_text_lies_inside_the_picture_and_labels_do_not_overlap(n):
    figure = draw_ranking_figure(ranking(n, notes=("A long note. " * 20,)))
    figure.set_dpi(DPI)  # hinting makes text wider where pixels are few
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    groups = [list(figure.texts)]
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        shown = [label for value, label in ticks if low <= value <= high]
        groups += [axes.get_yticklabels(), [*shown, axes.xaxis.label]]
    for group in groups:
        boxes = [text.get_window_extent(renderer) for text in group if text.get_text()]
        for box in boxes:
            assert box.x0 >= 0 and box.y0 >= 0
            assert box.x1 <= width and box.y1 <= height
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)
    left, right = figure.axes
    last = max(text.get_window_extent(renderer).x1 for text in left.get_xticklabels())
    first = min(text.get_window_extent(renderer).x0 for text in right.get_yticklabels())
    assert last < first


def test_best_come_first_from_top_to_bottom():
    figure = draw_ranking_figure(ranking(9))
    for axes, given_entries in zip(
        figure.axes, (entries(9, seed=1), entries(9, seed=2)), strict=True
    ):
        ordered = sorted(given_entries, key=lambda entry: -entry.value)
        assert labels(axes) == [entry.language.name for entry in ordered]
        values, rows = points(axes).T
        assert values.tolist() == [entry.value for entry in ordered]
        heights = axes.transData.transform(np.column_stack([values, rows]))[:, 1]
        assert (np.diff(heights) < 0).all()


@given(st.lists(st.one_of(st.none(), st.just(math.nan), st.floats(-3, 3))))
@settings(deadline=None)
def test_the_order_does_not_depend_on_the_order_given(values):
    made = [
        (Language(f"l{i}", f"Language {i}", "Family"), value, None, None)
        for i, value in enumerate(values)
    ]
    expected = best_first(tuple(made))
    assert best_first(tuple(reversed(made))) == expected
    assert len(expected) == sum(v is not None and not math.isnan(v) for v in values)
    assert all(a.value >= b.value for a, b in itertools.pairwise(expected))


def test_full_names_label_up_to_24_languages_and_codes_label_more():
    assert "Language 3" in labels(draw_ranking_figure(ranking(24)).axes[0])
    many = labels(draw_ranking_figure(ranking(25)).axes[0])
    assert "l03" in many and "Language 3" not in many


def test_both_panels_have_one_scale_and_level_rows():
    figure = draw_ranking_figure(ranking(9, targets=entries(6, seed=3)))
    donors, targets = figure.axes
    assert donors.get_xlim() == targets.get_xlim()
    assert donors.get_ylim() == targets.get_ylim()
    colours = [axes.collections[-1].get_facecolor()[0] for axes in figure.axes]
    assert matplotlib.colors.to_hex(colours[0]) == "#0072b2"
    assert matplotlib.colors.to_hex(colours[1]) == "#d55e00"


@pytest.mark.parametrize(
    ("shift", "expected"), [(0.0, [0.0, 1.0]), (-0.5, [0.0]), (5.0, [])]
)
def test_lines_stand_at_0_and_1_where_these_are_in_range(shift, expected):
    def moved(value: float) -> RankedLanguage:
        low, high = value + shift - 0.05, value + shift + 0.05
        return RankedLanguage(Language("ca", "Catalan", "x"), value + shift, low, high)

    both = (moved(0.02), moved(1.1))
    figure = draw_ranking_figure(ranking(2, donors=both, targets=both))
    assert [guides(axes) for axes in figure.axes] == [expected, expected]


def test_languages_without_interval_are_points_and_those_without_value_are_named():
    catalan, maltese = Language("ca", "Catalan", "x"), Language("mt", "Maltese", "x")
    figure = draw_ranking_figure(
        ranking(
            2,
            donors=((catalan, 0.5, None, None), (maltese, 0.4, None, None)),
            targets=((catalan, 0.5, None, None), (maltese, None, None, None)),
        )
    )
    donors, targets = figure.axes
    assert len(points(donors)) == 2 and labels(targets) == ["Catalan"]
    written = [text.get_text() for text in figure.texts]
    assert "Without a value and not among the targets: Maltese." in written
    assert not any("interval" in text for text in written)


def test_a_very_wide_interval_does_not_hide_the_others_and_ends_in_arrowheads():
    made = entries(9, seed=1)
    wide = made[0]._replace(low=-math.inf, high=400.0)
    figure = draw_ranking_figure(ranking(9, donors=(wide, *made[1:])))
    low, high = figure.axes[0].get_xlim()
    assert high - low < 5
    arrowheads = figure.axes[0].collections[-3:-1]
    assert [len(marks.get_offsets()) for marks in arrowheads] == [1, 1]
    assert [marks.get_offsets()[0, 0] for marks in arrowheads] == [low, high]
    assert any("arrowhead" in text.get_text() for text in figure.texts)
    calm = draw_ranking_figure(ranking(9))
    assert not any("arrowhead" in text.get_text() for text in calm.texts)


def test_a_ranking_without_any_value_can_be_drawn():
    nothing = tuple(RankedLanguage(e.language, None) for e in entries(3))
    draw_ranking_figure(ranking(3, donors=nothing, targets=nothing))


def test_same_rankings_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_ranking_figure(
            ranking(9), png=tmp_path / f"{name}.png", pdf=tmp_path / f"{name}.pdf"
        )
    for suffix in ("png", "pdf"):
        one, other = (tmp_path / f"{name}.{suffix}" for name in "ab")
        assert one.read_bytes() == other.read_bytes()
