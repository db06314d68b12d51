"""The heatmap of a transfer matrix, as PNG and PDF for papers.

Puts the parts together: what is shown, how much room it takes, the matrix, the colour
bar, the titles. Nothing in the files depends on time or on the user's matplotlib
settings: the same matrix gives the same bytes.
"""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from espnet2_cltm.report.colour_bar import draw_colour_bar
from espnet2_cltm.report.colour_scale import FAINT, INK, colour_scale
from espnet2_cltm.report.figure_files import write_figure
from espnet2_cltm.report.heatmap_contents import Heatmap, legend_notes
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


def write_heatmap(heatmap: Heatmap, png: Path | str, pdf: Path | str) -> None:
    """Draw a heatmap into two files.

    Raises:
        UserError: A file cannot be written.
    """
    write_figure(lambda: draw_heatmap(heatmap), heatmap.title, png, pdf)


def draw_heatmap(heatmap: Heatmap) -> Figure:
    """Draw a heatmap; the figure belongs to no window and no global state."""
    scale = colour_scale(heatmap.values[~np.eye(len(heatmap.values), dtype=bool)])
    notes = (*legend_notes(heatmap, scale), *heatmap.notes)
    layout = lay_out(heatmap, notes)
    figure = Figure(figsize=(layout.width, layout.height))
    FigureCanvasAgg(figure)
    side = layout.cell * len(heatmap.languages)
    left = layout.width - layout.right - side
    bottom = layout.height - layout.top - side
    axes = figure.add_axes(
        (
            left / layout.width,
            bottom / layout.height,
            side / layout.width,
            side / layout.height,
        )
    )
    draw_cells(axes, heatmap, scale, layout)
    draw_rows(axes, heatmap, layout)
    draw_columns(axes, heatmap, layout)
    draw_colour_bar(figure, scale, layout, left + side + BAR_GAP, bottom, side)
    _draw_titles(figure, heatmap, layout)
    return figure


def _draw_titles(figure: Figure, heatmap: Heatmap, layout: Layout) -> None:
    def at(x: float, y: float) -> tuple[float, float]:
        return x / layout.width, y / layout.height

    top = layout.height - MARGIN
    figure.text(
        *at(MARGIN, top),
        heatmap.title,
        size=TITLE_SIZE,
        fontweight="bold",
        va="top",
        color=INK,
    )
    figure.text(
        *at(MARGIN, top - TITLE_SIZE * 1.5 / POINTS),
        heatmap.subtitle,
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
