"""What all figures share: how one is declared, framed and written for papers.

A figure is one :class:`Figure` in a list of :mod:`espnet2_cltm.report.figures`::

    def draw_gains(report: Report) -> matplotlib.figure.Figure | None:
        figure = new_figure(6.4)
        axes = figure.add_subplot()
        axes.hist(report.main.matrix.cltm.ravel())
        frame(figure, axes, (None, 3.0), "All cells", "a histogram")
        return figure

    MATRIX_FIGURES.append(Figure("gains", draw_gains))

writes ``gains.png`` and ``gains.pdf`` beside the report, which links them. Lengths are
in inches, sizes of text in points. Nothing in the files depends on time or on the
user's matplotlib settings: the same contents give the same bytes.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox

from espnet2_cltm.files import remove_if_there, replacing
from espnet2_cltm.report.colours import FAINT, INK
from espnet2_cltm.report.wording import MINUS

DPI = 200
SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # names may hold a $; mathtext is asked for
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,  # embed TrueType outlines: text stays text, as journals ask
    "hatch.linewidth": 0.5,
    "axes.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

TITLE_SIZE, SUBTITLE_SIZE, AXIS_SIZE, TICK_SIZE, NOTE_SIZE = 13.0, 9.5, 9.5, 8.5, 8.0
POINTS = 72  # per inch
LINE = 1.4  # height of a line of text, times its size
MARGIN = 0.18
GAP = 0.12  # between the captions and the plot
NARROWEST = 6.4
CLOSE, MOST_TRIES = 0.004, 8  # of fitting a figure to its plot


@dataclass(frozen=True)
class Figure:
    """A figure that is written as PNG and PDF.

    Attributes:
        name: Name of the files, without their endings.
        draw: Function that draws what it is given; None where that has nothing to show.
    """

    name: str
    draw: Callable[[Any], matplotlib.figure.Figure | None]

    @property
    def files(self) -> tuple[str, str]:
        """Names of both files."""
        return f"{self.name}.png", f"{self.name}.pdf"


def write_figures(outdir: Path, figures: Iterable[Figure], subject: Any) -> list[str]:
    """Draw figures; the files of one that has nothing to show are removed.

    Args:
        outdir: Directory of the files.
        figures: Figures to draw.
        subject: What they show; each figure's ``draw`` is given it.

    Returns:
        Names of the files written.

    Raises:
        UserError: A file cannot be written.
    """
    written: list[str] = []
    for figure in figures:
        paths = [outdir / name for name in figure.files]
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(SETTINGS)
            drawn = figure.draw(subject)
            if drawn is None:
                remove_if_there(*paths)
                continue
            title = str(drawn.get_label() or figure.name)
            _write(paths[0], drawn, dpi=DPI, metadata={"Software": None})
            _write(paths[1], drawn, metadata={"CreationDate": None, "Title": title})
        written += figure.files
    return written


def _write(path: Path, figure: matplotlib.figure.Figure, **options: Any) -> None:
    # Through memory: on a full disk matplotlib raises more than one error.
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], **options)
    with replacing(path) as temporary:
        temporary.write_bytes(drawn.getvalue())


def new_figure(width: float = NARROWEST, gap: float = 0.03) -> matplotlib.figure.Figure:
    """Return an empty figure that belongs to no window and no global state.

    Args:
        width: Width in inches; :func:`frame` finds the height.
        gap: Space around each of its axes and their labels, in inches.
    """
    figure = matplotlib.figure.Figure(figsize=(width, width), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", w_pad=gap, h_pad=0.03, wspace=0, hspace=0)
    return figure


def frame(
    figure: matplotlib.figure.Figure,
    plot: Axes,
    size: tuple[float | None, float],
    title: str,
    subtitle: str,
    notes: Sequence[str] = (),
) -> None:
    """Write captions around a plot, and make the figure as large as everything needs.

    Constrained layout finds the room that labels take; the figure's size follows.

    Args:
        figure: Figure of :func:`new_figure`.
        plot: Axes that get the size.
        size: Width and height of ``plot`` in inches. Where the width is None, the
            figure keeps its own; else it is as wide as plot and captions need.
        title: First line.
        subtitle: Second line.
        notes: Sentences beneath the picture.
    """
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    title, subtitle = (text.replace(" - ", f" {MINUS} ") for text in (title, subtitle))
    captions: tuple[tuple[Sequence[str], float, dict[str, Any]], ...] = (
        ((title,), TITLE_SIZE, {"fontweight": "bold", "color": INK}),
        ((subtitle,), SUBTITLE_SIZE, {"color": FAINT}),
        (notes, NOTE_SIZE, {"color": FAINT}),
    )
    width, fixed = figure.get_figwidth(), size[0] is None
    least = max(
        NARROWEST,
        text_width(title, TITLE_SIZE, bold=True) + 2 * MARGIN,
        text_width(subtitle, SUBTITLE_SIZE) + 2 * MARGIN,
    )
    wanted = np.array([size[0] or 0.0, size[1]])
    room = np.array([width - 2 * MARGIN, size[1] + 2] if fixed else wanted + 3)
    for _ in range(MOST_TRIES):
        if not fixed:
            width = max(room[0] + 2 * MARGIN, least)
        lines = [
            [
                line
                for text in texts
                for line in wrap(
                    text, width - 2 * MARGIN, points, "fontweight" in style
                )
            ]
            for texts, points, style in captions
        ]
        heights = [
            len(some) * points * LINE / POINTS
            for some, (_, points, _) in zip(lines, captions, strict=True)
        ]
        above, below = MARGIN + sum(heights[:2]) + GAP, MARGIN + heights[2] + GAP
        height = above + room[1] + below
        figure.set_size_inches(width, height)
        engine.set(
            rect=(MARGIN / width, below / height, room[0] / width, room[1] / height)
        )
        engine.execute(figure)
        found = plot.get_position().size * np.array([width, height])
        lacking = np.where((fixed, False), 0.0, wanted - found).round(6)
        if abs(lacking).max() < CLOSE:
            break
        room += lacking
    tops = (height - MARGIN, height - MARGIN - heights[0], MARGIN + heights[2])
    for some, top, (_, points, style) in zip(lines, tops, captions, strict=True):
        figure.text(
            MARGIN / width,
            top / height,
            "\n".join(some),
            size=points,
            va="top",
            linespacing=LINE,
            **style,
        )
    figure.set_layout_engine("none")
    for axes in figure.axes:  # the solver leaves the last bits to chance
        axes.set_position(Bbox(axes.get_position().get_points().round(9)))
    figure.set_label(title)


def dress(axes: Axes) -> None:
    """Give axes the project's look: thin ticks, open to the top and the right."""
    axes.tick_params(labelsize=TICK_SIZE, length=3, width=0.6, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", MINUS))


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a line of text in inches."""
    if not text:
        return 0.0
    font = FontProperties(
        family="DejaVu Sans", size=size, weight="bold" if bold else "normal"
    )
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return width / POINTS


def wrap(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """Break text at spaces into lines of at most ``width`` inches.

    A word that is wider than that has a line of its own.
    """
    lines: list[str] = []
    for word in filter(None, text.split(" ")):  # not at no-break spaces
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
