"""A coloured table of languages by languages, whatever its values mean.

What every heatmap of the project is drawn from: rows and columns grouped by language
family, values and their colours, the marks a cell or a row can have, and the colour
bar. How much is written depends on the number of languages: full names, values and
second lines where there is room for them. Of more than :data:`MOST_WITH_MARKS`
languages the cells are colours alone. A cell's centre is at whole numbers of the axes,
row 0 on top, as in an array.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.colours import FAINT, INK, ColourScale
from espnet2_cltm.report.drawing import (
    AXIS_SIZE,
    POINTS,
    TICK_SIZE,
    frame,
    new_figure,
    text_width,
    wrap,
)
from espnet2_cltm.report.wording import format_value

MOST_WITH_NAMES = 24  # more languages than this are labelled by code alone
MOST_WITH_VALUES = 20
MOST_WITH_SECOND_LINES = 6
MOST_WITH_MARKS = 100  # more have no room for rings, triangles and hatching

SECOND_SIZE = 8.0  # of the second line of a cell, in points
SECOND_SHARE = 0.92  # of the cell that it may take
WIDEST_CELL = 1.35  # inches
CODE_CELL = 0.168  # inches, as wide as a language's code is high
WIDEST = 14.0  # inches of all cells, unless they were smaller than the next then
SMALLEST_CELL = 0.05
BRACKET = 0.06  # inches
BAR_GAP, BAR_WIDTH, BAR_HEIGHT, BAR_TEXT = 0.3, 0.17, 5.5, 1.42  # inches
CORNER = 0.34  # from the centre of a cell with text to the marks in its corners
NO_VALUE, HATCH = "#d4d4d4", "#9a9a9a"


@dataclass(frozen=True)
class Grid:
    """What is drawn.

    Attributes:
        rows: The r languages of the rows, families together.
        columns: The c languages of the columns, families together.
        values: (r, c), NaN where not available.
        scale: Colours of the values.
        row_title: Title of the rows; may hold mathtext.
        column_title: Title of the columns; may, too.
        title: First line.
        subtitle: Second line.
        decimals: Decimals of the values where there is room for text.
        second_lines: (r, c) str, beneath a cell's value where there is much room; empty
            where a cell has none; or None.
        faded_rows: (r,) bool, rows marked † and plain grey where without a value; or
            None.
        dotted: (r, c) bool, cells with a small ring; or None.
        outlined: (r, c) bool, cells with a frame; or None.
        notes: Sentences beneath the picture.
    """

    rows: tuple[Language, ...]
    columns: tuple[Language, ...]
    values: np.ndarray
    scale: ColourScale
    row_title: str
    column_title: str
    title: str
    subtitle: str
    decimals: int = 2
    second_lines: np.ndarray | None = None
    faded_rows: np.ndarray | None = None
    dotted: np.ndarray | None = None
    outlined: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The larger of the numbers of rows and columns."""
        return max(len(self.rows), len(self.columns))

    @property
    def has_texts(self) -> bool:
        """Whether cells have room for text."""
        return self.size <= MOST_WITH_VALUES

    @property
    def has_marks(self) -> bool:
        """Whether cells have room for marks."""
        return self.size <= MOST_WITH_MARKS

    @property
    def faded(self) -> np.ndarray:
        """(r,) bool, the rows that are marked."""
        if self.faded_rows is None:
            return np.zeros(len(self.rows), dtype=bool)
        return self.faded_rows


def language_label(language: Language, n: int) -> str:
    """Name a language, by its code alone where there are many."""
    return language.name if n <= MOST_WITH_NAMES else language.code


def family_runs(languages: tuple[Language, ...]) -> list[tuple[str, int, int]]:
    """Return each run of languages of one family: family, first position, length."""
    runs = []
    start = 0
    for family, members in groupby(languages, key=lambda language: language.family):
        size = len(list(members))
        runs.append((family, start, size))
        start += size
    return runs


def draw_grid(grid: Grid) -> matplotlib.figure.Figure:
    """Draw a grid with its labels, colour bar and captions."""
    cell, second_size = _cell_size(grid)
    across, down = cell * len(grid.columns), cell * len(grid.rows)
    figure = new_figure()
    places = figure.add_gridspec(
        2, 2, width_ratios=(BRACKET, across), height_ratios=(down, BRACKET)
    )
    cells = figure.add_subplot(places[0, 1])
    _draw_cells(cells, grid, cell, second_size)
    size = min(10.0, max(cell, min(CODE_CELL, 1.3 * cell)) * POINTS * 0.62)
    _label(cells, figure.add_subplot(places[0, 0]), grid, "y", size, cell)
    _label(cells, figure.add_subplot(places[1, 1]), grid, "x", size, cell)
    height = min(down, BAR_HEIGHT)
    bar = cells.inset_axes(
        (1 + BAR_GAP / across, 1 - height / down, BAR_WIDTH / across, height / down)
    )
    _draw_colour_bar(figure, bar, grid.scale, height)
    frame(figure, cells, (across, down), grid.title, grid.subtitle, grid.notes)
    return figure


def _cell_size(grid: Grid) -> tuple[float, float]:
    """Return the side of a cell, and the size of a second line that fits in it."""
    n = grid.size
    if n > MOST_WITH_VALUES:
        widest = max(WIDEST / n, SMALLEST_CELL)
        return min(max(CODE_CELL, 8.8 / n), widest), 0.0
    if n > MOST_WITH_SECOND_LINES:
        return max(0.42, 5.6 / n), 0.0
    cell = 0.95 if n > 3 else 1.15
    if grid.second_lines is None:
        return cell, 0.0
    widest = max(text_width(line, SECOND_SIZE) for line in grid.second_lines.flat)
    cell = min(max(cell, widest / SECOND_SHARE), WIDEST_CELL)
    return cell, SECOND_SIZE * min(1.0, SECOND_SHARE * cell / max(widest, 1e-9))


def _draw_cells(axes: Axes, grid: Grid, cell: float, second_size: float) -> None:
    """Draw the cells, what is written in them and the lines between families."""
    rows, columns = grid.values.shape
    if grid.has_marks:
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
        _draw_clipped(axes, grid, cell)
        _draw_rings(axes, grid, cell)
    else:
        _draw_image(axes, grid)
    if grid.has_texts:
        _draw_texts(axes, grid, min(11.0, cell * POINTS * 0.30), second_size)
    line: dict[str, Any] = {"color": INK, "linewidth": 0.9 if grid.has_texts else 0.5}
    for _, start, _ in family_runs(grid.rows)[1:]:
        axes.axhline(start - 0.5, **line)
    for _, start, _ in family_runs(grid.columns)[1:]:
        axes.axvline(start - 0.5, **line)
    _draw_outlines(axes, grid)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    for spine in axes.spines.values():
        spine.set_color(INK)


def _draw_image(axes: Axes, grid: Grid) -> None:
    """Draw the cells as one picture: white without a value, in a faded row grey."""
    colours = grid.scale.colormap(grid.scale.norm(grid.values))
    missing = np.isnan(grid.values)
    colours[missing] = to_rgba("white")
    colours[missing & grid.faded[:, None]] = to_rgba(NO_VALUE)
    axes.imshow(colours, interpolation="none", aspect="auto")


def _draw_missing(axes: Axes, grid: Grid) -> None:
    """Hatch the cells without a value; in a faded row they are plain grey."""
    for row, column in np.argwhere(np.isnan(grid.values)):
        look: dict[str, Any] = {"facecolor": NO_VALUE}
        if not grid.faded[row]:
            look = {
                "facecolor": "white",
                "edgecolor": HATCH,
                "hatch": "////" if grid.has_texts else "/////",
            }
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, linewidth=0, **look))


def _draw_texts(axes: Axes, grid: Grid, size: float, second_size: float) -> None:
    for row, column in np.argwhere(np.isfinite(grid.values)):
        value = grid.values[row, column]
        second = "" if grid.second_lines is None else grid.second_lines[row, column]
        style: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "color": grid.scale.text_colour(value),
            "in_layout": False,
        }
        axes.text(
            column,
            row - (0.10 if second else 0.0),
            format_value(value, grid.decimals),
            size=size,
            fontweight="normal" if grid.second_lines is None else "bold",
            **style,
        )
        if second:
            axes.text(column, row + 0.17, second, size=second_size, **style)


def _draw_clipped(axes: Axes, grid: Grid, cell: float) -> None:
    """Mark values beyond the scale with triangles that point where they lie."""
    values, scale = grid.values, grid.scale
    corner = CORNER if grid.has_texts else 0.0
    for beyond, marker in ((values < scale.low, "v"), (values > scale.high, "^")):
        rows, columns = np.nonzero(beyond)
        axes.scatter(
            columns + corner,
            rows - corner if marker == "^" else rows + corner,
            marker=marker,
            s=(cell * POINTS * (0.12 if corner else 0.30)) ** 2,
            color="white",
            linewidths=0,
        )


def _draw_rings(axes: Axes, grid: Grid, cell: float) -> None:
    """Draw the small rings, away from text, triangles and frames."""
    if grid.dotted is None or not grid.dotted.any():
        return
    rows, columns = np.nonzero(grid.dotted)
    corner = np.full(len(rows), CORNER + 0.04 if grid.has_texts else 0.27)
    if grid.outlined is not None and grid.has_texts:
        corner[grid.outlined[rows, columns]] -= 0.11
    axes.scatter(
        columns - corner,
        rows - corner,
        marker="o",
        s=float(np.clip(cell * POINTS * 0.2, 2.6, 4.6)) ** 2,
        facecolors="none",
        edgecolors=[grid.scale.text_colour(v) for v in grid.values[rows, columns]],
        linewidths=0.8 if grid.has_texts else 0.5,
    )


def _draw_outlines(axes: Axes, grid: Grid) -> None:
    """Frame cells in black with white around, to be seen on any colour."""
    if grid.outlined is None:
        return
    width = 1.3 if grid.has_texts else 0.6  # points
    halo = [withStroke(linewidth=3 * width, foreground="white")]
    for row, column in np.argwhere(grid.outlined):
        corner = (column - 0.46, row - 0.46)
        look: dict[str, Any] = {"linewidth": width, "path_effects": halo, "zorder": 3}
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=INK, **look))


def _label(
    cells: Axes, families: Axes, grid: Grid, side: str, size: float, cell: float
) -> None:
    """Write languages, their families and the title on one side of the matrix.

    That is ``x`` for the columns, beneath, or ``y`` for the rows, to the left. Names
    have ``size`` points, a cell's side is in inches.
    """
    languages = grid.columns if side == "x" else grid.rows
    labels = [language_label(language, grid.size) for language in languages]
    runs = family_runs(languages)
    names = [family for family, _, _ in runs]
    family_size = min(TICK_SIZE, size)
    upright = side == "x" and max(text_width(x, size) for x in labels) > 0.92 * cell
    if side == "x" and not upright:
        names = [
            "\n".join(wrap(family, n * cell - 0.08, family_size))
            for family, _, n in runs
        ]
    if side == "y":
        labels = [
            f"{label} †" if faded else label
            for label, faded in zip(labels, grid.faded, strict=True)
        ]
    rotation = 90 if upright else 0
    axis = {"x": cells.xaxis, "y": cells.yaxis}[side]
    axis.set_ticks(range(len(labels)), labels, rotation=rotation)
    axis.set_tick_params(length=0, pad=4, labelsize=size, labelcolor=INK)
    for label in axis.get_ticklabels():
        label.set_color(FAINT if label.get_text().endswith("†") else INK)

    families.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    outer = {"x": families.xaxis, "y": families.yaxis}[side]
    outer.set_ticks([start + (n - 1) / 2 for _, start, n in runs], names)
    outer.set_tick_params(
        length=0, pad=3, labelsize=family_size, labelcolor=FAINT, rotation=rotation
    )
    outer.set_view_interval(*axis.get_view_interval(), ignore=True)
    outer.set_label_text(
        grid.column_title if side == "x" else grid.row_title,
        size=AXIS_SIZE,
        color=INK,
        parse_math=True,
    )
    outer.labelpad = 6
    for _, start, n in runs:
        first, last = start - 0.36, start + n - 1 + 0.36
        bracket = ((first, first, last, last), (1, 0, 0, 1))  # 1 is at the matrix
        families.plot(
            *(bracket if side == "x" else bracket[::-1]),
            color=FAINT,
            linewidth=0.7,
            clip_on=False,
        )
    families.patch.set_visible(False)
    families.spines[:].set_visible(False)


def _draw_colour_bar(
    figure: matplotlib.figure.Figure, axes: Axes, scale: ColourScale, height: float
) -> None:
    """Draw the scale of colours, with what values on it mean."""
    bar = figure.colorbar(ScalarMappable(scale.norm, scale.colormap), cax=axes)
    if bar.solids is not None:
        bar.solids.set_edgecolor("face")  # else viewers of PDF show lines between
    ticks = scale.ticks(10 if height > 2 else 5)
    decimals = max(1, int(np.ceil(-np.log10(np.diff(ticks).min()) - 1e-9)))
    meanings = [scale.meanings.get(float(tick), "") for tick in ticks]
    bar.set_ticks(
        ticks.tolist(),
        labels=[
            # Lines of a meaning begin one under the other.
            f"{format_value(tick, decimals)}  {meaning}".rstrip().replace(
                "\n", "\n" + 7 * " "
            )
            for tick, meaning in zip(ticks, meanings, strict=True)
        ],
    )
    axes.tick_params(labelsize=TICK_SIZE, length=3, width=0.6, color=INK)
    for tick, label, meaning in zip(
        ticks, axes.get_yticklabels(), meanings, strict=True
    ):
        if meaning:
            label.set_fontweight("bold")
            axes.axhline(tick, color=INK, linewidth=0.9)
    # Bold is wider than what is measured.
    name = wrap(scale.name, BAR_WIDTH + BAR_TEXT, TICK_SIZE * 1.12)
    axes.set_title(
        "\n".join(name), loc="left", size=TICK_SIZE, fontweight="bold", pad=8
    )
    bar.ax.spines["outline"].set_color(INK)
