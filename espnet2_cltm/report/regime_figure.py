"""The figure of a search for the dynamic regime, as PNG and PDF for papers.

Left: learning curves, Perf over N, with standard errors. Right: CI_min over N, its
median over languages, the smoothed curve, the threshold, and the N that is suggested.
Few languages have a colour, a marker and their name each; of many the median and the
quartiles stand out. Nothing in the files depends on time or on the user's settings.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from espnet2_cltm.matrix.regime import LearningCurves, Regime, standard_error
from espnet2_cltm.matrix.regime_files import budgets_in_regime, regime_conclusion
from espnet2_cltm.matrix.scores import mean_over_seeds
from espnet2_cltm.report.captions import lines_height, write_around
from espnet2_cltm.report.colour_scale import INK
from espnet2_cltm.report.figure_files import write_figure
from espnet2_cltm.report.heatmap_contents import MINUS
from espnet2_cltm.report.heatmap_layout import (
    AXIS_SIZE,
    MARGIN,
    NOTE_SIZE,
    POINTS,
    SUBTITLE_SIZE,
    TITLE_SIZE,
    text_width,
    wrap,
)

WIDTH, PLOT_HEIGHT = 10.4, 3.9  # inches
LEFT, BETWEEN, BELOW = 0.72, 0.72, 0.58
LABEL_SIZE = 8.0
# Colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart with any kind
# of colour vision; their yellow is too light for a line, grey takes its place.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#7f7f7f",
)
MARKERS = ("o", "s", "D", "v", "P", "X", "*", "p")
ONE_OF_MANY, MEDIAN, REGIME = "#9fb8c9", "#0072b2", "#fdf1d6"
FEWEST_TICK_DISTANCE = 0.085  # of the axis


@dataclass(frozen=True)
class RegimeFigure:
    """What the figure shows; n languages, k sizes, m sizes whose double is there.

    Attributes:
        languages: Codes.
        sizes: (k,) every N, ascending.
        mean: (n, k) Perf; NaN where there is none.
        error: (n, k) its standard error; NaN with one seed.
        budgets: (m,) every N whose double is there.
        ci_min: (n, m).
        median: (m,) over languages.
        is_outlier: (m,) bool; drawn hollow.
        curve_n: (p,) of the smoothed curve.
        curve: (p,) its values.
        spans: Stretches of N where it reaches the threshold.
        threshold: Of the regime.
        suggested: The N to take, or None.
        perf_label: Beside the left axis.
        n_label: Beneath both.
        title: First line.
        subtitle: Beneath it.
    """

    languages: tuple[str, ...]
    sizes: tuple[int, ...]
    mean: np.ndarray
    error: np.ndarray
    budgets: tuple[int, ...]
    ci_min: np.ndarray
    median: np.ndarray
    is_outlier: np.ndarray
    curve_n: np.ndarray
    curve: np.ndarray
    spans: tuple[tuple[float, float], ...]
    threshold: float
    suggested: int | None
    perf_label: str
    n_label: str
    title: str
    subtitle: str

    @property
    def has_few(self) -> bool:
        """Tell whether every language has a colour of its own."""
        return len(self.languages) <= len(COLOURS)


def regime_figure(curves: LearningCurves, regime: Regime) -> RegimeFigure:
    """Say what the figure of some learning curves shows."""
    source = curves.source
    unit = source.unit
    n_seeds, n = len(curves.seeds), len(curves.languages)
    task = source.task_title
    return RegimeFigure(
        languages=curves.languages,
        sizes=curves.sizes,
        mean=mean_over_seeds(curves.perf),
        error=standard_error(curves.perf),
        budgets=regime.indices.budgets,
        ci_min=regime.indices.ci_min,
        median=regime.median,
        is_outlier=regime.is_outlier,
        curve_n=regime.curve_n,
        curve=regime.curve,
        spans=regime.spans if budgets_in_regime(regime) else (),
        threshold=regime.settings.threshold,
        suggested=regime.suggested,
        perf_label=source.metric_title,
        n_label=f"N, {unit} (logarithmic)",
        title=f"Learning curves and dynamic regime, {task}",
        subtitle=(
            f"{source.metric_title}, {n} language{'s' * (n > 1)}, "
            f"{n_seeds} seed{'s' * (n_seeds > 1)}. {regime_conclusion(curves, regime)}"
        ).replace("N = ", "N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"),
    )


def write_regime_figure(shown: RegimeFigure, png: Path | str, pdf: Path | str) -> None:
    """Draw the figure into two files.

    Raises:
        UserError: A file cannot be written.
    """
    write_figure(lambda: draw_regime_figure(shown), shown.title, png, pdf)


def draw_regime_figure(shown: RegimeFigure) -> Figure:
    """Draw the figure; it belongs to no window and no global state."""
    room = WIDTH - 2 * MARGIN
    title = wrap(shown.title, room, TITLE_SIZE * 1.1)  # bold is wider
    subtitle = wrap(shown.subtitle, room, SUBTITLE_SIZE)
    top = _upper_limit(shown)
    notes = [
        line for note in _notes(shown, top) for line in wrap(note, room, NOTE_SIZE)
    ]
    above = (
        MARGIN
        + lines_height(title, TITLE_SIZE)
        + lines_height(subtitle, SUBTITLE_SIZE)
        + 0.24
    )
    below = BELOW + lines_height(notes, NOTE_SIZE) + MARGIN
    height = above + PLOT_HEIGHT + below
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    names = (
        max(text_width(code, LABEL_SIZE) for code in shown.languages) + 0.16
        if shown.has_few
        else 0.1
    )
    side = (WIDTH - LEFT - names - BETWEEN - 0.24) / 2

    def panel(left: float) -> Axes:
        return figure.add_axes(
            (left / WIDTH, below / height, side / WIDTH, PLOT_HEIGHT / height)
        )

    curves, index = panel(LEFT), panel(LEFT + side + names + BETWEEN)
    _draw_curves(curves, shown)
    _draw_index(index, shown, top)
    for axes in (curves, index):
        _dress(axes, shown)

    write_around(figure, title, subtitle, notes)
    return figure


def _notes(shown: RegimeFigure, top: float) -> tuple[str, ...]:
    if shown.has_few:
        left = "Left: means over seeds; bands: one standard error."
    else:
        left = (
            "Left: thin lines: languages, means over seeds; thick line and band: their "
            "median and quartiles at every N."
        )
    right = (
        "Right: small marks: languages; black: their median; line: medians, smoothed; "
        f"dashed: threshold {shown.threshold:g}"
        f"{'; shaded: dynamic regime' if shown.spans else ''}."
    )
    notes = [
        f"{left} {right}",
        f"CI_min is the smallest of three indices of the gain d = Perf(2N) {MINUS} "
        "Perf(N): its size relative to Perf(N), to its standard error, and per factor "
        "e in N.",
    ]
    beyond = int((shown.ci_min > top).sum())
    if beyond:
        notes[0] += f" Triangles: {beyond} value(s) above the axis."
    if shown.is_outlier.any():
        notes[0] += " Hollow: N dropped as outlier."
    return tuple(notes)


def _dress(axes: Axes, shown: RegimeFigure) -> None:
    """Give a panel its axis over N, the same in both, and mark the suggested N."""
    axes.set_xscale("log")
    first, last = np.log(shown.sizes[0]), np.log(shown.sizes[-1])
    margin = 0.045 * (last - first)
    axes.set_xlim(np.exp(first - margin), np.exp(last + margin))
    axes.xaxis.set_major_locator(FixedLocator(_ticks(shown)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", MINUS))
    axes.set_xlabel(shown.n_label, size=AXIS_SIZE)
    axes.tick_params(labelsize=8.5, length=3, width=0.6, color=INK)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
    if shown.suggested is not None:
        axes.axvline(shown.suggested, color=INK, linewidth=0.9, linestyle=":", zorder=2)
        axes.annotate(
            f"N = {shown.suggested}",
            (shown.suggested, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            size=LABEL_SIZE + 0.5,
            ha="center",
            color=INK,
        )


def _ticks(shown: RegimeFigure) -> list[int]:
    """Choose values of N to write, so far apart that they can be read."""
    sizes = np.log(shown.sizes)
    span = sizes[-1] - sizes[0]
    chosen: list[int] = []
    wanted = [shown.suggested] if shown.suggested is not None else []
    for n in [*wanted, *shown.sizes]:
        near = [abs(np.log(n) - np.log(other)) / span for other in chosen]
        if all(distance >= FEWEST_TICK_DISTANCE for distance in near):
            chosen.append(n)
    return sorted(chosen)


def _draw_curves(axes: Axes, shown: RegimeFigure) -> None:
    sizes = np.array(shown.sizes)
    axes.set_ylabel(shown.perf_label, size=AXIS_SIZE)
    if shown.has_few:
        for i in range(len(shown.languages)):
            there = np.isfinite(shown.mean[i])
            n, mean = sizes[there], shown.mean[i, there]
            error = np.nan_to_num(shown.error[i, there])
            axes.fill_between(
                n,
                mean - error,
                mean + error,
                color=COLOURS[i],
                alpha=0.16,
                linewidth=0,
            )
            axes.plot(
                n,
                mean,
                color=COLOURS[i],
                marker=MARKERS[i],
                linewidth=1.5,
                markersize=4.5,
            )
        _name_curves(axes, shown)
        return
    for mean in shown.mean:
        there = np.isfinite(mean)
        axes.plot(
            sizes[there], mean[there], color=ONE_OF_MANY, linewidth=0.7, alpha=0.8
        )
    there = np.isfinite(shown.mean).any(axis=0)
    low, middle, high = np.nanquantile(shown.mean[:, there], (0.25, 0.5, 0.75), axis=0)
    axes.fill_between(sizes[there], low, high, color=MEDIAN, alpha=0.16, linewidth=0)
    axes.plot(
        sizes[there], middle, color=MEDIAN, linewidth=2.2, marker="o", markersize=4
    )


def _name_curves(axes: Axes, shown: RegimeFigure) -> None:
    """Write each language's code at the end of the axis, none over another."""
    ends = []
    for i, mean in enumerate(shown.mean):
        last = np.flatnonzero(np.isfinite(mean))
        if len(last):
            ends.append((mean[last[-1]], i, last[-1]))
    low, high = axes.get_ylim()
    apart = (high - low) * (LABEL_SIZE * 1.25 / POINTS) / PLOT_HEIGHT
    heights = _spread([value for value, _, _ in sorted(ends)], apart, low, high)
    for (value, i, k), height in zip(sorted(ends), heights, strict=True):
        axes.annotate(
            shown.languages[i],
            (shown.sizes[k], value),
            xycoords="data",
            xytext=(1.02, height),
            textcoords=("axes fraction", "data"),
            size=LABEL_SIZE,
            color=COLOURS[i],
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": COLOURS[i],
                "linewidth": 0.5,
                "alpha": 0.6,
                "shrinkA": 0,
                "shrinkB": 3,
            },
        )
    axes.set_ylim(low, high)


def _spread(values: list[float], apart: float, low: float, high: float) -> list[float]:
    """Move ascending heights until they are ``apart``, as little as that takes."""
    placed: list[float] = []
    for value in values:
        placed.append(max(value, placed[-1] + apart if placed else low))
    ceiling = high
    for k in range(len(placed) - 1, -1, -1):
        placed[k] = min(placed[k], ceiling)
        ceiling = placed[k] - apart
    return placed


def _upper_limit(shown: RegimeFigure) -> float:
    """Choose the top of the axis: all medians, and most languages."""
    there = shown.ci_min[np.isfinite(shown.ci_min)]
    most = float(np.quantile(there, 0.9))
    medians = float(shown.median[~shown.is_outlier].max())
    return 1.12 * max(1.4 * shown.threshold, 1.1 * medians, min(most, 3 * medians))


def _draw_index(axes: Axes, shown: RegimeFigure, top: float) -> None:
    axes.set_ylim(-0.04 * top, top)
    axes.set_ylabel("CI_min, from N to 2N", size=AXIS_SIZE)
    for first, last in shown.spans:
        axes.axvspan(first, last, color=REGIME, linewidth=0, zorder=0)
    axes.axhline(shown.threshold, color=INK, linewidth=0.9, linestyle="--", zorder=1)
    budgets = np.array(shown.budgets)
    for i, values in enumerate(shown.ci_min):
        colour = COLOURS[i] if shown.has_few else ONE_OF_MANY
        marker = MARKERS[i] if shown.has_few else "o"
        shown_values = np.isfinite(values) & (values <= top)
        axes.scatter(
            budgets[shown_values],
            values[shown_values],
            s=16 if shown.has_few else 9,
            color=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            zorder=2,
        )
        above = np.isfinite(values) & (values > top)
        axes.scatter(
            budgets[above],
            np.full(above.sum(), 0.985 * top),
            s=16,
            color=colour,
            marker="^",
            linewidths=0,
            zorder=2,
        )
    axes.plot(shown.curve_n, shown.curve, color=INK, linewidth=1.8, zorder=3)
    for hollow in (False, True):
        chosen = (shown.is_outlier == hollow) & (shown.median <= top)
        axes.scatter(
            budgets[chosen],
            shown.median[chosen],
            s=30,
            facecolors="white" if hollow else INK,
            edgecolors=INK,
            linewidths=1.0,
            zorder=4,
        )
