"""The figure of a verification's errors: ROC, DET and the histograms of scores.

Curves are means of the runs' own curves, first over seeds and donors and then over
languages: scores of two models are not on one scale. Histograms hold all trials.
"""

from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.special import ndtri

from espnet2_cltm.report.colours import BLUE, FAINT, INK, VERMILION
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.drawing import AXIS_SIZE, dress, frame, new_figure
from espnet2_cltm.report.evidence import by_kind, has_curves, lowest_rate

WIDTH, PLOT_HEIGHT = 9.2, 3.3  # inches
KIND_COLOURS = {"single": BLUE, "double": "#009e73", "pair": VERMILION}
TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
LABEL_SIZE = 8.5


def draw_verification(report: Report) -> matplotlib.figure.Figure | None:
    """Draw the errors of all kinds of runs; None where their scores are not known."""
    scores = report.evidence.scores
    if scores is None or not has_curves(scores):
        return None
    curves = by_kind(scores, "p_miss")
    figure = new_figure(WIDTH, gap=0.08)
    axes = figure.subplot_mosaic("rrrddd;aabbcc", height_ratios=(2, 1))
    low, high = det_limits(lowest_rate(scores))
    for kind, curve in curves.items():
        p_fa, p_miss = curve.index.to_numpy(dtype=float), curve["mean"].to_numpy()
        style: dict[str, Any] = {"color": KIND_COLOURS[kind], "label": kind}
        axes["r"].plot(p_fa, 1 - p_miss, **style)
        axes["d"].plot(ndtri(p_fa), ndtri(p_miss), **style)
    axes["r"].plot([0, 1], [0, 1], color=FAINT, linewidth=0.7, linestyle=":")
    axes["d"].axline((0, 0), slope=1, color=FAINT, linewidth=0.7, linestyle=":")
    for axis in (axes["r"], axes["d"]):
        dress(axis)
        axis.set_xlabel("false alarm rate", size=AXIS_SIZE)
    axes["r"].set_ylabel("targets accepted", size=AXIS_SIZE)
    axes["r"].legend(loc="lower right", fontsize=LABEL_SIZE, frameon=False)
    axes["d"].set_ylabel("miss rate", size=AXIS_SIZE)
    axes["d"].set(xlim=ndtri([low, high]), ylim=ndtri([low, high]))
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes["d"].set_xticks(ndtri(ticks), [f"{tick:.3g}" for tick in ticks])
    axes["d"].set_yticks(ndtri(ticks), [f"{tick:.3g}" for tick in ticks])
    for name, text in (("r", "ROC"), ("d", "DET")):
        axes[name].set_title(text, loc="left", size=AXIS_SIZE, color=INK)
    histograms = {name: by_kind(scores, name) for name in ("target", "nontarget")}
    for place, kind in zip("abc", KIND_COLOURS, strict=True):
        if kind not in curves:
            axes[place].set_axis_off()
            continue
        for name, colour in (("nontarget", "#7f7f7f"), ("target", KIND_COLOURS[kind])):
            totals = histograms[name][kind]["total"]
            _draw_histogram(axes[place], totals, colour, name)
        dress(axes[place])
        axes[place].set(xlim=(-1, 1), yticks=[])
        axes[place].spines["left"].set_visible(False)
        axes[place].set_xlabel("score", size=AXIS_SIZE)
        axes[place].set_title(f"Scores, {kind}s", loc="left", size=AXIS_SIZE, color=INK)
        axes[place].legend(loc="upper left", fontsize=LABEL_SIZE, frameon=False)
    notes = [
        "Curves: means over seeds, donors and languages, of tests on languages trained "
        "on. Histograms: shares of all their trials."
    ]
    size = (None, PLOT_HEIGHT)
    title = f"Errors and scores, {report.source.task_title}"
    frame(figure, axes["r"], size, title, report.subtitle, notes)
    return figure


def det_limits(lowest: float) -> tuple[float, float]:
    """Return the rates at both ends of a DET plot: what the trials can tell."""
    return max(lowest, 0.001), 0.8


def _draw_histogram(axes: Axes, totals: pd.Series, colour: str, name: str) -> None:
    width = bin_width(totals.index.to_numpy(dtype=float))
    axes.bar(
        totals.index,
        totals / totals.sum(),
        width=width,
        align="edge",
        color=colour,
        alpha=0.6,
        linewidth=0,
        label=name,
    )


def bin_width(edges: np.ndarray) -> float:
    """Return the width of bins, of whose lower edges some are not there."""
    return float(np.diff(np.unique(edges)).min()) if len(edges) > 1 else 0.04
