"""The scatter plot of two matrices, cell by cell.

A point is an off-diagonal cell; A runs to the right, B upwards. The line is where both
are equal.
"""

from dataclasses import dataclass

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from espnet2_cltm.matrix.compare import Comparison
from espnet2_cltm.matrix.comparison_input import ComparedMatrix
from espnet2_cltm.report.colours import FAINT, INK
from espnet2_cltm.report.comparison import (
    agreement_line,
    cell_name,
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
class Scatter:
    """What a scatter plot shows.

    Attributes:
        x: (cells,) values of A.
        y: (cells,) values of B.
        identified: (cells,) bool; the others are drawn hollow and grey.
        x_low: (cells,) lower ends of A's intervals, NaN where there is none.
        x_high: (cells,) upper ends.
        labels: Position of a cell and text beside it, most important first.
        subtitle: Lines beneath the title.
        x_label: Label beneath the horizontal axis.
        y_label: Label beside the vertical axis.
    """

    x: np.ndarray
    y: np.ndarray
    identified: np.ndarray
    x_low: np.ndarray
    x_high: np.ndarray
    labels: tuple[tuple[int, str], ...]
    subtitle: str
    x_label: str
    y_label: str

    @property
    def has_whiskers(self) -> bool:
        """Whether intervals are drawn: there are some, and cells are few."""
        there = np.isfinite(self.x_low) & self.identified
        return bool(there.any()) and len(self.x) <= MOST_WITH_WHISKERS


def comparison_scatter(
    a: ComparedMatrix, b: ComparedMatrix, comparison: Comparison, largest: int
) -> Scatter:
    """Collect what the plot shows.

    Args:
        a: Matrix A.
        b: Matrix B.
        comparison: Their comparison.
        largest: Number of the largest differences that are labelled.
    """
    both = np.isfinite(comparison.a) & np.isfinite(comparison.b)
    position = {
        (comparison.languages[i], comparison.languages[j]): index
        for index, (i, j) in enumerate(np.argwhere(both))
    }
    return Scatter(
        x=comparison.a[both],
        y=comparison.b[both],
        identified=comparison.identified[both],
        x_low=comparison.a_low[both],
        x_high=comparison.a_high[both],
        labels=tuple(
            (position[cell.target, cell.donor], cell_name(cell))
            for cell in comparison.differences[:largest]
        ),
        subtitle=with_minus_signs(agreement_line(comparison)),
        x_label=f"CLTM in A: {matrix_label(a)}",
        y_label=f"CLTM in B: {matrix_label(b)}",
    )


def draw_scatter(scatter: Scatter) -> matplotlib.figure.Figure:
    """Draw two matrices against each other."""
    figure = new_figure(WIDTH)
    axes = figure.add_subplot()
    _set_limits(axes, scatter)
    _draw_points(axes, scatter)
    x_label = wrap(scatter.x_label, WIDTH - 1, AXIS_SIZE)
    y_label = wrap(scatter.y_label, PLOT_HEIGHT, AXIS_SIZE)
    axes.set_xlabel("\n".join(x_label), size=AXIS_SIZE)
    axes.set_ylabel("\n".join(y_label), size=AXIS_SIZE)
    title = "Two cross-lingual transfer matrices, cell by cell"
    notes = _legend(scatter)
    frame(figure, axes, (None, PLOT_HEIGHT), title, scatter.subtitle, notes)
    _draw_labels(figure, axes, scatter)
    return figure


def _legend(scatter: Scatter) -> list[str]:
    note = "Line: both equal."
    if not scatter.identified.all():
        note += (
            " Grey and hollow: target not identified in one of the two; not in the "
            "numbers above."
        )
    if scatter.has_whiskers:
        note += " Whiskers: intervals of A."
    if not scatter.labels:
        return [note]
    return [note, "Labelled: the largest differences, target from donor."]


def _set_limits(axes: Axes, scatter: Scatter) -> None:
    """Show every identified cell and 0 and 1; others may lie far outside.

    An estimate that is not identified is a ratio to almost nothing: it would push
    everything else into a corner. Those outside are drawn at the edge.
    """
    for values, set_limits in ((scatter.x, axes.set_xlim), (scatter.y, axes.set_ylim)):
        shown = values[scatter.identified] if scatter.identified.any() else values
        low, high = min(shown.min(), 0.0), max(shown.max(), 1.0)
        margin = 0.06 * (high - low)
        set_limits(low - margin, high + margin)


def _draw_points(axes: Axes, scatter: Scatter) -> None:
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.9, zorder=1)
    for value in (0.0, 1.0):
        axes.axhline(value, color="#d5d5d5", linewidth=0.7, zorder=0)
        axes.axvline(value, color="#d5d5d5", linewidth=0.7, zorder=0)
    many = len(scatter.x) > MOST_WITH_WHISKERS
    area, opacity = (9, 0.45) if many else (22, 0.85)
    if scatter.has_whiskers:
        there = np.isfinite(scatter.x_low) & scatter.identified
        axes.hlines(
            scatter.y[there],
            scatter.x_low[there],
            scatter.x_high[there],
            color=POINT_COLOUR,
            linewidth=0.7,
            alpha=0.5,
            zorder=2,
        )
    faded = ~scatter.identified
    if faded.any():
        axes.scatter(
            np.clip(scatter.x[faded], *axes.get_xlim()),
            np.clip(scatter.y[faded], *axes.get_ylim()),
            s=area,
            facecolors="none",
            edgecolors=FADED,
            linewidths=0.7,
            clip_on=False,
            zorder=2,
        )
    axes.scatter(
        scatter.x[scatter.identified],
        scatter.y[scatter.identified],
        s=area,
        color=POINT_COLOUR,
        alpha=opacity,
        linewidths=0,
        zorder=3,
    )
    dress(axes)


def _draw_labels(
    figure: matplotlib.figure.Figure, axes: Axes, scatter: Scatter
) -> None:
    """Write labels near their points, covering few; no two overlap, none leaves.

    A label for which there is no room is left out.
    """
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    points = axes.transData.transform(np.column_stack([scatter.x, scatter.y]))
    whiskers = scatter.has_whiskers
    taken: list[Bbox] = []
    for index, text in scatter.labels:
        label = axes.annotate(
            text,
            (scatter.x[index], scatter.y[index]),
            xytext=(0, 0),
            textcoords="offset points",
            size=LABEL_SIZE,
            color=INK,
            va="center",
            zorder=4,
            arrowprops={
                "arrowstyle": "-",
                "color": FAINT,
                "linewidth": 0.5,
                "shrinkA": 1,
                "shrinkB": 2,
            },
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
    return (
        frame.x0 <= box.x0
        and box.x1 <= frame.x1
        and frame.y0 <= box.y0
        and (box.y1 <= frame.y1)
    )


def _places(whiskers: bool) -> list[tuple[float, float]]:
    """Return distances in points and angles, nearest first; not along whiskers."""
    degrees: tuple[int, ...] = (30, 150, -30, -150, 60, 120, -60, -120, 90, -90)
    distances: tuple[int, ...] = (13, 20, 30, 42)
    if not whiskers:
        degrees, distances = (0, 180, *degrees), (7, *distances)
    return [(d, np.radians(a)) for d in distances for a in degrees]
