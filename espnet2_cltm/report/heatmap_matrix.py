"""Drawing the matrix of a heatmap: its cells, and the labels on its two sides.

A cell's centre is at whole numbers of the axes, row 0 on top, as in an array. A cell
without a value is hatched, or plain grey in a faded row.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from espnet2_cltm.report.colour_scale import FAINT, INK
from espnet2_cltm.report.heatmap_grid import Grid, family_runs
from espnet2_cltm.report.heatmap_layout import (
    AXIS_SIZE,
    AXIS_TITLE,
    BRACKET,
    GAP,
    POINTS,
    Layout,
    wrap,
)

NO_VALUE = "#d4d4d4"
HATCH = "#9a9a9a"
CORNER = 0.34  # from the centre of a cell with text to the marks in its corners


def draw_cells(axes: Axes, grid: Grid, layout: Layout) -> None:
    """Draw the cells, what is written in them and the lines between families."""
    rows, columns = grid.values.shape
    axes.pcolormesh(
        np.arange(columns + 1) - 0.5,
        np.arange(rows + 1) - 0.5,
        np.ma.masked_invalid(grid.values),
        cmap=grid.scale.colormap,
        norm=grid.scale.norm,
        edgecolors="white",
        linewidth=0.8 if grid.has_texts else 0.25,
    )
    _draw_missing(axes, grid)
    if grid.has_texts:
        _draw_texts(axes, grid, layout)
    _draw_clipped(axes, grid, layout)
    _draw_rings(axes, grid, layout)
    line = {"color": INK, "linewidth": 0.9 if grid.has_texts else 0.5}
    for _, start, _ in family_runs(grid.rows)[1:]:
        axes.axhline(start - 0.5, **line)
    for _, start, _ in family_runs(grid.columns)[1:]:
        axes.axvline(start - 0.5, **line)
    _draw_outlines(axes, grid, layout)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(INK)


def _draw_missing(axes: Axes, grid: Grid) -> None:
    for row, column in np.argwhere(np.isnan(grid.values)):
        box = {"xy": (column - 0.5, row - 0.5), "width": 1, "height": 1}
        if grid.faded[row]:
            axes.add_patch(Rectangle(**box, facecolor=NO_VALUE, linewidth=0))
        else:
            axes.add_patch(
                Rectangle(
                    **box,
                    facecolor="white",
                    edgecolor=HATCH,
                    linewidth=0,
                    hatch="////" if grid.has_texts else "/////",
                )
            )


def _draw_texts(axes: Axes, grid: Grid, layout: Layout) -> None:
    two_lines = grid.second_lines is not None
    for row, column in np.argwhere(np.isfinite(grid.values)):
        second = grid.second_lines[row, column] if two_lines else ""
        style = {
            "ha": "center",
            "va": "center",
            "color": grid.scale.text_colour(grid.values[row, column]),
        }
        axes.text(
            column,
            row - (0.10 if second else 0.0),
            grid.texts[row, column],
            size=layout.text_size,
            fontweight="bold" if two_lines else "normal",
            **style,
        )
        if second:
            axes.text(column, row + 0.17, second, size=layout.second_size, **style)


def _draw_clipped(axes: Axes, grid: Grid, layout: Layout) -> None:
    """Mark values beyond the scale with triangles that point where they lie."""
    values, scale = grid.values, grid.scale
    for beyond, marker in ((values < scale.low, "v"), (values > scale.high, "^")):
        rows, columns = np.nonzero(beyond)
        corner = CORNER if grid.has_texts else 0.0
        axes.scatter(
            columns + corner,
            rows - corner if marker == "^" else rows + corner,
            marker=marker,
            s=(layout.cell * POINTS * (0.12 if corner else 0.30)) ** 2,
            color="white",
            linewidths=0,
        )


def _draw_rings(axes: Axes, grid: Grid, layout: Layout) -> None:
    """Draw the small rings, away from text and triangles."""
    if grid.dotted is None or not grid.dotted.any():
        return
    rows, columns = np.nonzero(grid.dotted)
    corner = CORNER + 0.04 if grid.has_texts else 0.27
    axes.scatter(
        columns - corner,
        rows - corner,
        marker="o",
        s=np.clip(layout.cell * POINTS * 0.2, 2.6, 4.6) ** 2,
        facecolors="none",
        edgecolors=[
            grid.scale.text_colour(grid.values[cell])
            for cell in zip(rows, columns, strict=True)
        ],
        linewidths=0.8 if grid.has_texts else 0.5,
    )


def _draw_outlines(axes: Axes, grid: Grid, layout: Layout) -> None:
    """Frame cells in black with white inside, to be seen on any colour."""
    if grid.outlined is None:
        return
    width = 1.3 if grid.has_texts else 0.6  # points
    inset = 1.3 * width / (layout.cell * POINTS)
    for row, column in np.argwhere(grid.outlined):
        for colour, inwards in (("white", inset), (INK, 0.0)):
            axes.add_patch(
                Rectangle(
                    (column - 0.5 + inwards, row - 0.5 + inwards),
                    1 - 2 * inwards,
                    1 - 2 * inwards,
                    fill=False,
                    edgecolor=colour,
                    linewidth=width,
                    zorder=3,
                    clip_on=False,
                )
            )


def draw_rows(axes: Axes, grid: Grid, layout: Layout) -> None:
    """Write the rows' languages, their families and title to the left."""

    def x(inches: float) -> float:  # to the left of the matrix, in cells
        return -0.5 - inches / layout.cell

    for row, faded in enumerate(grid.faded):
        axes.text(
            x(GAP),
            row,
            grid.row_label(row),
            ha="right",
            va="center",
            size=layout.label_size,
            color=FAINT if faded else INK,
            clip_on=False,
        )
    bracket = GAP + layout.labels_left + GAP
    for family, start, size in family_runs(grid.rows):
        _draw_bracket(axes, x(bracket), x(bracket + BRACKET * 0.6), start, size, "y")
        axes.text(
            x(bracket + BRACKET + GAP * 0.6),
            start + (size - 1) / 2,
            family,
            ha="right",
            va="center",
            size=layout.family_size,
            color=FAINT,
        )
    title = bracket + BRACKET + GAP + layout.families_left + GAP + AXIS_TITLE / 2
    axes.text(
        x(title),
        (len(grid.rows) - 1) / 2,
        grid.row_title,
        rotation=90,
        ha="center",
        va="center",
        size=AXIS_SIZE,
        color=INK,
    )


def draw_columns(axes: Axes, grid: Grid, layout: Layout) -> None:
    """Write the columns' languages, their families and title below."""

    def y(inches: float) -> float:  # below the matrix, in cells
        return len(grid.rows) - 0.5 + inches / layout.cell

    rotation = 90 if layout.upright else 0
    for column in range(len(grid.columns)):
        axes.text(
            column,
            y(GAP),
            grid.column_label(column),
            rotation=rotation,
            ha="center",
            va="top",
            size=layout.label_size,
            color=INK,
        )
    bracket = GAP + layout.labels_below + GAP
    for family, start, size in family_runs(grid.columns):
        _draw_bracket(axes, y(bracket), y(bracket + BRACKET * 0.6), start, size, "x")
        text = family
        if not layout.upright:
            text = "\n".join(
                wrap(family, size * layout.cell - 0.08, layout.family_size)
            )
        axes.text(
            start + (size - 1) / 2,
            y(bracket + BRACKET + GAP * 0.4),
            text,
            rotation=rotation,
            ha="center",
            va="top",
            size=layout.family_size,
            color=FAINT,
            linespacing=1.15,
        )
    title = bracket + BRACKET + layout.families_below + 2 * GAP + AXIS_TITLE / 2
    axes.text(
        (len(grid.columns) - 1) / 2,
        y(title),
        grid.column_title,
        ha="center",
        va="center",
        size=AXIS_SIZE,
        color=INK,
    )


def _draw_bracket(
    axes: Axes, near: float, far: float, start: int, size: int, along: str
) -> None:
    """Draw a bracket around one family, open towards the matrix."""
    ends = (start - 0.36, start + size - 1 + 0.36)
    across = (near, far, far, near)
    lengthwise = (ends[0], ends[0], ends[1], ends[1])
    x, y = (across, lengthwise) if along == "y" else (lengthwise, across)
    axes.plot(x, y, color=FAINT, linewidth=0.7, clip_on=False)
