"""The figure of a search for the dynamic regime.

Left: learning curves, Perf over N, with standard errors. Right: CI_min over N, its
median over languages, the smoothed curve, the threshold, and the N that is suggested.
Few languages have a colour and a marker each; of many the median and the quartiles
stand out.
"""

from dataclasses import dataclass

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from espnet2_cltm.counting import counted
from espnet2_cltm.matrix.regime import LearningCurves, Regime, standard_error
from espnet2_cltm.matrix.regime_files import budgets_in_regime, regime_conclusion
from espnet2_cltm.matrix.scores import mean_over_seeds
from espnet2_cltm.report.colours import BLUE, INK, OKABE_ITO
from espnet2_cltm.report.drawing import AXIS_SIZE, dress, frame, new_figure
from espnet2_cltm.report.wording import MINUS

WIDTH, PLOT_HEIGHT = 10.4, 3.9  # inches
LABEL_SIZE = 8.5
MARKERS = ("o", "s", "D", "v", "P", "X", "*", "p")
ONE_OF_MANY, SHADE = "#9fb8c9", "#fdf1d6"
FEWEST_TICK_DISTANCE = 0.085  # of the axis


@dataclass(frozen=True)
class FoundRegime:
    """Learning curves and the regime found in them: what the figure shows."""

    curves: LearningCurves
    regime: Regime

    @property
    def has_few(self) -> bool:
        """Whether every language has a colour and a marker of its own."""
        return len(self.curves.languages) <= len(MARKERS)

    def look(self, language: int) -> tuple[str, str]:
        """Return colour and marker of a language."""
        if self.has_few:
            return OKABE_ITO[language], MARKERS[language]
        return ONE_OF_MANY, "o"

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        """First and last N of every stretch that is shaded."""
        return self.regime.spans if budgets_in_regime(self.regime) else ()

    @property
    def top(self) -> float:
        """Top of the axis of CI_min: all medians, and most languages."""
        values, median = self.regime.indices.ci_min, self.regime.median
        most = float(np.nanquantile(values, 0.9))
        medians = float(median[~self.regime.is_outlier].max())
        threshold = self.regime.settings.threshold
        return 1.12 * max(1.4 * threshold, 1.1 * medians, min(most, 3 * medians))


def draw_regime(found: FoundRegime) -> matplotlib.figure.Figure:
    """Draw learning curves and index side by side."""
    source = found.curves.source
    figure = new_figure(WIDTH, gap=0.1)
    curves, index = figure.subplots(1, 2)
    _draw_curves(curves, found)
    _draw_index(index, found)
    for axes in (curves, index):
        _dress(axes, found)
        axes.set_xlabel(f"N, {source.unit} (logarithmic)", size=AXIS_SIZE)
    curves.set_ylabel(source.metric_title, size=AXIS_SIZE)
    index.set_ylabel("CI_min, from N to 2N", size=AXIS_SIZE)
    languages, seeds = found.curves.languages, found.curves.seeds
    subtitle = (
        f"{source.metric_title}, {counted(len(languages), 'language')}, "
        f"{counted(len(seeds), 'seed')}. "
        f"{regime_conclusion(found.curves, found.regime)}"
    ).replace("N = ", "N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    title = f"Learning curves and dynamic regime, {source.task_title}"
    frame(figure, curves, (None, PLOT_HEIGHT), title, subtitle, _notes(found))
    return figure


def _notes(found: FoundRegime) -> list[str]:
    regime = found.regime
    if found.has_few:
        left = "Left: means over seeds; bands: one standard error."
    else:
        left = (
            "Left: thin lines: languages, means over seeds; thick line and band: their "
            "median and quartiles at every N."
        )
    right = (
        "Right: small marks: languages; black: their median; line: medians, smoothed; "
        f"dashed: threshold {regime.settings.threshold:g}"
        f"{'; shaded: dynamic regime' if found.spans else ''}."
    )
    beyond = int((regime.indices.ci_min > found.top).sum())
    if beyond:
        right += f" Triangles: {counted(beyond, 'value')} above the axis."
    if regime.is_outlier.any():
        right += " Hollow: N dropped as outlier."
    return [
        f"{left} {right}",
        f"CI_min is the smallest of three indices of the gain d = Perf(2N) {MINUS} "
        "Perf(N): its size relative to Perf(N), to its standard error, and per factor "
        "e in N.",
    ]


def _dress(axes: Axes, found: FoundRegime) -> None:
    """Give a panel its axis over N, the same in both, and mark the suggested N."""
    dress(axes)
    axes.set_xscale("log")
    first, last = np.log(found.curves.sizes[0]), np.log(found.curves.sizes[-1])
    margin = 0.045 * (last - first)
    axes.set_xlim(np.exp(first - margin), np.exp(last + margin))
    axes.xaxis.set_major_locator(FixedLocator(_ticks(found)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    suggested = found.regime.suggested
    if suggested is not None:
        axes.axvline(suggested, color=INK, linewidth=0.9, linestyle=":", zorder=2)
        axes.annotate(
            f"N = {suggested}",
            (suggested, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            size=LABEL_SIZE,
            ha="center",
            color=INK,
        )


def _ticks(found: FoundRegime) -> list[int]:
    """Choose values of N to write, so far apart that they can be read."""
    sizes = found.curves.sizes
    span = np.log(sizes[-1] / sizes[0])
    chosen: list[int] = []
    wanted = [] if found.regime.suggested is None else [found.regime.suggested]
    for n in [*wanted, *sizes]:
        near = [abs(np.log(n / other)) / span for other in chosen]
        if all(distance >= FEWEST_TICK_DISTANCE for distance in near):
            chosen.append(n)
    return sorted(chosen)


def _draw_curves(axes: Axes, found: FoundRegime) -> None:
    sizes = np.array(found.curves.sizes)
    perf = mean_over_seeds(found.curves.perf)
    errors = np.nan_to_num(standard_error(found.curves.perf))
    for i, (code, mean, error) in enumerate(
        zip(found.curves.languages, perf, errors, strict=True)
    ):
        there = np.isfinite(mean)
        n, mean, error = sizes[there], mean[there], error[there]
        colour, marker = found.look(i)
        if not found.has_few:
            axes.plot(n, mean, color=colour, linewidth=0.7, alpha=0.8)
            continue
        low, high = mean - error, mean + error
        axes.fill_between(n, low, high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(
            n,
            mean,
            label=code,
            color=colour,
            marker=marker,
            linewidth=1.5,
            markersize=4.5,
        )
    if found.has_few:
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            fontsize=LABEL_SIZE,
            frameon=False,
            borderaxespad=0,
        )
        return
    there = np.isfinite(perf).any(axis=0)
    low, middle, high = np.nanquantile(perf[:, there], (0.25, 0.5, 0.75), axis=0)
    axes.fill_between(sizes[there], low, high, color=BLUE, alpha=0.16, linewidth=0)
    axes.plot(sizes[there], middle, color=BLUE, linewidth=2.2, marker="o", markersize=4)


def _draw_index(axes: Axes, found: FoundRegime) -> None:
    regime, top = found.regime, found.top
    axes.set_ylim(-0.04 * top, top)
    for first, last in found.spans:
        axes.axvspan(first, last, color=SHADE, linewidth=0, zorder=0)
    threshold = regime.settings.threshold
    axes.axhline(threshold, color=INK, linewidth=0.9, linestyle="--", zorder=1)
    budgets = np.array(regime.indices.budgets)
    for i, values in enumerate(regime.indices.ci_min):
        colour, marker = found.look(i)
        inside, above = values <= top, values > top  # neither where it is NaN
        axes.scatter(
            budgets[inside],
            values[inside],
            s=16 if found.has_few else 9,
            color=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            zorder=2,
        )
        axes.scatter(
            budgets[above],
            np.full(above.sum(), 0.985 * top),
            s=16,
            color=colour,
            marker="^",
            linewidths=0,
            zorder=2,
        )
    axes.plot(regime.curve_n, regime.curve, color=INK, linewidth=1.8, zorder=3)
    for hollow in (False, True):
        chosen = (regime.is_outlier == hollow) & (regime.median <= top)
        axes.scatter(
            budgets[chosen],
            regime.median[chosen],
            s=30,
            facecolors="white" if hollow else INK,
            edgecolors=INK,
            linewidths=1.0,
            zorder=4,
        )
