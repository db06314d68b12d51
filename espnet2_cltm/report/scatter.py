"""The scatter plot of two matrices, cell by cell, as PNG and PDF for papers.

A point is an off-diagonal cell; A runs to the right, B upwards. The line is where both
are equal. Nothing in the files depends on time or on the user's matplotlib settings.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from espnet2_cltm.report.captions import lines_height, write_around
from espnet2_cltm.report.colour_scale import FAINT, INK
from espnet2_cltm.report.figure_files import write_figure
from espnet2_cltm.report.heatmap_contents import MINUS
from espnet2_cltm.report.heatmap_layout import (
    AXIS_SIZE,
    MARGIN,
    NOTE_SIZE,
    POINTS,
    SUBTITLE_SIZE,
    TITLE_SIZE,
    wrap,
)

WIDTH, PLOT_HEIGHT = 6.4, 4.9  # inches
LEFT, RIGHT, BELOW = 0.75, 0.2, 0.62
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
        labels: Position of a cell and what is written beside it, most important first.
        title: First line.
        subtitle: Beneath it.
        x_label: Beneath the horizontal axis.
        y_label: Beside the vertical axis.
        notes: Sentences beneath the picture.
    """

    x: np.ndarray
    y: np.ndarray
    identified: np.ndarray
    x_low: np.ndarray
    x_high: np.ndarray
    labels: tuple[tuple[int, str], ...]
    title: str
    subtitle: str
    x_label: str
    y_label: str
    notes: tuple[str, ...] = ()


def write_scatter(scatter: Scatter, png: Path | str, pdf: Path | str) -> None:
    """Draw a scatter plot into two files.

    Raises:
        UserError: A file cannot be written.
    """
    write_figure(lambda: draw_scatter(scatter), scatter.title, png, pdf)


def draw_scatter(scatter: Scatter) -> Figure:
    """Draw a scatter plot; the figure belongs to no window and no global state."""
    text_width = WIDTH - 2 * MARGIN
    title = wrap(scatter.title, text_width, TITLE_SIZE * 1.1)  # bold is wider
    subtitle = wrap(scatter.subtitle, text_width, SUBTITLE_SIZE)
    notes = [
        line
        for note in (*_legend(scatter), *scatter.notes)
        for line in wrap(note, text_width, NOTE_SIZE)
    ]
    y_label = wrap(scatter.y_label, PLOT_HEIGHT, AXIS_SIZE)
    x_label = wrap(scatter.x_label, WIDTH - LEFT - RIGHT, AXIS_SIZE)
    axis_line = AXIS_SIZE * 1.3 / POINTS
    above = (
        MARGIN
        + lines_height(title, TITLE_SIZE)
        + lines_height(subtitle, SUBTITLE_SIZE)
        + 0.1
    )
    below = (
        BELOW + (len(x_label) - 1) * axis_line + lines_height(notes, NOTE_SIZE) + MARGIN
    )
    left = LEFT + (len(y_label) - 1) * axis_line
    height = above + PLOT_HEIGHT + below
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (
            left / WIDTH,
            below / height,
            (WIDTH - left - RIGHT) / WIDTH,
            PLOT_HEIGHT / height,
        )
    )
    _set_limits(axes, scatter)
    _draw_points(axes, scatter)
    axes.set_xlabel("\n".join(x_label), size=AXIS_SIZE)
    axes.set_ylabel("\n".join(y_label), size=AXIS_SIZE)
    _draw_labels(axes, scatter)

    write_around(figure, title, subtitle, notes)
    return figure


def _legend(scatter: Scatter) -> tuple[str, ...]:
    notes = ["Line: both equal."]
    if not scatter.identified.all():
        notes.append(
            "Grey and hollow: target not identified in one of the two; not in the "
            "numbers above."
        )
    if _has_whiskers(scatter):
        notes.append("Whiskers: intervals of A.")
    return (" ".join(notes),)


def _has_whiskers(scatter: Scatter) -> bool:
    there = np.isfinite(scatter.x_low) & scatter.identified
    return bool(there.any()) and len(scatter.x) <= MOST_WITH_WHISKERS


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
    if _has_whiskers(scatter):
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
    axes.tick_params(labelsize=8.5, length=3, width=0.6, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", MINUS))


def _draw_labels(axes: Axes, scatter: Scatter) -> None:
    """Write labels near their points, covering few; no two overlap, none leaves.

    A label for which there is no room is left out.
    """
    renderer = axes.figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    points = axes.transData.transform(np.column_stack([scatter.x, scatter.y]))
    whiskers = _has_whiskers(scatter)
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
            box = Text.get_window_extent(label, renderer).padded(2)
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
    label.set_position((distance * right, distance * up))
    label.set_horizontalalignment(_alignment(right))


def _inside(box: Bbox, frame: Bbox) -> bool:
    return bool((box.min >= frame.min).all() and (box.max <= frame.max).all())


def _places(whiskers: bool) -> list[tuple[float, float]]:
    """Distances in points and angles, nearest first; not along whiskers."""
    degrees = (30, 150, -30, -150, 60, 120, -60, -120, 90, -90)
    if not whiskers:
        degrees = (0, 180, *degrees)
    distances = (13, 20, 30, 42) if whiskers else (7, 13, 20, 30, 42)
    return [(d, np.radians(a)) for d in distances for a in degrees]


def _alignment(right: float) -> str:
    if abs(right) < 0.2:
        return "center"
    return "left" if right > 0 else "right"
