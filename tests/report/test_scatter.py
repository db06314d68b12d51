from pathlib import Path

import numpy as np
import pytest

from espnet2_cltm.matrix.comparison import ComparedMatrix, compare
from espnet2_cltm.matrix.matrix_files import LabelledMatrix
from espnet2_cltm.report.scatter import ComparedPair, draw_scatter
from tests.report.figure_texts import boxes, lie_inside, overlap, texts


def compared(name: str, values: np.ndarray, identified=True, reach=np.nan):
    codes = tuple(f"l{index:02d}" for index in range(len(values)))
    matrix = LabelledMatrix(codes, codes, np.where(identified, values, np.nan))
    ends = values - reach, values + reach
    return ComparedMatrix(name, "", Path(name), "", matrix, values, *ends, "")


def pair(n: int, a: np.ndarray | None = None, **known) -> ComparedPair:
    """Two matrices of n languages; ``known`` is what is known of A."""
    generator = np.random.default_rng(n)
    drawn, values = generator.normal(0.5, 0.5, (2, n, n))
    one = compared("exp/mine/cltm", drawn if a is None else a, **known)
    other = compared("a long name with many words " * 3, values)
    return ComparedPair(one, other, compare(one, other, 9, 0), 10)


@pytest.mark.parametrize("n", [3, 9, 44])
def test_no_text_is_cut_and_no_labels_overlap(n):
    figure = draw_scatter(pair(n))
    (axes,) = figure.axes
    assert lie_inside(figure)
    assert not overlap(boxes(figure, figure.texts))
    labels = boxes(figure, axes.texts)
    assert len(labels) >= 6
    assert not overlap(labels)
    frame = axes.get_window_extent()
    assert all(box.x0 >= frame.x0 and box.x1 <= frame.x1 for box in labels)
    assert any(
        f"{n} languages, {n * (n - 1):,} cells" in text for text in texts(figure)
    )


def test_points_are_the_cells_and_the_largest_differences_are_labelled():
    shown = pair(4)
    (axes,) = draw_scatter(shown).axes
    a, b = (one.raw[~np.eye(4, dtype=bool)] for one in (shown.a, shown.b))
    np.testing.assert_allclose(axes.collections[0].get_offsets(), np.stack([a, b], 1))
    largest = max(abs(b - a))
    (x, y) = axes.texts[0].xy
    assert abs(y - x) == pytest.approx(largest)
    assert " from " in axes.texts[0].get_text()


def test_cells_not_identified_are_hollow_and_do_not_set_the_scale():
    a = np.random.default_rng(1).normal(0.5, 0.5, (5, 5))
    a[0, 1] = 900.0
    identified = np.arange(5)[:, None] > 0
    figure = draw_scatter(pair(5, a, identified=identified))
    (axes,) = figure.axes
    assert axes.get_xlim()[1] < 10
    hollow, filled = axes.collections
    assert len(hollow.get_offsets()) == 4
    assert len(hollow.get_facecolor()) == 0
    assert axes.get_xlim()[1] in hollow.get_offsets()[:, 0]  # at the edge
    assert len(filled.get_offsets()) == 16
    assert any("not identified" in text for text in texts(figure))


def test_whiskers_are_drawn_where_there_are_intervals_and_room():
    def whiskers(n: int) -> int:
        return len(draw_scatter(pair(n, reach=0.1)).axes[0].collections) - 1

    assert whiskers(5) == 1
    assert whiskers(20) == 0
