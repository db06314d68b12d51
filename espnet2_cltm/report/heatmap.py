"""The heatmap of a transfer matrix, as PNG and PDF for papers.

Rows are targets, columns donors, grouped by language family in the same order on both
axes. A cell without a value is hatched; the row of a target that is not identified is
plain grey and marked. Nothing in the files depends on time or on the user's matplotlib
settings: the same matrix gives the same bytes.

Lengths are in inches, the origin of a figure is its lower left corner; a cell's centre
is at whole numbers of the matrix axes, as in an array.
"""

import textwrap
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath

from espnet2_cltm.files import replacing
from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.colour_scale import ColourScale, colour_scale

DPI = 200
POINTS = 72  # per inch

MINUS = "\N{MINUS SIGN}"
INK = "#1a1a1a"
FAINT = "#5f5f5f"
NOT_IDENTIFIED = "#d4d4d4"
HATCH = "#9a9a9a"

MOST_WITH_NAMES = 24  # more languages than this are labelled by code alone
MOST_WITH_VALUES = 20
MOST_WITH_ERRORS = 6

TARGET_TITLE = r"$\mathbf{target}\ i$ (tested)"
DONOR_TITLE = r"$\mathbf{donor}\ j$ (adds $N$ utterances)"

SETTINGS = {
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,  # embed TrueType outlines: text stays text, as journals ask
    "hatch.linewidth": 0.5,
    "axes.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Heatmap:
    """What a heatmap shows.

    Attributes:
        languages: The n languages in the order of display, see
            :func:`espnet2_cltm.matrix.languages.display_order`.
        values: (n, n), rows targets, columns donors; NaN where not available.
        errors: (n, n) standard errors, NaN where there is none; or None.
        not_identified: (n,) bool, rows to grey out.
        title: First line.
        subtitle: Second line.
        notes: Sentences beneath the picture.
    """

    languages: tuple[Language, ...]
    values: np.ndarray
    title: str
    subtitle: str
    errors: np.ndarray | None = None
    not_identified: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def write_heatmap(heatmap: Heatmap, png: Path | str, pdf: Path | str) -> None:
    """Draw a heatmap into two files.

    Raises:
        UserError: A file cannot be written.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        figure = draw_heatmap(heatmap)
        with replacing(png) as temporary:
            figure.savefig(
                temporary, format="png", dpi=DPI, metadata={"Software": None}
            )
        with replacing(pdf) as temporary:
            figure.savefig(
                temporary,
                format="pdf",
                metadata={"CreationDate": None, "Title": heatmap.title},
            )


@dataclass(frozen=True)
class _Layout:
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


TITLE_SIZE, SUBTITLE_SIZE, AXIS_SIZE, NOTE_SIZE, BAR_SIZE = 13.0, 9.5, 9.5, 8.0, 8.5
MARGIN = 0.18
AXIS_TITLE = 0.28
BRACKET = 0.10
GAP = 0.07
BAR_GAP, BAR_WIDTH, BAR_TEXT = 0.30, 0.17, 1.42


def draw_heatmap(heatmap: Heatmap) -> Figure:
    """Draw a heatmap; the figure belongs to no window and no global state."""
    scale = colour_scale(heatmap.values[~np.eye(len(heatmap.values), dtype=bool)])
    notes = (*_legend_notes(heatmap, scale), *heatmap.notes)
    layout = _layout(heatmap, notes)
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
    _draw_cells(axes, heatmap, scale, layout)
    _draw_rows(axes, heatmap, layout)
    _draw_columns(axes, heatmap, layout)
    _draw_colour_bar(figure, scale, layout, left + side + BAR_GAP, bottom, side)
    _draw_titles(figure, heatmap, layout)
    return figure


def _legend_notes(heatmap: Heatmap, scale: ColourScale) -> tuple[str, ...]:
    values = heatmap.values
    notes = []
    grey = _grey_rows(heatmap)
    if grey.any():
        notes.append(
            "† grey row: target not identified, its self-gain "
            f"Perf(i+i) {MINUS} Perf(i) is not clearly positive."
        )
    if _shown_errors(heatmap) is not None:
        notes.append("± standard error over seeds.")
    if (np.isnan(values) & ~grey[:, None]).any():
        notes.append("Hatched: not available.")
    clipped = int((values < scale.low).sum() + (values > scale.high).sum())
    if clipped:
        notes.append(
            f"Triangles: {clipped} value(s) beyond the ends of the colour scale "
            f"(lowest {format_value(np.nanmin(values))}, highest "
            f"{format_value(np.nanmax(values))})."
        )
    return tuple(notes)


def _shown_errors(heatmap: Heatmap) -> np.ndarray | None:
    """Standard errors where there are any and room for them."""
    if heatmap.errors is None or len(heatmap.languages) > MOST_WITH_ERRORS:
        return None
    return heatmap.errors if np.isfinite(heatmap.errors).any() else None


def _grey_rows(heatmap: Heatmap) -> np.ndarray:
    if heatmap.not_identified is None:
        return np.zeros(len(heatmap.languages), dtype=bool)
    return np.asarray(heatmap.not_identified, dtype=bool)


# Layout --------------------------------------------------------------------------


def _text_width(text: str, size: float) -> float:
    """Width of a line of text in inches."""
    if not text:
        return 0.0
    return TextPath((0, 0), text, size=size).get_extents().width / POINTS


def _layout(heatmap: Heatmap, notes: tuple[str, ...]) -> _Layout:
    n = len(heatmap.languages)
    cell = _cell_size(n)
    label_size = min(10.0, cell * POINTS * 0.62)
    family_size = min(8.5, label_size)
    names = [_label(language, n) for language in heatmap.languages]
    longest = max(_text_width(name + " †", label_size) for name in names)
    upright = longest > 0.92 * cell
    line = label_size * 1.3 / POINTS
    families = [family for family, _, _ in _families(heatmap.languages)]
    family_width = max(_text_width(family, family_size) for family in families)
    wrapped = max(
        len(_wrap(family, size * cell - 0.08, family_size))
        for family, _, size in _families(heatmap.languages)
    )
    family_line = family_size * 1.25 / POINTS

    labels_below = longest if upright else line
    families_below = family_width if upright else wrapped * family_line
    side = cell * n
    left = MARGIN + AXIS_TITLE + family_width + BRACKET + longest + 4 * GAP
    right = BAR_GAP + BAR_WIDTH + BAR_TEXT + MARGIN
    width = max(
        left + side + right,
        2 * MARGIN + _text_width(heatmap.title, TITLE_SIZE),
        2 * MARGIN + _text_width(heatmap.subtitle, SUBTITLE_SIZE),
        6.4,
    )
    # What is left over goes to the right, where text beside the bar can use it.
    right += width - (left + side + right)
    note_lines = tuple(
        line for note in notes for line in _wrap(note, width - 2 * MARGIN, NOTE_SIZE)
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
    return _Layout(
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


def _label(language: Language, n: int) -> str:
    return language.name if n <= MOST_WITH_NAMES else language.code


def _families(languages: tuple[Language, ...]) -> list[tuple[str, int, int]]:
    """Give each run of languages of one family: family, first position, length."""
    runs = []
    start = 0
    for family, members in groupby(languages, key=lambda language: language.family):
        size = len(list(members))
        runs.append((family, start, size))
        start += size
    return runs


def _wrap(text: str, width: float, size: float) -> list[str]:
    """Break text into lines of at most ``width`` inches, at spaces."""
    if _text_width(text, size) <= width:
        return [text]
    per_character = _text_width(text, size) / len(text)
    fit = max(int(width / per_character), 1)
    return textwrap.wrap(text, fit, break_long_words=False, break_on_hyphens=False)


# Parts of the picture --------------------------------------------------------------


def _draw_cells(
    axes: Axes, heatmap: Heatmap, scale: ColourScale, layout: _Layout
) -> None:
    n = len(heatmap.languages)
    values = heatmap.values
    grey = _grey_rows(heatmap)
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
    for _, start, _ in _families(heatmap.languages)[1:]:
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
    axes: Axes, heatmap: Heatmap, scale: ColourScale, layout: _Layout
) -> None:
    size = min(11.0, layout.cell * POINTS * 0.30)
    errors = _shown_errors(heatmap)
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


def format_value(value: float) -> str:
    """Two decimals, a real minus sign, and no minus before zero."""
    text = f"{value:.2f}"
    return text.replace("-0.00", "0.00").replace("-", MINUS)


def _draw_clipped(
    axes: Axes, values: np.ndarray, scale: ColourScale, layout: _Layout
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


def _draw_rows(axes: Axes, heatmap: Heatmap, layout: _Layout) -> None:
    grey = _grey_rows(heatmap)
    n = len(heatmap.languages)

    def x(inches: float) -> float:  # to the left of the matrix, in cells
        return -0.5 - inches / layout.cell

    for row, language in enumerate(heatmap.languages):
        mark = " †" if grey[row] else ""
        axes.text(
            x(GAP),
            row,
            _label(language, n) + mark,
            ha="right",
            va="center",
            size=layout.label_size,
            color=FAINT if grey[row] else INK,
            clip_on=False,
        )
    bracket = GAP + layout.labels_left + GAP
    for family, start, size in _families(heatmap.languages):
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


def _draw_columns(axes: Axes, heatmap: Heatmap, layout: _Layout) -> None:
    n = len(heatmap.languages)

    def y(inches: float) -> float:  # below the matrix, in cells
        return n - 0.5 + inches / layout.cell

    rotation = 90 if layout.upright else 0
    for column, language in enumerate(heatmap.languages):
        axes.text(
            column,
            y(GAP),
            _label(language, n),
            rotation=rotation,
            ha="center",
            va="top",
            size=layout.label_size,
            color=INK,
        )
    bracket = GAP + layout.labels_below + GAP
    for family, start, size in _families(heatmap.languages):
        _draw_bracket(axes, y(bracket), y(bracket + BRACKET * 0.6), start, size, "x")
        text = family
        if not layout.upright:
            text = "\n".join(
                _wrap(family, size * layout.cell - 0.08, layout.family_size)
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


def _draw_colour_bar(
    figure: Figure,
    scale: ColourScale,
    layout: _Layout,
    left: float,
    bottom: float,
    side: float,
) -> None:
    height = min(side, 5.5)
    axes = figure.add_axes(
        (
            left / layout.width,
            (bottom + side - height) / layout.height,
            BAR_WIDTH / layout.width,
            height / layout.height,
        )
    )
    steps = np.linspace(scale.low, scale.high, 401)
    middles = (steps[:-1] + steps[1:]) / 2
    mesh = axes.pcolormesh(
        [0, 1],
        steps,
        middles[:, None],
        cmap=scale.colormap,
        norm=scale.norm,
        edgecolors="face",
        linewidth=0.2,
    )
    mesh.set_rasterized(False)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    step = 0.5 if height > 2 or scale.high - scale.low <= 2.5 else 1.0
    ticks = np.arange(np.ceil(scale.low / step), scale.high / step + 0.01) * step
    meanings = {0.0: "worth nothing", 1.0: "as good as\ntarget data"}
    axes.set_yticks(ticks, [""] * len(ticks))
    axes.tick_params(length=3, width=0.6, color=INK)
    per_inch = (scale.high - scale.low) / height
    for tick in ticks:
        bold = tick in meanings
        axes.text(
            1.42,
            tick,
            f"{tick:.1f}".replace("-", MINUS),
            va="center",
            size=BAR_SIZE,
            fontweight="bold" if bold else "normal",
        )
        if bold:
            axes.axhline(tick, color=INK, linewidth=0.9)
            axes.text(
                3.6,
                tick,
                meanings[tick],
                va="center",
                size=BAR_SIZE * 0.94,
                color=INK,
                linespacing=1.1,
            )
    axes.text(
        0,
        scale.high + 0.09 * per_inch,
        "CLTM[i, j]",
        va="bottom",
        size=BAR_SIZE,
        fontweight="bold",
    )
    axes.set_ylim(scale.low, scale.high)
    for spine in axes.spines.values():
        spine.set_color(INK)


def _draw_titles(figure: Figure, heatmap: Heatmap, layout: _Layout) -> None:
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
