from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.report.scatter import Scatter, draw_scatter
from tests.report.figure_texts import boxes, lie_inside, overlap, texts


def scatter(n: int) -> Scatter:
    generator = np.random.default_rng(n)
    x, y = generator.normal(0.5, 0.5, (2, n))
    return Scatter(
        x=x,
        y=y,
        identified=np.ones(n, dtype=bool),
        x_low=np.full(n, np.nan),
        x_high=np.full(n, np.nan),
        labels=tuple((index, f"zh-CN from l{index}") for index in range(min(n, 10))),
        subtitle="44 languages, 1,892 cells; Pearson 0.01, RMSE 2.63",
        x_label="CLTM in A: exp/mine/cltm",
        y_label="CLTM in B: " + "a long name with many words " * 3,
    )


@pytest.mark.parametrize("n", [6, 72, 1892])
def test_no_text_is_cut_and_no_labels_overlap(n):
    figure = draw_scatter(scatter(n))
    (axes,) = figure.axes
    assert lie_inside(figure)
    assert not overlap(boxes(figure, list(figure.texts)))
    labels = boxes(figure, axes.texts)
    assert len(labels) >= min(n, 6)
    assert not overlap(labels)
    frame = axes.get_window_extent()
    assert all(box.x0 >= frame.x0 and box.x1 <= frame.x1 for box in labels)


def test_cells_not_identified_are_hollow_and_do_not_set_the_scale():
    made = scatter(20)
    x, identified = made.x.copy(), made.identified.copy()
    x[0], identified[0] = 900.0, False
    figure = draw_scatter(replace(made, x=x, identified=identified))
    (axes,) = figure.axes
    assert axes.get_xlim()[1] < 10
    hollow, filled = axes.collections
    assert len(hollow.get_offsets()) == 1
    assert len(hollow.get_facecolor()) == 0
    assert hollow.get_offsets()[0, 0] == axes.get_xlim()[1]  # at the edge
    assert len(filled.get_offsets()) == 19
    assert any("not identified" in text for text in texts(figure))


def test_whiskers_are_drawn_where_there_are_intervals_and_room():
    def whiskers(n: int) -> int:
        made = scatter(n)
        made = replace(made, x_low=made.x - 0.1, x_high=made.x + 0.1)
        figure = draw_scatter(made)
        return len(figure.axes[0].collections) - 1

    assert whiskers(20) == 1
    assert whiskers(1000) == 0
