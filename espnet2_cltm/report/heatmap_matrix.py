"""Drawing the matrix of a heatmap: its cells, and the labels on its two sides.

A cell's centre is at whole numbers of the axes, row 0 on top, as in an array. A cell
without a value is hatched; the row of a target that is not identified is plain grey
and marked.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from espnet2_cltm.report.colour_scale import FAINT, INK, ColourScale
from espnet2_cltm.report.heatmap_contents import (
    MOST_WITH_VALUES,
    Heatmap,
    family_runs,
    format_value,
    grey_rows,
    language_label,
    shown_errors,
)
from espnet2_cltm.report.heatmap_layout import (
    AXIS_SIZE,
    AXIS_TITLE,
    BRACKET,
    GAP,
    POINTS,
    Layout,
    wrap,
)

NOT_IDENTIFIED = "#d4d4d4"
HATCH = "#9a9a9a"

TARGET_TITLE = r"$\mathbf{target}\ i$ (tested)"
DONOR_TITLE = r"$\mathbf{donor}\ j$ (adds $N$ utterances)"


def draw_cells(
    axes: Axes, heatmap: Heatmap, scale: ColourScale, layout: Layout
) -> None:
    """Draw the cells, what is written in them and the lines between families."""
    n = len(heatmap.languages)
    values = heatmap.values
    grey = grey_rows(heatmap)
    edges = np.arange(n + 1) - 0.5
    axes.pcolormesh(
        edges,
        edges,
        np.ma.masked_invalid(values),
        cmap=scale.colormap,
        norm=scale.norm,
        edgecolors="white",
        linewidth=0.8 if n <= MOST_WITH_VALUES else 0.25,
    )
    for row, column in np.argwhere(np.isnan(values)):
        box = {"xy": (column - 0.5, row - 0.5), "width": 1, "height": 1}
        if grey[row]:
            axes.add_patch(Rectangle(**box, facecolor=NOT_IDENTIFIED, linewidth=0))
        else:
            axes.add_patch(
                Rectangle(
                    **box,
                    facecolor="white",
                    edgecolor=HATCH,
                    linewidth=0,
                    hatch="/////" if n > MOST_WITH_VALUES else "////",
                )
            )
    if n <= MOST_WITH_VALUES:
        _draw_values(axes, heatmap, scale, layout)
    _draw_clipped(axes, values, scale, layout)
    for _, start, _ in family_runs(heatmap.languages)[1:]:
        line = {"color": INK, "linewidth": 0.9 if n <= MOST_WITH_VALUES else 0.5}
        axes.axhline(start - 0.5, **line)
        axes.axvline(start - 0.5, **line)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(INK)


def _draw_values(
    axes: Axes, heatmap: Heatmap, scale: ColourScale, layout: Layout
) -> None:
    size = min(11.0, layout.cell * POINTS * 0.30)
    errors = shown_errors(heatmap)
    for row, column in np.argwhere(np.isfinite(heatmap.values)):
        value = heatmap.values[row, column]
        error = np.nan if errors is None else errors[row, column]
        colour = scale.text_colour(value)
        lift = 0.10 if np.isfinite(error) else 0.0
        axes.text(
            column,
            row - lift,
            format_value(value),
            ha="center",
            va="center",
            size=size,
            color=colour,
            fontweight="bold" if errors is not None else "normal",
        )
        if np.isfinite(error):
            axes.text(
                column,
                row + 0.17,
                f"± {error:.2f}",
                ha="center",
                va="center",
                size=size * 0.74,
                color=colour,
            )


def _draw_clipped(
    axes: Axes, values: np.ndarray, scale: ColourScale, layout: Layout
) -> None:
    for beyond, marker in ((values < scale.low, "v"), (values > scale.high, "^")):
        rows, columns = np.nonzero(beyond)
        corner = 0.34 if len(values) <= MOST_WITH_VALUES else 0.0
        axes.scatter(
            columns + corner,
            rows - corner if marker == "^" else rows + corner,
            marker=marker,
            s=(layout.cell * POINTS * (0.12 if corner else 0.30)) ** 2,
            color="white",
            linewidths=0,
        )


def draw_rows(axes: Axes, heatmap: Heatmap, layout: Layout) -> None:
    """Write targets, their families and the title to the left of the matrix."""
    grey = grey_rows(heatmap)
    n = len(heatmap.languages)

    def x(inches: float) -> float:  # to the left of the matrix, in cells
        return -0.5 - inches / layout.cell

    for row, language in enumerate(heatmap.languages):
        mark = " †" if grey[row] else ""
        axes.text(
            x(GAP),
            row,
            language_label(language, n) + mark,
            ha="right",
            va="center",
            size=layout.label_size,
            color=FAINT if grey[row] else INK,
            clip_on=False,
        )
    bracket = GAP + layout.labels_left + GAP
    for family, start, size in family_runs(heatmap.languages):
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
        (n - 1) / 2,
        TARGET_TITLE,
        rotation=90,
        ha="center",
        va="center",
        size=AXIS_SIZE,
        color=INK,
    )


def draw_columns(axes: Axes, heatmap: Heatmap, layout: Layout) -> None:
    """Write donors, their families and the title below the matrix."""
    n = len(heatmap.languages)

    def y(inches: float) -> float:  # below the matrix, in cells
        return n - 0.5 + inches / layout.cell

    rotation = 90 if layout.upright else 0
    for column, language in enumerate(heatmap.languages):
        axes.text(
            column,
            y(GAP),
            language_label(language, n),
            rotation=rotation,
            ha="center",
            va="top",
            size=layout.label_size,
            color=INK,
        )
    bracket = GAP + layout.labels_below + GAP
    for family, start, size in family_runs(heatmap.languages):
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
        (n - 1) / 2,
        y(title),
        DONOR_TITLE,
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
