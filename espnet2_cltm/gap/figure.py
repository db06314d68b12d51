"""The figure of the multilingual gap: errors of each encoder, and the gaps."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes

from espnet2_cltm.abx.averaging import LEVEL
from espnet2_cltm.abx.features import LOG_MEL
from espnet2_cltm.gap.comparing import MEAN, Comparison, Measured
from espnet2_cltm.gap.encoders import MONO, MULTI, PART, name_of
from espnet2_cltm.report.colours import FAINT, INK, OKABE_ITO
from espnet2_cltm.report.drawing import (
    AXIS_SIZE,
    NOTE_SIZE,
    Figure,
    dress,
    frame,
    new_figure,
)
from espnet2_cltm.report.wording import level_text

WIDTH, PLOT_HEIGHT = 9.2, 2.8  # inches
_COLOURS = dict(zip((MONO, PART, MULTI), OKABE_ITO, strict=False))


@dataclass(frozen=True)
class Outcome:
    """What the figure shows.

    Attributes:
        langs: Languages.
        references: Groups that ``multi`` is compared with.
        measured: Errors.
        gaps: Gaps.
        hours: Hours of a monolingual encoder.
    """

    langs: Sequence[str]
    references: Sequence[str]
    measured: Sequence[Measured]
    gaps: Sequence[Comparison]
    hours: float


def draw_gap(outcome: Outcome) -> matplotlib.figure.Figure:
    """Draw errors on the left, gaps on the right."""
    figure = new_figure(WIDTH, gap=0.1)
    left, right = figure.subplots(1, 2)
    _draw_errors(left, outcome)
    _draw_gaps(right, outcome)
    seeds = outcome.gaps[0].found.seeds
    notes = [
        f"{MONO}: {outcome.hours:g} h of the language; {MULTI}: as many hours, of all "
        f"{len(outcome.langs)} languages; {PART}: what {MULTI} has of the language. "
        "Small dots are seeds. Layers are chosen on dev. Intervals: "
        f"{level_text(LEVEL)}, over speakers and seeds."
    ]
    frame(
        figure,
        left,
        (None, PLOT_HEIGHT),
        "The multilingual gap",
        f"phone discrimination (ABX), {seeds} seeds",
        notes,
    )
    return figure


def _draw_errors(axes: Axes, outcome: Outcome) -> None:
    dress(axes)
    found = {(one.name, one.lang): one for one in outcome.measured}
    groups = [*outcome.references, MULTI]
    width = 0.8 / len(groups)
    for place, lang in enumerate(outcome.langs):
        for number, group in enumerate(groups):
            errors = 100 * found[name_of(group, lang), lang].errors.by_seed
            x = place + (number - (len(groups) - 1) / 2) * width
            colour = _COLOURS[group]
            label = group if place == 0 else None
            axes.plot(x, errors.mean(), "_", color=colour, ms=16, mew=2, label=label)
            axes.plot(np.full(len(errors), x), errors, "o", color=colour, ms=3)
        level = 100 * found[LOG_MEL, lang].error
        axes.plot(
            [place - 0.45, place + 0.45],
            [level, level],
            "--",
            color=FAINT,
            lw=0.8,
            label=LOG_MEL if place == 0 else None,
        )
    axes.set_xticks(range(len(outcome.langs)), outcome.langs)
    axes.set_ylim(bottom=0)
    axes.set_title("ABX error, %", loc="left", size=AXIS_SIZE, color=INK)
    axes.legend(loc="lower right", fontsize=NOTE_SIZE, frameon=False, ncols=2)


def _draw_gaps(axes: Axes, outcome: Outcome) -> None:
    dress(axes)
    rows = [*outcome.langs, MEAN]
    step = 0.3
    for number, reference in enumerate(outcome.references):
        gaps = {
            one.lang: one.found for one in outcome.gaps if one.reference == reference
        }
        shift = (number - (len(outcome.references) - 1) / 2) * step
        for row, lang in enumerate(rows):
            found = gaps[lang]
            y, colour = row + shift, _COLOURS[reference]
            label = f"to {reference}" if row == 0 else None
            axes.plot(100 * found.relative, y, "o", color=colour, ms=5, label=label)
            axes.plot([100 * found.low, 100 * found.high], [y, y], color=colour, lw=1.5)
    axes.axvline(0, color=FAINT, lw=0.6)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(f"relative gap of {MULTI}, %", loc="left", size=AXIS_SIZE, color=INK)
    axes.legend(loc="best", fontsize=NOTE_SIZE, frameon=False)


FIGURES = (Figure("gap", draw_gap),)
