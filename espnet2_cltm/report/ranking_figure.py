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
DONOR_COLOUR, TARGET_COLOUR = "#0072B2", "#D55E00"
GUIDE = "#dcdcdc"

PANEL = 3.1  # inches, its width without the labels
BETWEEN = 0.35
PANEL_TITLE = 0.30
AXIS = 0.52  # ticks and label beneath a panel
LEAST_REACH = 1.0  # of CLTM, how far beyond the values intervals are shown
SMALLEST_RANGE = 0.2  # of CLTM, shown in any case


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
    panels = [best_first(ranking.donors), best_first(ranking.targets)]
    limits = _limits([entry for panel in panels for entry in panel])
    n = max(len(ranking.donors), len(ranking.targets))
    row, size = (0.235, 9.0) if n <= MOST_WITH_NAMES else (0.15, 7.0)
    labels = max(
        [text_width(language_label(e.language, n), size) for p in panels for e in p],
        default=0.0,
    )
    rows = max(*map(len, panels), 2)
    left = MARGIN + labels + 3 * GAP
    width = 2 * (left + PANEL) + BETWEEN + MARGIN
    width = max(
        width,
        2 * MARGIN + text_width(ranking.title, TITLE_SIZE, bold=True),
        2 * MARGIN + text_width(ranking.subtitle, SUBTITLE_SIZE),
    )
    panel_width = (width - BETWEEN - MARGIN) / 2 - left
    notes = [
        line
        for note in (*_legend(ranking, panels, limits), *ranking.notes)
        for line in wrap(note, width - 2 * MARGIN, NOTE_SIZE)
    ]
    top = MARGIN + (TITLE_SIZE * 1.5 + SUBTITLE_SIZE * 1.6) / POINTS + PANEL_TITLE + GAP
    below = AXIS + len(notes) * NOTE_SIZE * 1.4 / POINTS + MARGIN
    height = top + rows * row + below
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    styles = (
        ("Donors", "what each gives to other targets", DONOR_COLOUR, "targets $i$"),
        ("Targets", "what each gets from other donors", TARGET_COLOUR, "donors $j$"),
    )
    for index, (name, meaning, colour, over) in enumerate(styles):
        x = left + index * (panel_width + BETWEEN + left)
        axes = figure.add_axes(
            (x / width, below / height, panel_width / width, rows * row / height)
        )
        _draw_panel(axes, panels[index], limits, colour, (n, size))
        axes.set_xlabel(f"mean CLTM$[i, j]$ over {over}", size=AXIS_SIZE, color=INK)
        y = (height - top + 0.09) / height
        figure.text(x / width, y, name, size=10.5, fontweight="bold", color=colour)
        beside = x + text_width(name, 10.5, bold=True) + 0.12
        figure.text(beside / width, y, meaning, size=9.0, color=FAINT)
    _draw_text(figure, ranking, notes, width, height)
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
    limits: tuple[float, float],
    colour: str,
    labels: tuple[int, float],
) -> None:
    n, size = labels
    many = n > MOST_WITH_NAMES
    rows = np.arange(len(entries))
    axes.set_xlim(limits)
    axes.set_ylim(max(len(entries), 2) - 0.4, -0.6)
    axes.hlines(rows, *limits, color=GUIDE, linewidth=0.5, zorder=0)
    for value in (0.0, 1.0):
        if limits[0] <= value <= limits[1]:
            axes.axvline(value, color=INK, linewidth=0.9, zorder=1)
    with_interval = [row for row in rows if _has_interval(entries[row])]
    if with_interval:
        ends = np.array(
            [(entries[row].low, entries[row].high) for row in with_interval]
        )
        shown = np.clip(ends, *limits)
        axes.hlines(
            with_interval,
            shown[:, 0],
            shown[:, 1],
            color=colour,
            linewidth=1.1 if many else 1.6,
            alpha=0.75,
            zorder=2,
        )
        for marker, beyond, edge in (
            ("<", ends[:, 0] < limits[0], limits[0]),
            (">", ends[:, 1] > limits[1], limits[1]),
        ):
            at = np.array(with_interval)[beyond]
            axes.scatter(
                np.full(len(at), edge),
                at,
                marker=marker,
                s=12 if many else 22,
                color=colour,
                linewidths=0,
                clip_on=False,
                zorder=3,
            )
    axes.scatter(
        [entry.value for entry in entries],
        rows,
        s=13 if many else 30,
        color=colour,
        edgecolors="white",
        linewidths=0.5,
        zorder=4,
    )
    names = [language_label(entry.language, n) for entry in entries]
    axes.set_yticks(rows, names, size=size, color=INK)
    axes.tick_params(axis="y", length=0, pad=4)
    axes.tick_params(axis="x", labelsize=8.5, length=3, width=0.6, color=INK)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", MINUS))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)


def _legend(
    ranking: RankingFigure,
    panels: list[list[RankedLanguage]],
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


def _draw_text(
    figure: Figure,
    ranking: RankingFigure,
    notes: list[str],
    width: float,
    height: float,
) -> None:
    x, top = MARGIN / width, height - MARGIN
    style = {"va": "top", "color": INK}
    figure.text(
        x, top / height, ranking.title, size=TITLE_SIZE, fontweight="bold", **style
    )
    style["color"] = FAINT
    y = top - TITLE_SIZE * 1.5 / POINTS
    figure.text(x, y / height, ranking.subtitle, size=SUBTITLE_SIZE, **style)
    for index, line in enumerate(notes):
        y = MARGIN + (len(notes) - index) * NOTE_SIZE * 1.4 / POINTS
        figure.text(x, y / height, line, size=NOTE_SIZE, **style)
