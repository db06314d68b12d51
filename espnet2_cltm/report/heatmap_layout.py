"""The sizes of a heatmap: how much room each part takes, measured from its text.

Lengths are in inches, the origin of a figure is its lower left corner; sizes of text
are in points.
"""

import textwrap
from dataclasses import dataclass

from matplotlib.textpath import TextPath

from espnet2_cltm.report.heatmap_contents import (
    MOST_WITH_ERRORS,
    MOST_WITH_VALUES,
    Heatmap,
    family_runs,
    language_label,
)

POINTS = 72  # per inch

TITLE_SIZE, SUBTITLE_SIZE, AXIS_SIZE, NOTE_SIZE, BAR_SIZE = 13.0, 9.5, 9.5, 8.0, 8.5
MARGIN = 0.18
AXIS_TITLE = 0.28
BRACKET = 0.10
GAP = 0.07
BAR_GAP, BAR_WIDTH, BAR_TEXT = 0.30, 0.17, 1.42


@dataclass(frozen=True)
class Layout:
    """Sizes of a figure's parts, all in inches but for the font sizes in points."""

    cell: float
    label_size: float
    family_size: float
    labels_left: float
    labels_below: float
    families_left: float
    families_below: float
    upright: bool  # column labels stand on end
    top: float
    bottom: float
    right: float
    width: float
    height: float
    note_lines: tuple[str, ...]


def lay_out(heatmap: Heatmap, notes: tuple[str, ...]) -> Layout:
    """Measure the text and give every part its room.

    Args:
        heatmap: What is drawn.
        notes: All sentences beneath the picture, not broken into lines.
    """
    n = len(heatmap.languages)
    cell = _cell_size(n)
    label_size = min(10.0, cell * POINTS * 0.62)
    family_size = min(8.5, label_size)
    names = [language_label(language, n) for language in heatmap.languages]
    longest = max(text_width(name + " †", label_size) for name in names)
    upright = longest > 0.92 * cell
    line = label_size * 1.3 / POINTS
    families = [family for family, _, _ in family_runs(heatmap.languages)]
    family_width = max(text_width(family, family_size) for family in families)
    wrapped = max(
        len(wrap(family, size * cell - 0.08, family_size))
        for family, _, size in family_runs(heatmap.languages)
    )
    family_line = family_size * 1.25 / POINTS

    labels_below = longest if upright else line
    families_below = family_width if upright else wrapped * family_line
    side = cell * n
    left = MARGIN + AXIS_TITLE + family_width + BRACKET + longest + 4 * GAP
    right = BAR_GAP + BAR_WIDTH + BAR_TEXT + MARGIN
    width = max(
        left + side + right,
        2 * MARGIN + text_width(heatmap.title, TITLE_SIZE),
        2 * MARGIN + text_width(heatmap.subtitle, SUBTITLE_SIZE),
        6.4,
    )
    # What is left over goes to the right, where text beside the bar can use it.
    right += width - (left + side + right)
    note_lines = tuple(
        line for note in notes for line in wrap(note, width - 2 * MARGIN, NOTE_SIZE)
    )
    top = MARGIN + (TITLE_SIZE * 1.35 + SUBTITLE_SIZE * 1.45) / POINTS + 0.14
    bottom = (
        labels_below
        + BRACKET
        + families_below
        + 4 * GAP
        + AXIS_TITLE
        + (len(note_lines) * NOTE_SIZE * 1.4 / POINTS + 0.10)
        + MARGIN
    )
    return Layout(
        cell=cell,
        label_size=label_size,
        family_size=family_size,
        labels_left=longest,
        labels_below=labels_below,
        families_left=family_width,
        families_below=families_below,
        upright=upright,
        top=top,
        bottom=bottom,
        right=right,
        width=width,
        height=top + side + bottom,
        note_lines=note_lines,
    )


def _cell_size(n: int) -> float:
    if n <= MOST_WITH_ERRORS:
        return 0.95 if n > 3 else 1.15
    if n <= MOST_WITH_VALUES:
        return max(0.42, 5.6 / n)
    return max(0.168, 8.8 / n)


def text_width(text: str, size: float) -> float:
    """Width of a line of text in inches."""
    if not text:
        return 0.0
    return TextPath((0, 0), text, size=size).get_extents().width / POINTS


def wrap(text: str, width: float, size: float) -> list[str]:
    """Break text into lines of at most ``width`` inches, at spaces."""
    if text_width(text, size) <= width:
        return [text]
    per_character = text_width(text, size) / len(text)
    fit = max(int(width / per_character), 1)
    return textwrap.wrap(text, fit, break_long_words=False, break_on_hyphens=False)
