"""The heatmap of a transfer matrix, as PNG and PDF for papers.

Nothing in the files depends on time or on the user's matplotlib settings: the same
matrix gives the same bytes.
"""

from pathlib import Path

from matplotlib.figure import Figure

from espnet2_cltm.report.figure_files import write_figure
from espnet2_cltm.report.grid_figure import draw_grid
from espnet2_cltm.report.heatmap_contents import Heatmap, heatmap_grid


def write_heatmap(heatmap: Heatmap, png: Path | str, pdf: Path | str) -> None:
    """Draw a heatmap into two files.

    Raises:
        UserError: A file cannot be written.
    """
    write_figure(lambda: draw_heatmap(heatmap), heatmap.title, png, pdf)


def draw_heatmap(heatmap: Heatmap) -> Figure:
    """Draw a heatmap; the figure belongs to no window and no global state."""
    return draw_grid(heatmap_grid(heatmap))
