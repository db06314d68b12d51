"""The figure of several strategies: what each costs, and what it reaches.

A point is a strategy. Upwards runs Perf of pair runs, or the mean CLTM; to the right, a
cost. The bar is the interval of the difference to the first strategy, which has none.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib.figure

from espnet2_cltm.matrix.strategies import MEASURES, StrategyComparison
from espnet2_cltm.report.colours import BLUE, INK, OKABE_ITO, VERMILION
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.drawing import AXIS_SIZE, dress, frame, new_figure

WIDTH, PLOT_HEIGHT = 9.2, 2.9  # inches
LABEL_SIZE = 8.5
# Okabe and Ito's colours; more strategies than these are told by their markers.
COLOURS = (VERMILION, BLUE, *OKABE_ITO[2:6], INK)
MARKERS = "oosD^vP*"
REACHED = ("perf_pair", "mean_cltm")
COSTS_SHOWN = (("cpu_seconds", "seconds"), ("trainable_parameters",))
"""Costs to show, each with what takes its place where it is not known."""

_MEASURES = {measure.name: measure for measure in MEASURES}


@dataclass(frozen=True)
class Panel:
    """A cost against what is reached, for every strategy where both are known.

    Attributes:
        x_title: Name of the cost.
        y_title: Name of what is reached.
        is_log: Whether the cost spans so much that its logarithm is shown.
        names: The strategies.
        x: Their costs.
        y: What they reach.
        low: Lower end of the difference's interval, from the first strategy's value.
        high: Upper end; NaN, as ``low``, for the first.
    """

    x_title: str
    y_title: str
    is_log: bool
    names: list[str]
    x: list[float]
    y: list[float]
    low: list[float]
    high: list[float]


def strategy_panels(comparison: StrategyComparison) -> Iterator[Panel]:
    """Yield a panel for each cost and each of what is reached, row by row."""
    known = {measure.name for measure in comparison.known}
    for reached in REACHED:
        for choices in COSTS_SHOWN:
            cost = next((name for name in choices if name in known), None)
            if cost is not None and reached in known:
                panel = _panel(comparison, cost, reached)
                if len(panel.names) > 1:
                    yield panel


def _panel(comparison: StrategyComparison, cost: str, reached: str) -> Panel:
    measure = _MEASURES[cost]
    first = comparison.numbers[reached][0].value
    points = [
        (name, x.value / measure.scale, y.value, first + y.low, first + y.high)
        for name, x, y in zip(
            comparison.strategies,
            comparison.numbers[cost],
            comparison.numbers[reached],
            strict=True,
        )
        if math.isfinite(x.value) and math.isfinite(y.value)
    ]
    names, x, y, low, high = (
        map(list, zip(*points, strict=True)) if points else [[]] * 5
    )
    is_log = bool(x) and min(x) > 0 and max(x) > 10 * min(x)
    y_title = _MEASURES[reached].title
    if reached.startswith("perf"):
        y_title = f"Perf of {y_title} runs"
    return Panel(measure.title, y_title, is_log, names, x, y, low, high)


def draw_strategies(report: Report) -> matplotlib.figure.Figure | None:
    """Draw cost against Perf and against transfer; None for one strategy alone."""
    if report.strategies is None:
        return None
    panels = list(strategy_panels(report.strategies))
    if not panels:
        return None
    figure = new_figure(WIDTH, gap=0.1)
    n_columns = min(len(panels), len(COSTS_SHOWN))
    grid = figure.subplots(-(-len(panels) // n_columns), n_columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        dress(axes)
        axes.margins(0.16)
        if panel.is_log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter("")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        for name, x, y, low, high in zip(
            panel.names, panel.x, panel.y, panel.low, panel.high, strict=True
        ):
            number = report.strategies.strategies.index(name)
            colour = COLOURS[number % len(COLOURS)]
            axes.vlines(x, low, high, color=colour, linewidth=1)
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(x, y, marker, color=colour, markersize=7, label=name)
        axes.set_xlabel(panel.x_title, size=AXIS_SIZE)
        axes.set_ylabel(panel.y_title, size=AXIS_SIZE)
    grid[0, 0].legend(
        fontsize=LABEL_SIZE,
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=6,
        columnspacing=1,
        handletextpad=0.2,
    )
    notes = [
        f"Bars: {report.level} intervals of the paired differences to "
        f"{report.strategies.strategies[0]}, over seeds."
    ]
    title = f"Strategies: cost and what it buys, {report.source.task_title}"
    size = None, PLOT_HEIGHT
    frame(figure, grid[0, 0], size, title, report.strategies_subtitle, notes)
    return figure
