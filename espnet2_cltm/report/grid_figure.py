"""The figure of a grid: titles, cells, labels, colour bar and notes in their places.

Puts the parts together: what is shown, how much room it takes, the matrix, the colour
bar, the titles.
"""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from espnet2_cltm.report.colour_bar import draw_colour_bar
from espnet2_cltm.report.colour_scale import FAINT, INK
from espnet2_cltm.report.heatmap_grid import Grid
from espnet2_cltm.report.heatmap_layout import (
    BAR_GAP,
    MARGIN,
    NOTE_SIZE,
    POINTS,
    SUBTITLE_SIZE,
    TITLE_SIZE,
    Layout,
    lay_out,
)
from espnet2_cltm.report.heatmap_matrix import draw_cells, draw_columns, draw_rows


def draw_grid(grid: Grid) -> Figure:
    """Draw a grid; the figure belongs to no window and no global state."""
    layout = lay_out(grid)
    figure = Figure(figsize=(layout.width, layout.height))
    FigureCanvasAgg(figure)
    across = layout.cell * len(grid.columns)
    down = layout.cell * len(grid.rows)
    left = layout.width - layout.right - across
    bottom = layout.height - layout.top - down
    axes = figure.add_axes(
        (
            left / layout.width,
            bottom / layout.height,
            across / layout.width,
            down / layout.height,
        )
    )
    draw_cells(axes, grid, layout)
    draw_rows(axes, grid, layout)
    draw_columns(axes, grid, layout)
    draw_colour_bar(figure, grid.scale, layout, left + across + BAR_GAP, bottom, down)
    _draw_titles(figure, grid, layout)
    return figure


def _draw_titles(figure: Figure, grid: Grid, layout: Layout) -> None:
    def at(x: float, y: float) -> tuple[float, float]:
        return x / layout.width, y / layout.height

    top = layout.height - MARGIN
    figure.text(
        *at(MARGIN, top),
        grid.title,
        size=TITLE_SIZE,
        fontweight="bold",
        va="top",
        color=INK,
    )
    figure.text(
        *at(MARGIN, top - TITLE_SIZE * 1.5 / POINTS),
        grid.subtitle,
        size=SUBTITLE_SIZE,
        va="top",
        color=FAINT,
    )
    lines = len(layout.note_lines)
    for index, line in enumerate(layout.note_lines):
        figure.text(
            *at(MARGIN, MARGIN + (lines - index) * NOTE_SIZE * 1.4 / POINTS),
            line,
            size=NOTE_SIZE,
            va="top",
            color=FAINT,
        )
