"""The sizes of a heatmap: how much room each part takes, measured from its text.

Lengths are in inches, the origin of a figure is its lower left corner; sizes of text
are in points.
"""

from dataclasses import dataclass

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from espnet2_cltm.report.heatmap_grid import (
    MOST_WITH_SECOND_LINES,
    MOST_WITH_VALUES,
    Grid,
    family_runs,
)

POINTS = 72  # per inch

TITLE_SIZE, SUBTITLE_SIZE, AXIS_SIZE, NOTE_SIZE, BAR_SIZE = 13.0, 9.5, 9.5, 8.0, 8.5
MARGIN = 0.18
AXIS_TITLE = 0.28
BRACKET = 0.10
GAP = 0.07
BAR_GAP, BAR_WIDTH, BAR_TEXT = 0.30, 0.17, 1.42
SECOND_SIZE = 8.0  # of the second line of a cell
SECOND_SHARE = 0.92  # of the cell that it may take
WIDEST_CELL = 1.35


@dataclass(frozen=True)
class Layout:
    """Sizes of a figure's parts, all in inches but for the font sizes in points."""

    cell: float
    text_size: float
    second_size: float
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


def lay_out(grid: Grid) -> Layout:
    """Measure the text and give every part its room."""
    cell, second_size = _cell_size(grid)
    label_size = min(10.0, cell * POINTS * 0.62)
    family_size = min(8.5, label_size)
    labels_left = max(
        text_width(grid.row_label(row), label_size) for row in range(len(grid.rows))
    )
    longest = max(
        text_width(grid.column_label(column), label_size)
        for column in range(len(grid.columns))
    )
    upright = longest > 0.92 * cell
    families_left = max(
        text_width(family, family_size) for family, _, _ in family_runs(grid.rows)
    )
    columns = family_runs(grid.columns)
    if upright:
        labels_below = longest
        families_below = max(
            text_width(family, family_size) for family, _, _ in columns
        )
    else:
        labels_below = label_size * 1.3 / POINTS
        families_below = (
            max(
                len(wrap(family, size * cell - 0.08, family_size))
                for family, _, size in columns
            )
            * family_size
            * 1.25
            / POINTS
        )
    across, down = cell * len(grid.columns), cell * len(grid.rows)
    left = MARGIN + AXIS_TITLE + families_left + BRACKET + labels_left + 4 * GAP
    right = BAR_GAP + BAR_WIDTH + BAR_TEXT + MARGIN
    width = max(
        left + across + right,
        2 * MARGIN + text_width(grid.title, TITLE_SIZE, bold=True),
        2 * MARGIN + text_width(grid.subtitle, SUBTITLE_SIZE),
        6.4,
    )
    # What is left over goes to the right, where text beside the bar can use it.
    right += width - (left + across + right)
    note_lines = tuple(
        line
        for note in grid.notes
        for line in wrap(note, width - 2 * MARGIN, NOTE_SIZE)
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
        text_size=min(11.0, cell * POINTS * 0.30),
        second_size=second_size,
        label_size=label_size,
        family_size=family_size,
        labels_left=labels_left,
        labels_below=labels_below,
        families_left=families_left,
        families_below=families_below,
        upright=upright,
        top=top,
        bottom=bottom,
        right=right,
        width=width,
        height=top + down + bottom,
        note_lines=note_lines,
    )


def _cell_size(grid: Grid) -> tuple[float, float]:
    """Give the side of a cell, and the size of a second line that fits in it."""
    n = grid.size
    if n > MOST_WITH_VALUES:
        return max(0.168, 8.8 / n), 0.0
    if n > MOST_WITH_SECOND_LINES:
        return max(0.42, 5.6 / n), 0.0
    cell = 0.95 if n > 3 else 1.15
    if grid.second_lines is None:
        return cell, 0.0
    widest = max(text_width(line, SECOND_SIZE) for line in grid.second_lines.flat)
    cell = min(max(cell, widest / SECOND_SHARE), WIDEST_CELL)
    return cell, SECOND_SIZE * min(1.0, SECOND_SHARE * cell / max(widest, 1e-9))


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line of text in inches."""
    if not text:
        return 0.0
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return width / POINTS


def wrap(text: str, width: float, size: float) -> list[str]:
    """Break text into lines of at most ``width`` inches, at spaces.

    A word that is wider than that has a line of its own.
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]
