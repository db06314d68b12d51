"""Donors and targets, best first: what each language gives and gets, with intervals.

Two panels side by side on one scale. Left, the mean CLTM of what a language gives to
the other targets (its column without the diagonal); right, the mean of what it gets
from the other donors (its row).
"""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.colours import BLUE, INK, VERMILION
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.drawing import AXIS_SIZE, dress, frame, new_figure
from espnet2_cltm.report.grid import MOST_WITH_NAMES, language_label

GUIDE = "#dcdcdc"
WIDTH = 10.7  # inches
LEAST_REACH = 1.0  # of CLTM, how far beyond the values intervals are shown
SMALLEST_RANGE = 0.2  # of CLTM, shown in any case


class RankedLanguage(NamedTuple):
    """A language's mean CLTM and the interval of it.

    Attributes:
        language: Language of the row.
        value: Mean; None where there is none.
        low: Lower limit, minus infinity where it has none; None without an interval.
        high: Upper limit, likewise.
    """

    language: Language
    value: float | None
    low: float | None = None
    high: float | None = None


class Side(NamedTuple):
    """One of the two rankings.

    Attributes:
        name: ``donors`` or ``targets``.
        strength: Name among a matrix's strengths.
        meaning: Meaning of the number.
        axis: Name of the number; between $ is mathtext.
        colour: Colour of points and lines.
    """

    name: str
    strength: str
    meaning: str
    axis: str
    colour: str


SIDES = (
    Side(
        "donors",
        "outgoing_mean",
        "what each gives to other targets",
        "mean CLTM$[i, j]$ over targets $i$",
        BLUE,
    ),
    Side(
        "targets",
        "incoming_mean",
        "what each gets from other donors",
        "mean CLTM$[i, j]$ over donors $j$",
        VERMILION,
    ),
)


def ranked_languages(report: Report, side: Side) -> list[RankedLanguage]:
    """Return all languages in the order of the matrix."""
    strengths = report.numbers.identified.strengths[side.strength]
    return [
        RankedLanguage(report.languages[code], one.value, one.low, one.high)
        for code, one in zip(report.matrix.languages, strengths, strict=True)
    ]


def best_first(entries: Sequence[RankedLanguage]) -> list[RankedLanguage]:
    """Sort by value, then name; those without a value are left out."""
    valued = [
        (entry.value, entry)
        for entry in entries
        if entry.value is not None and np.isfinite(entry.value)
    ]
    valued.sort(key=lambda one: (-one[0], one[1].language.name, one[1].language.code))
    return [entry for _, entry in valued]


def draw_rankings(report: Report) -> matplotlib.figure.Figure | None:
    """Draw the rankings of a report; None where no language has a value."""
    given = [ranked_languages(report, side) for side in SIDES]
    ranked = [*map(best_first, given)]
    if not ranked[0]:
        return None
    limits = shown_limits([*ranked[0], *ranked[1]])
    many = max(map(len, given)) > MOST_WITH_NAMES
    rows = max(*map(len, ranked), 2)
    figure = new_figure(WIDTH, gap=0.1)
    panels = figure.subplots(1, 2)
    for axes, entries, side in zip(panels, ranked, SIDES, strict=True):
        axes.set(xlim=limits, ylim=(rows - 0.4, -0.6))
        _draw_panel(axes, entries, side, many)
    size = (None, rows * (0.15 if many else 0.235))
    title = f"Donors and targets, {report.source.task_title}"
    shown = list(zip(SIDES, given, ranked, strict=True))
    notes = _legend(shown, limits, f"{report.level} interval over seeds")
    frame(figure, panels[0], size, title, report.subtitle, notes)
    return figure


def shown_limits(entries: Sequence[RankedLanguage]) -> tuple[float, float]:
    """Choose what of the CLTM is shown: all values, and intervals unless very wide.

    One interval of a weak self-gain would otherwise push everything into a corner.
    """
    if not entries:
        return 0.0, 1.0
    values = np.array([entry.value for entry in entries], dtype=float)
    ends = _ends(entries)
    low, high = values.min(), values.max()
    reach = max(high - low, LEAST_REACH)
    low = max(np.nanmin([low, *ends[:, 0]]), low - reach)
    high = min(np.nanmax([high, *ends[:, 1]]), high + reach)
    lacking = max(SMALLEST_RANGE - (high - low), 0.0) / 2
    margin = 0.04 * max(high - low, SMALLEST_RANGE)
    return float(low - lacking - margin), float(high + lacking + margin)


def _ends(entries: Sequence[RankedLanguage]) -> np.ndarray:
    """(n, 2) limits of the intervals, NaN where there is none."""
    ends = np.array([(e.low, e.high) for e in entries], dtype=float).reshape(-1, 2)
    ends[np.isnan(ends).any(axis=1)] = np.nan
    return ends


def _draw_panel(
    axes: Axes, entries: Sequence[RankedLanguage], side: Side, many: bool
) -> None:
    low, high = axes.get_xlim()
    rows = np.arange(len(entries))
    axes.hlines(rows, low, high, color=GUIDE, linewidth=0.5, zorder=0)
    for value in (0.0, 1.0):
        if low <= value <= high:
            axes.axvline(value, color=INK, linewidth=0.9, zorder=1)
    ends = _ends(entries)
    axes.hlines(
        rows,
        *np.clip(ends, low, high).T,
        color=side.colour,
        linewidth=1.1 if many else 1.6,
        alpha=0.75,
        zorder=2,
    )
    # An arrowhead where an interval goes on beyond the panel.
    for marker, beyond, edge in (
        ("<", ends[:, 0] < low, low),
        (">", ends[:, 1] > high, high),
    ):
        axes.scatter(
            np.full(beyond.sum(), edge),
            rows[beyond],
            marker=marker,
            s=12 if many else 22,
            color=side.colour,
            linewidths=0,
            clip_on=False,
            zorder=3,
        )
    axes.scatter(
        np.array([entry.value for entry in entries], dtype=float),
        rows,
        s=13 if many else 30,
        color=side.colour,
        edgecolors="white",
        linewidths=0.5,
        zorder=4,
    )
    dress(axes)
    n = MOST_WITH_NAMES + many
    names = [language_label(entry.language, n) for entry in entries]
    axes.set_yticks(rows, names, size=7.0 if many else 9.0, color=INK)
    axes.tick_params(axis="y", length=0, pad=4)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(side.axis, size=AXIS_SIZE, color=INK, parse_math=True)
    axes.set_title(
        f"{side.name.capitalize()}: {side.meaning}",
        loc="left",
        size=AXIS_SIZE,
        color=side.colour,
    )


def _legend(
    panels: Sequence[tuple[Side, Sequence[RankedLanguage], Sequence[RankedLanguage]]],
    limits: tuple[float, float],
    interval: str,
) -> list[str]:
    """Explain whatever the figure shows, and name who is not in it."""
    ends = _ends([entry for _, _, ranked in panels for entry in ranked])
    notes = []
    if not np.isnan(ends).all():
        note = f"Point: mean; line: {interval}"
        if (ends[:, 0] < limits[0]).any() or (ends[:, 1] > limits[1]).any():
            note += "; arrowhead: it goes on beyond the picture"
        notes.append(f"{note}.")
    for side, entries, ranked in panels:
        left_out = [e.language.name for e in entries if e not in ranked]
        if left_out:
            notes.append(
                f"Without a value and not among the {side.name}: {', '.join(left_out)}."
            )
    return notes
