from dataclasses import replace

import matplotlib.image
import matplotlib.text
import numpy as np
import pytest

from espnet2_cltm.report.scatter import Scatter, draw_scatter, write_scatter


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
        title="Two cross-lingual transfer matrices, cell by cell",
        subtitle="44 languages, 1,892 cells; Pearson 0.01, RMSE 2.63",
        x_label="CLTM in A: exp/mine/cltm",
        y_label="CLTM in B: " + "a long name with many words " * 3,
    )


@pytest.mark.parametrize("n", [6, 72, 1892])
def test_text_lies_inside_the_picture_and_labels_do_not_overlap(n):
    figure = draw_scatter(scatter(n))
    figure.canvas.draw()  # puts the labels of the axes in their places
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    (axes,) = figure.axes
    boxes = [
        text.get_window_extent(renderer)
        for text in (*figure.texts, axes.xaxis.label, axes.yaxis.label)
    ]
    for box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1
        assert box.x1 <= width + 1 and box.y1 <= height + 1
    labels = [
        matplotlib.text.Text.get_window_extent(text, renderer) for text in axes.texts
    ]
    assert len(labels) >= min(n, 6)
    frame = axes.get_window_extent(renderer)
    for index, box in enumerate(labels):
        assert box.x0 >= frame.x0 and box.x1 <= frame.x1
        assert not any(box.overlaps(other) for other in labels[:index])


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
    assert any("not identified" in text.get_text() for text in figure.texts)


def test_whiskers_are_drawn_where_there_are_intervals_and_room():
    def whiskers(n: int) -> int:
        made = scatter(n)
        made = replace(made, x_low=made.x - 0.1, x_high=made.x + 0.1)
        figure = draw_scatter(made)
        return len(figure.axes[0].collections) - 1

    assert whiskers(20) == 1
    assert whiskers(1000) == 0


def test_files_are_the_same_bytes_whenever_they_are_written(tmp_path):
    for name in ("first", "second"):
        write_scatter(
            scatter(30), png=tmp_path / f"{name}.png", pdf=tmp_path / f"{name}.pdf"
        )
    for kind in ("png", "pdf"):
        first, second = (
            (tmp_path / f"{name}.{kind}").read_bytes() for name in ("first", "second")
        )
        assert first == second
    picture = matplotlib.image.imread(tmp_path / "first.png")
    assert picture.shape[1] == 1280
