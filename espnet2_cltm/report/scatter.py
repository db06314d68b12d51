"""The scatter plot of two matrices, cell by cell.

A point is an off-diagonal cell; A runs to the right, B upwards. The line is where both
are equal.
"""

from dataclasses import dataclass

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from espnet2_cltm.matrix.comparison import ComparedMatrix, Comparison
from espnet2_cltm.report.colours import FAINT, INK
from espnet2_cltm.report.comparison import (
    agreement_line,
    cell_names,
    matrix_label,
)
from espnet2_cltm.report.drawing import AXIS_SIZE, dress, frame, new_figure, wrap
from espnet2_cltm.report.wording import with_minus_signs

WIDTH, PLOT_HEIGHT = 6.4, 4.9  # inches
POINT_COLOUR, FADED = "#2f80bb", "#9a9a9a"
MOST_WITH_WHISKERS = 150  # cells
LABEL_SIZE = 7.5
NEAR = 14  # points that a label is moved rather than cover one more cell


@dataclass(frozen=True)
class ComparedPair:
    """Two matrices and their comparison: what the plot shows.

    Attributes:
        a: Matrix A.
        b: Matrix B.
        comparison: Their comparison.
        largest: Number of the largest differences that are labelled.
    """

    a: ComparedMatrix
    b: ComparedMatrix
    comparison: Comparison
    largest: int


def draw_scatter(pair: ComparedPair) -> matplotlib.figure.Figure:
    """Draw two matrices against each other."""
    cells = pair.comparison.cells
    whiskers = bool((cells["identified"] & cells["low"].notna()).any())
    whiskers &= len(cells) <= MOST_WITH_WHISKERS
    figure = new_figure(WIDTH)
    axes = figure.add_subplot()
    _set_limits(axes, cells)
    _draw_points(axes, cells, whiskers)
    x_label = wrap(f"CLTM in A: {matrix_label(pair.a)}", WIDTH - 1, AXIS_SIZE)
    y_label = wrap(f"CLTM in B: {matrix_label(pair.b)}", PLOT_HEIGHT, AXIS_SIZE)
    axes.set_xlabel("\n".join(x_label), size=AXIS_SIZE)
    axes.set_ylabel("\n".join(y_label), size=AXIS_SIZE)
    title = "Two cross-lingual transfer matrices, cell by cell"
    subtitle = with_minus_signs(agreement_line(pair.comparison))
    notes = ["Line: both equal."]
    if not cells["identified"].all():
        notes[0] += (
            " Grey and hollow: target not identified in one of the two; not in the "
            "numbers above."
        )
    if whiskers:
        notes[0] += " Whiskers: intervals of A."
    if pair.largest and len(pair.comparison.differences):
        notes.append("Labelled: the largest differences, target from donor.")
    frame(figure, axes, (None, PLOT_HEIGHT), title, subtitle, notes)
    _draw_labels(figure, axes, cells, pair, whiskers)
    return figure


def _set_limits(axes: Axes, cells: pd.DataFrame) -> None:
    """Show every identified cell and 0 and 1; others may lie far outside.

    An estimate that is not identified is a ratio to almost nothing: it would push
    everything else into a corner. Those outside are drawn at the edge.
    """
    shown = cells[cells["identified"]] if cells["identified"].any() else cells
    for name, set_limits in (("a", axes.set_xlim), ("b", axes.set_ylim)):
        low, high = min(shown[name].min(), 0.0), max(shown[name].max(), 1.0)
        margin = 0.06 * (high - low)
        set_limits(low - margin, high + margin)


def _draw_points(axes: Axes, cells: pd.DataFrame, whiskers: bool) -> None:
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.9, zorder=1)
    for value in (0.0, 1.0):
        axes.axhline(value, color="#d5d5d5", linewidth=0.7, zorder=0)
        axes.axvline(value, color="#d5d5d5", linewidth=0.7, zorder=0)
    many = len(cells) > MOST_WITH_WHISKERS
    area, opacity = (9, 0.45) if many else (22, 0.85)
    identified, faded = cells[cells["identified"]], cells[~cells["identified"]]
    if whiskers:
        axes.hlines(
            identified["b"],
            identified["low"],
            identified["high"],
            color=POINT_COLOUR,
            linewidth=0.7,
            alpha=0.5,
            zorder=2,
        )
    if len(faded):
        axes.scatter(
            np.clip(faded["a"], *axes.get_xlim()),
            np.clip(faded["b"], *axes.get_ylim()),
            s=area,
            facecolors="none",
            edgecolors=FADED,
            linewidths=0.7,
            clip_on=False,
            zorder=2,
        )
    axes.scatter(
        identified["a"],
        identified["b"],
        s=area,
        color=POINT_COLOUR,
        alpha=opacity,
        linewidths=0,
        zorder=3,
    )
    dress(axes)


def _draw_labels(
    figure: matplotlib.figure.Figure,
    axes: Axes,
    cells: pd.DataFrame,
    pair: ComparedPair,
    whiskers: bool,
) -> None:
    """Write labels near their points, covering few; no two overlap, none leaves.

    A label for which there is no room is left out.
    """
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    points = axes.transData.transform(cells[["a", "b"]].to_numpy())
    line = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5}
    taken: list[Bbox] = []
    largest = pair.comparison.differences[: pair.largest]
    places = largest[["a", "b"]].to_numpy()
    for name, (x, y) in zip(cell_names(largest), places, strict=True):
        label = axes.annotate(
            name,
            (x, y),
            xytext=(0, 0),
            textcoords="offset points",
            size=LABEL_SIZE,
            color=INK,
            va="center",
            zorder=4,
            arrowprops={**line, "shrinkA": 1, "shrinkB": 2},
        )
        best = None
        for distance, angle in _places(whiskers):
            _move(label, distance, angle)
            label.update_positions(renderer)
            # The text alone: the extent of an annotation holds its line too.
            box = Text.get_window_extent(label, renderer).padded(4)
            if not _inside(box, frame) or any(map(box.overlaps, taken)):
                continue
            cost = box.count_contains(points) + distance / NEAR
            if best is None or cost < best[0]:
                best = cost, distance, angle, box
        if best is None:
            label.remove()
            continue
        _move(label, *best[1:3])
        taken.append(best[3])


def _move(label: Annotation, distance: float, angle: float) -> None:
    right, up = np.cos(angle), np.sin(angle)
    side = "center" if abs(right) < 0.2 else "left" if right > 0 else "right"
    label.set(position=(distance * right, distance * up), horizontalalignment=side)


def _inside(box: Bbox, frame: Bbox) -> bool:
    across = frame.x0 <= box.x0 and box.x1 <= frame.x1
    return across and frame.y0 <= box.y0 and box.y1 <= frame.y1


def _places(whiskers: bool) -> list[tuple[float, float]]:
    """Return distances in points and angles, nearest first; not along whiskers."""
    degrees: tuple[int, ...] = (30, 150, -30, -150, 60, 120, -60, -120, 90, -90)
    distances: tuple[int, ...] = (13, 20, 30, 42)
    if not whiskers:
        degrees, distances = (0, 180, *degrees), (7, *distances)
    return [(d, np.radians(a)) for d in distances for a in degrees]
