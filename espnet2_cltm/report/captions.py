"""Title, subtitle and notes around a plot, as all figures with axes have them."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from espnet2_cltm.report.colour_scale import FAINT, INK
from espnet2_cltm.report.heatmap_layout import (
    MARGIN,
    NOTE_SIZE,
    POINTS,
    SUBTITLE_SIZE,
    TITLE_SIZE,
)


def lines_height(lines: Sequence[str], size: float) -> float:
    """Give the height of some lines in inches; ``size`` is in points."""
    return len(lines) * size * 1.45 / POINTS


def write_around(
    figure: Figure, title: Sequence[str], subtitle: Sequence[str], notes: Sequence[str]
) -> None:
    """Write title and subtitle at the top of a figure, notes at its bottom.

    Args:
        figure: Of any size.
        title: Its lines.
        subtitle: Its lines.
        notes: Their lines.
    """
    width, height = figure.get_size_inches()

    def write(lines: Sequence[str], top: float, size: float, **style: object) -> None:
        figure.text(
            MARGIN / width,
            top / height,
            "\n".join(lines),
            size=size,
            va="top",
            linespacing=1.25,
            **style,
        )

    write(title, height - MARGIN, TITLE_SIZE, fontweight="bold", color=INK)
    below_title = height - MARGIN - lines_height(title, TITLE_SIZE)
    write(subtitle, below_title, SUBTITLE_SIZE, color=FAINT)
    write(notes, MARGIN + lines_height(notes, NOTE_SIZE), NOTE_SIZE, color=FAINT)
