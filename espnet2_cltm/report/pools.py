"""Targets without data: sentences, and the figure of few-shot curves.

Nothing is called better or worse whose interval holds 0. The best pool and the best
donor of a target are chosen by the results that they are shown with, which favours
both.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.figure
import numpy as np
from matplotlib.lines import Line2D

from espnet2_cltm.counting import joined
from espnet2_cltm.matrix.equivalents import mean_with_interval
from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.pool_results import (
    DONOR,
    ENCODER,
    Difference,
    PoolResults,
    PoolScore,
)
from espnet2_cltm.report.colours import FAINT, INK, OKABE_ITO
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.drawing import AXIS_SIZE, dress, frame, new_figure
from espnet2_cltm.results_format import JOINT, POOL_SIZES

WIDTH, PLOT_HEIGHT, COLUMNS = 9.2, 2.1, 3
MOST_PANELS = 12  # of the figure; the page has all
MOST_NAMED = 5  # donors of a pool in a sentence
LABEL_SIZE, LEGEND_COLUMNS = 8.0, 4
BESIDE = 0.07  # between the curves of a panel, so that no interval hides another's
FROM_ENCODER = "from the encoder alone"
LEAST_SPREAD = 0.01  # of Perf

Names = Mapping[str, Language]


def named(codes: Sequence[str], languages: Names) -> str:
    """Write languages as a list of names: ``Catalan, Portuguese and Spanish``."""
    return joined(sorted(languages[code].name for code in codes))


def way_text(score: PoolScore) -> str:
    """Name a pool with what is not as usual of it: ``nearest:3, total, merge``."""
    parts = [score.pool]
    parts += [score.size] if score.size != POOL_SIZES[0] else []
    parts += [score.method] if score.method != JOINT else []
    return ", ".join(parts)


def difference_text(difference: Difference) -> str:
    """Write a difference with its interval; empty where not known."""
    value, low, high = difference
    if math.isnan(value):
        return ""
    text = f"{value:+.3f}"
    return text if math.isnan(low) else f"{text} [{low:.3f}, {high:.3f}]"


def pool_sentence(results: PoolResults, target: str, languages: Names) -> str | None:
    """Say in one sentence what a target without data can have.

    Args:
        results: All that is known.
        target: The target.
        languages: Names of languages.

    Returns:
        None where the target has no pool.
    """
    pool, donor = results.best_pool(target), results.best_donor(target)
    if pool is None:
        return None
    donors = (
        named(pool.donors, languages)
        if len(pool.donors) <= MOST_NAMED
        else f"{len(pool.donors)} languages"
    )
    text = f"For {languages[target].name} without data: the pool of {donors} "
    text += f"({way_text(pool)}), {_worth(results, pool)}"
    compared = pool.difference("best_donor")
    if donor is not None and donor.donors != pool.donors:
        text += (
            f"; {_told(compared, 'above', 'below', 'not clearly different from')} the "
            f"best single donor, {named(donor.donors, languages)}"
        )
    if after := results.after(pool):
        text += f"; {_shots(results, after)}"
    return f"{text}."


def _worth(results: PoolResults, pool: PoolScore) -> str:
    worth = pool.equivalent
    if worth is None:
        return (
            f"Perf {pool.perf[0]:.3f}; its worth is not known, as single runs of two N "
            "are missing"
        )
    if not worth.is_known:
        return (
            f"whose worth is unclear: anywhere from less than {worth.smallest} to "
            f"more than {worth.largest} {results.unit}"
        )
    return f"worth {worth.text} {_unit(results, worth.text.endswith(' 1'))}"


def _unit(results: PoolResults, is_one: bool) -> str:
    unit = results.unit
    return unit.replace("utterances", "utterance") if is_one else unit


def _told(difference: Difference, above: str, below: str, unclear: str) -> str:
    _, low, high = difference
    if low > 0:
        return f"clearly {above}"
    return f"clearly {below}" if high < 0 else unclear


def _shots(results: PoolResults, after: Sequence[PoolScore]) -> str:
    helping, harming = (
        [one for one in after if sign * one.difference("no_shots")[k] > 0]
        for k, sign in ((1, 1), (2, -1))
    )
    score = (helping or harming or after[-1:])[0]
    gain = score.difference("no_shots")
    unit = _unit(results, score.shots == 1)
    changed = _told(gain, "better", "worse", "not clearly different")
    return (
        f"with {score.shots} labelled {unit} of its own, {changed} "
        f"({difference_text(gain)})"
    )


def pool_sentences(results: PoolResults, languages: Names) -> list[str]:
    """Return a sentence for every target that has a pool."""
    found = (pool_sentence(results, t, languages) for t in results.targets)
    return [sentence for sentence in found if sentence]


@dataclass(frozen=True)
class Curve:
    """Perf by the number of shots.

    Attributes:
        name: Name of the way to the model.
        colour: Its colour.
        shots: Shots, ascending; 0 for none.
        at: Where they stand: 0, and log2(shots) + 1.
        perf: Mean Perf.
        low: Lower limits of intervals; NaN with one seed.
        high: Upper limits.
    """

    name: str
    colour: str
    shots: list[int]
    at: list[float]
    perf: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class Panel:
    """The few-shot curves of a target."""

    title: str
    curves: list[Curve]


def few_shot_panels(results: PoolResults, languages: Names) -> Iterator[Panel]:
    """Yield the curves of each target; none of one whose curves are points."""
    ways = sorted(
        {way_text(s) for s in results.scores if s.pool not in (DONOR, ENCODER)}
    )
    for target in results.targets:
        curve = results.curves[target]
        means = [mean_with_interval(x, results.level) for x in curve.perf]
        curves = [_curve(FROM_ENCODER, INK, list(curve.sizes), means)]
        for k, way in enumerate(ways):
            found = sorted(
                (
                    score
                    for score in results.of_target(target)
                    if score.pool not in (DONOR, ENCODER) and way_text(score) == way
                ),
                key=lambda score: score.shots,
            )
            if found:
                shots = [score.shots for score in found]
                perf = [score.perf for score in found]
                colour = OKABE_ITO[k % len(OKABE_ITO)]
                curves.append(_curve(way, colour, shots, perf))
        yield Panel(languages[target].name, curves)


def _curve(
    name: str, colour: str, shots: list[int], perf: Sequence[Difference]
) -> Curve:
    at = [math.log2(m) + 1 if m else 0.0 for m in shots]
    mean, low, high = map(list, zip(*perf, strict=True))
    return Curve(name, colour, shots, at, mean, low, high)


def shots_axis(panels: Sequence[Panel]) -> dict[float, str]:
    """Return the ticks of all panels' axis by where they stand."""
    found = {
        at: str(m)
        for panel in panels
        for curve in panel.curves
        for m, at in zip(curve.shots, curve.at, strict=True)
    }
    return dict(sorted(found.items()))


def perf_axis(panels: Sequence[Panel]) -> tuple[float, float]:
    """Return the range of Perf that all panels show.

    It has every point, and of intervals what goes no farther beyond the points than
    these spread: those of two seeds would make flat lines of all curves.
    """
    curves = [curve for panel in panels for curve in panel.curves]
    perf, low, high = (
        np.array([x for curve in curves for x in getattr(curve, name)], dtype=float)
        for name in ("perf", "low", "high")
    )
    worst, best = np.nanmin(perf), np.nanmax(perf)
    spread = max(best - worst, LEAST_SPREAD)
    lowest = max(np.nanmin([*low, *perf]), worst - spread)
    highest = min(np.nanmax([*high, *perf]), best + spread)
    margin = 0.05 * max(highest - lowest, LEAST_SPREAD)
    return float(lowest - margin), float(highest + margin)


def draw_pools(report: Report) -> matplotlib.figure.Figure | None:
    """Draw the few-shot curves of the first targets; None without any."""
    if report.pools is None:
        return None
    everything = list(few_shot_panels(report.pools, report.languages))
    panels = everything[:MOST_PANELS]
    if not panels:
        return None
    figure = new_figure(WIDTH, gap=0.08)
    n_columns = min(len(panels), COLUMNS)
    n_rows = -(-len(panels) // n_columns)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    ticks = shots_axis(panels)
    grid[0, 0].set_ylim(perf_axis(everything))
    named_in: dict[str, Line2D] = {}
    unit = report.pools.unit
    for number, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
        dress(axes)
        for k, curve in enumerate(panel.curves):
            at = [x + BESIDE * (k - (len(panel.curves) - 1) / 2) for x in curve.at]
            (line,) = axes.plot(
                at, curve.perf, color=curve.colour, marker="o", ms=3, lw=1.2
            )
            axes.vlines(at, curve.low, curve.high, color=curve.colour, lw=0.7)
            named_in.setdefault(curve.name, line)
        axes.set_title(panel.title, loc="left", size=AXIS_SIZE, color=INK)
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.grid(axis="y", color=FAINT, alpha=0.2, linewidth=0.5)
        if number + n_columns >= len(panels):  # the lowest of its column
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(f"{unit} of the target", size=LABEL_SIZE)
    for row in grid:
        row[0].set_ylabel(report.source.metric_title, size=AXIS_SIZE)
    notes = [
        f"Bars: {report.level} intervals over seeds; those that reach an edge go on "
        "beyond it. 0: without data of the target."
    ]
    if len(everything) > len(panels):
        notes.append(f"The first {len(panels)} of {len(everything)} targets.")
    legend = grid[0, 0].legend(
        list(named_in.values()),
        list(named_in),
        fontsize=LABEL_SIZE,
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0, 1.1),
        ncols=LEGEND_COLUMNS,
    )
    # It runs over several panels: lines without text take its room above the first.
    legend.set_in_layout(False)
    lines = "\n" * -(-len(named_in) // LEGEND_COLUMNS) + " "
    grid[0, 0].text(0, 1.1, lines, size=LABEL_SIZE, transform=grid[0, 0].transAxes)
    title = f"Few shots after a pool, {report.source.task_title}"
    frame(figure, grid[0, 0], (None, PLOT_HEIGHT), title, report.subtitle, notes)
    return figure
