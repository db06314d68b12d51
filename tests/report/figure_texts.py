"""The texts of a figure and where they stand."""

from collections.abc import Iterable
from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[str]:
    """Everything a figure says."""
    figure.draw_without_rendering()  # makes the labels of ticks
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


def boxes(figure: Figure, shown: Iterable[Text]) -> list[Bbox]:
    """Where texts stand, in pixels."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    # The text alone: the extent of an annotation holds its line too.
    return [
        Text.get_window_extent(text, renderer)
        for text in shown
        if text.get_text() and text.get_visible()
    ]


def lie_inside(figure: Figure) -> bool:
    """Whether nothing is cut by the figure's edges."""
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def overlap(some: list[Bbox]) -> bool:
    """Whether any two of them do."""
    return any(one.padded(-0.5).overlaps(other) for one, other in combinations(some, 2))
