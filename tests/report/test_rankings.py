import itertools
import math
from types import SimpleNamespace

import matplotlib.colors
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report import rankings
from espnet2_cltm.report.rankings import (
    SIDES,
    RankedLanguage,
    best_first,
    draw_rankings,
    ranked_languages,
)
from tests.report.figure_texts import boxes, lie_inside, overlap, texts
from tests.report.reports import make_report, simulated


def entries(n: int, seed: int = 0, width: float = 0.2) -> list[RankedLanguage]:
    values = np.random.default_rng(seed).normal(0.6, 0.2, n)
    return [
        RankedLanguage(
            Language(f"l{i:02d}", f"Language {i}", "Family"),
            float(value),
            float(value - width),
            float(value + width),
        )
        for i, value in enumerate(values)
    ]


def panels(n: int, donors=None, targets=None):
    given = {
        "donors": entries(n, seed=1) if donors is None else donors,
        "targets": entries(n, seed=2) if targets is None else targets,
    }
    report = SimpleNamespace(
        source=SimpleNamespace(task_title="gender identification"),
        subtitle="macro F1, N = 60 utterances per class, 10 seeds",
        level="95%",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rankings, "ranked_languages", lambda _, side: given[side.name])
        return draw_rankings(report)


def test_the_longest_name_of_a_language_leaves_room_for_the_headings():
    longest = Language("en", "English (Received Pronunciation)", "Family")
    both = [RankedLanguage(longest, 0.5, 0.4, 0.6), *entries(3)]
    figure = panels(4, both, both)
    for axes in figure.axes:
        (box,) = boxes(figure, [axes._left_title])
        assert box.x1 <= axes.get_window_extent().x1


def labels(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def points(axes) -> np.ndarray:
    """(n, 2) value and row of the points, which are drawn last."""
    return np.asarray(axes.collections[-1].get_offsets())


def guides(axes) -> list[float]:
    """Where the vertical lines are."""
    return [line.get_xdata()[0] for line in axes.lines]


@pytest.mark.parametrize("n", [2, 9, 24, 54])
def test_no_text_is_cut_and_no_labels_overlap(n):
    figure = panels(n)
    assert lie_inside(figure)
    ticks = []
    for axes in figure.axes:
        low, high = axes.get_xlim()
        labels = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        ticks.append([label for value, label in labels if low <= value <= high])
        for group in (axes.get_yticklabels(), [*ticks[-1], axes.xaxis.label]):
            assert not overlap(boxes(figure, group))
    last = max(box.x1 for box in boxes(figure, ticks[0]))
    first = min(box.x0 for box in boxes(figure, figure.axes[1].get_yticklabels()))
    assert last < first


def test_best_come_first_from_top_to_bottom():
    figure = panels(9)
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
        RankedLanguage(Language(f"l{i}", f"Language {i}", "Family"), value)
        for i, value in enumerate(values)
    ]
    expected = best_first(made)
    assert best_first(made[::-1]) == expected
    assert len(expected) == sum(v is not None and not math.isnan(v) for v in values)
    assert all(a.value >= b.value for a, b in itertools.pairwise(expected))


def test_full_names_label_up_to_24_languages_and_codes_label_more():
    assert "Language 3" in labels(panels(24).axes[0])
    many = labels(panels(25).axes[0])
    assert "l03" in many and "Language 3" not in many


def test_both_panels_have_one_scale_and_level_rows():
    figure = panels(9, targets=entries(6, seed=3))
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
    figure = panels(2, both, both)
    assert [guides(axes) for axes in figure.axes] == [expected, expected]


def test_languages_without_interval_are_points_and_those_without_value_are_named():
    catalan, maltese = Language("ca", "Catalan", "x"), Language("mt", "Maltese", "x")
    figure = panels(
        2,
        [RankedLanguage(catalan, 0.5), RankedLanguage(maltese, 0.4)],
        [RankedLanguage(catalan, 0.5), RankedLanguage(maltese, None)],
    )
    donors, targets = figure.axes
    assert len(points(donors)) == 2 and labels(targets) == ["Catalan"]
    (note,) = (
        text for text in texts(figure) if "Maltese" in text and "targets" in text
    )
    assert "donors" not in note
    assert not any("interval" in text for text in texts(figure))


def test_a_very_wide_interval_does_not_hide_the_others_and_ends_in_arrowheads():
    made = entries(9, seed=1)
    wide = made[0]._replace(low=-math.inf, high=400.0)
    figure = panels(9, [wide, *made[1:]])
    low, high = figure.axes[0].get_xlim()
    assert high - low < 5
    arrowheads = figure.axes[0].collections[-3:-1]
    assert [len(marks.get_offsets()) for marks in arrowheads] == [1, 1]
    assert [marks.get_offsets()[0, 0] for marks in arrowheads] == [low, high]
    assert any("arrowhead" in text for text in texts(figure))
    assert not any("arrowhead" in text for text in texts(panels(9)))


def test_rankings_of_a_report_are_the_means_of_its_columns_and_rows():
    report = make_report([simulated(5, 4, run_sd=0.001)])
    cltm = report.main.matrix.cltm.copy()
    np.fill_diagonal(cltm, np.nan)
    for axis, side in enumerate(SIDES):
        given_values = [one.value for one in ranked_languages(report, side)]
        np.testing.assert_allclose(given_values, np.nanmean(cltm, axis=axis))
    assert any("gender identification" in text for text in texts(draw_rankings(report)))


def test_there_is_none_where_no_target_is_identified():
    report = make_report([simulated(3, 3, gain_mean=1e-9)])
    assert not report.main.matrix.target_identified.any()
    assert draw_rankings(report) is None
