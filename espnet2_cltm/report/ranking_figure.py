"""Donors and targets, best first: what each language gives and gets, with intervals.

Two panels side by side on one scale. Left, the mean CLTM of what a language gives to
the other targets (its column without the diagonal); right, the mean of what it gets
from the other donors (its row). As PNG and PDF for papers; the same contents give the
same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.colour_scale import FAINT, INK
from espnet2_cltm.report.figure_files import write_figure
from espnet2_cltm.report.heatmap_contents import MINUS
from espnet2_cltm.report.heatmap_grid import MOST_WITH_NAMES, language_label
from espnet2_cltm.report.heatmap_layout import (
    AXIS_SIZE,
    GAP,
    MARGIN,
    NOTE_SIZE,
    POINTS,
    SUBTITLE_SIZE,
    TITLE_SIZE,
    text_width,
    wrap,
)

# Okabe and Ito's palette, which can be told apart with any kind of colour vision.
BLUE, VERMILION = "#0072B2", "#D55E00"
GUIDE = "#dcdcdc"

PANEL = 3.1  # inches, its width without the labels
BETWEEN = 0.35
PANEL_TITLE = 0.37
HEADING_SIZE = 10.5
AXIS = 0.52  # ticks and label beneath a panel
LEAST_REACH = 1.0  # of CLTM, how far beyond the values intervals are shown
SMALLEST_RANGE = 0.2  # of CLTM, shown in any case


@dataclass(frozen=True)
class PanelStyle:
    """What tells a panel from the other.

    Attributes:
        name: In the heading.
        meaning: Beside the name.
        axis: Beneath the panel.
        colour: Of name, points and lines.
    """

    name: str
    meaning: str
    axis: str
    colour: str


DONORS = PanelStyle(
    name="Donors",
    meaning="what each gives to other targets",
    axis="mean CLTM$[i, j]$ over targets $i$",
    colour=BLUE,
)
TARGETS = PanelStyle(
    name="Targets",
    meaning="what each gets from other donors",
    axis="mean CLTM$[i, j]$ over donors $j$",
    colour=VERMILION,
)


class RankedLanguage(NamedTuple):
    """A language's mean CLTM and the interval of it.

    Attributes:
        language: Of the row.
        value: Mean; None where there is none.
        low: Lower limit, minus infinity where it has none; None without an interval.
        high: Upper limit, likewise.
    """

    language: Language
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class RankingFigure:
    """What the figure shows.

    Attributes:
        donors: Mean over other targets of what each language gives, in any order.
        targets: Mean over other donors of what each language gets, in any order.
        title: First line.
        subtitle: Second line.
        notes: Sentences beneath the picture.
        interval: What the intervals are, for the legend.
    """

    donors: tuple[RankedLanguage, ...]
    targets: tuple[RankedLanguage, ...]
    title: str
    subtitle: str
    notes: tuple[str, ...] = ()
    interval: str = "95% interval"


def write_ranking_figure(
    figure: RankingFigure, png: Path | str, pdf: Path | str
) -> None:
    """Draw the rankings into two files.

    Raises:
        UserError: A file cannot be written.
    """
    write_figure(lambda: draw_ranking_figure(figure), figure.title, png, pdf)


def draw_ranking_figure(ranking: RankingFigure) -> Figure:
    """Draw the rankings; the figure belongs to no window and no global state."""
    donors, targets = best_first(ranking.donors), best_first(ranking.targets)
    entries = [*donors, *targets]
    limits = _limits(entries)
    n = max(len(ranking.donors), len(ranking.targets))
    row, label_size = (0.235, 9.0) if n <= MOST_WITH_NAMES else (0.15, 7.0)
    rows = max(len(donors), len(targets), 2)
    names = [language_label(entry.language, n) for entry in entries]
    left = MARGIN + 3 * GAP
    left += max((text_width(name, label_size) for name in names), default=0.0)
    width = max(
        2 * (left + PANEL) + BETWEEN + MARGIN,
        2 * MARGIN + text_width(ranking.title, TITLE_SIZE, bold=True),
        2 * MARGIN + text_width(ranking.subtitle, SUBTITLE_SIZE),
    )
    across, down = (width - BETWEEN - MARGIN) / 2 - left, rows * row
    notes = [
        line
        for note in (*_legend(ranking, (donors, targets), limits), *ranking.notes)
        for line in wrap(note, width - 2 * MARGIN, NOTE_SIZE)
    ]
    above = MARGIN + (TITLE_SIZE * 1.5 + SUBTITLE_SIZE * 1.6) / POINTS
    below = AXIS + len(notes) * NOTE_SIZE * 1.4 / POINTS + MARGIN
    height = above + PANEL_TITLE + down + below
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for entries, x, style in (
        (donors, left, DONORS),
        (targets, 2 * left + across + BETWEEN, TARGETS),
    ):
        axes = figure.add_axes(
            (x / width, below / height, across / width, down / height),
            xlim=limits,
            ylim=(rows - 0.4, -0.6),
        )
        _draw_panel(axes, entries, style, label_size, codes_only=n > MOST_WITH_NAMES)
        _draw_heading(figure, style, x, below + down + 0.09)
    _draw_text(figure, ranking, notes)
    return figure


def best_first(entries: tuple[RankedLanguage, ...]) -> list[RankedLanguage]:
    """Sort by value, then name; those without a value are left out."""
    entries = tuple(RankedLanguage(*entry) for entry in entries)
    return sorted(
        (entry for entry in entries if _is_number(entry.value)),
        key=lambda entry: (-entry.value, entry.language.name, entry.language.code),
    )


def _is_number(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _has_interval(entry: RankedLanguage) -> bool:
    limits = (entry.low, entry.high)
    return not any(limit is None or np.isnan(limit) for limit in limits)


def _limits(entries: list[RankedLanguage]) -> tuple[float, float]:
    """Choose what of the CLTM is shown: all values, and intervals unless very wide.

    One interval of a weak self-gain would else push everything into a corner.
    """
    if not entries:
        return 0.0, 1.0
    values = np.array([entry.value for entry in entries])
    ends = [(e.low, e.high) for e in entries if _has_interval(e)]
    low, high = values.min(), values.max()
    reach = max(high - low, LEAST_REACH)
    if ends:
        lows, highs = np.array(ends).T
        low = max(min(low, lows.min()), low - reach)
        high = min(max(high, highs.max()), high + reach)
    lacking = max(SMALLEST_RANGE - (high - low), 0.0) / 2
    margin = 0.04 * max(high - low, SMALLEST_RANGE)
    return float(low - lacking - margin), float(high + lacking + margin)


def _draw_panel(
    axes: Axes,
    entries: list[RankedLanguage],
    style: PanelStyle,
    label_size: float,
    *,
    codes_only: bool,
) -> None:
    limits = axes.get_xlim()
    rows = np.arange(len(entries))
    axes.hlines(rows, *limits, color=GUIDE, linewidth=0.5, zorder=0)
    for value in (0.0, 1.0):
        if limits[0] <= value <= limits[1]:
            axes.axvline(value, color=INK, linewidth=0.9, zorder=1)
    _draw_intervals(axes, entries, style.colour, thin=codes_only)
    axes.scatter(
        [entry.value for entry in entries],
        rows,
        s=13 if codes_only else 30,
        color=style.colour,
        edgecolors="white",
        linewidths=0.5,
        zorder=4,
    )
    names = [e.language.code if codes_only else e.language.name for e in entries]
    axes.set_yticks(rows, names, size=label_size, color=INK)
    axes.set_xlabel(style.axis, size=AXIS_SIZE, color=INK)
    axes.tick_params(axis="y", length=0, pad=4)
    axes.tick_params(axis="x", labelsize=8.5, length=3, width=0.6, color=INK)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", MINUS))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)


def _draw_intervals(
    axes: Axes, entries: list[RankedLanguage], colour: str, *, thin: bool
) -> None:
    """Draw lines, with an arrowhead where one goes on beyond the panel."""
    rows = np.array([row for row, e in enumerate(entries) if _has_interval(e)], int)
    if not len(rows):
        return
    low, high = axes.get_xlim()
    ends = np.array([(entries[row].low, entries[row].high) for row in rows])
    axes.hlines(
        rows,
        *np.clip(ends, low, high).T,
        color=colour,
        linewidth=1.1 if thin else 1.6,
        alpha=0.75,
        zorder=2,
    )
    for marker, beyond, edge in (
        ("<", ends[:, 0] < low, low),
        (">", ends[:, 1] > high, high),
    ):
        axes.scatter(
            np.full(beyond.sum(), edge),
            rows[beyond],
            marker=marker,
            s=12 if thin else 22,
            color=colour,
            linewidths=0,
            clip_on=False,
            zorder=3,
        )


def _legend(
    ranking: RankingFigure,
    panels: tuple[list[RankedLanguage], list[RankedLanguage]],
    limits: tuple[float, float],
) -> tuple[str, ...]:
    """Explain whatever the figure shows, and name who is not in it."""
    ends = [e for panel in panels for e in panel if _has_interval(e)]
    notes = []
    if ends:
        note = f"Point: mean; line: {ranking.interval}"
        if any(e.low < limits[0] or e.high > limits[1] for e in ends):
            note += "; arrowhead: it goes on beyond the picture"
        notes.append(f"{note}.")
    for name, entries, panel in (
        ("donors", ranking.donors, panels[0]),
        ("targets", ranking.targets, panels[1]),
    ):
        shown = {entry.language.code for entry in panel}
        left_out = [RankedLanguage(*entry).language for entry in entries]
        left_out = [language for language in left_out if language.code not in shown]
        if left_out:
            names = ", ".join(language.name for language in left_out)
            notes.append(f"Without a value and not among the {name}: {names}.")
    return tuple(notes)


def _draw_heading(figure: Figure, style: PanelStyle, x: float, y: float) -> None:
    """Write what a panel shows above its left end, ``x`` and ``y`` in inches."""
    width, height = figure.get_size_inches()
    figure.text(
        x / width,
        y / height,
        style.name,
        size=HEADING_SIZE,
        fontweight="bold",
        color=style.colour,
    )
    beside = x + text_width(style.name, HEADING_SIZE, bold=True) + 0.12
    figure.text(
        beside / width, y / height, style.meaning, size=HEADING_SIZE - 1.5, color=FAINT
    )


def _draw_text(figure: Figure, ranking: RankingFigure, notes: list[str]) -> None:
    width, height = figure.get_size_inches()

    def write(y: float, text: str, size: float, **style: str) -> None:
        figure.text(MARGIN / width, y / height, text, size=size, va="top", **style)

    top = height - MARGIN
    write(top, ranking.title, TITLE_SIZE, color=INK, fontweight="bold")
    below_title = top - TITLE_SIZE * 1.5 / POINTS
    write(below_title, ranking.subtitle, SUBTITLE_SIZE, color=FAINT)
    for index, line in enumerate(notes):
        y = MARGIN + (len(notes) - index) * NOTE_SIZE * 1.4 / POINTS
        write(y, line, NOTE_SIZE, color=FAINT)
