"""The figure of the multilingual gap: errors of each encoder, and the gaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes

from espnet2_cltm.abx.averaging import LEVEL
from espnet2_cltm.abx.features import LOG_MEL
from espnet2_cltm.gap.comparing import MEAN, Comparison, Measured
from espnet2_cltm.gap.encoders import MONO, MULTI, PART, Addition, name_of
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
        additions: What encoders learnt beside the clusters.
        measured: Errors.
        gaps: Gaps.
        hours: Hours of a monolingual encoder.
    """

    langs: Sequence[str]
    references: Sequence[str]
    additions: Sequence[Addition]
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
    if any(addition.suffix for addition in outcome.additions):
        notes.append("Hollow: trained with pictures or articulatory features, too.")
    frame(
        figure,
        left,
        (None, PLOT_HEIGHT),
        "The multilingual gap",
        f"phone discrimination (ABX), {seeds} seed{'s' if seeds > 1 else ''}",
        notes,
    )
    return figure


def _draw_errors(axes: Axes, outcome: Outcome) -> None:
    dress(axes)
    found = {(one.name, one.lang): one for one in outcome.measured}
    every = list(product([*outcome.references, MULTI], outcome.additions))
    width = 0.8 / len(every)
    for place, lang in enumerate(outcome.langs):
        for number, (group, addition) in enumerate(every):
            errors = 100 * found[name_of(group, lang, addition), lang].errors.by_seed
            x = place + (number - (len(every) - 1) / 2) * width
            colour, fill = _COLOURS[group], _fill(group, addition)
            label = group if place == 0 and not addition.suffix else None
            axes.plot(x, errors.mean(), "_", color=colour, ms=16, mew=2, label=label)
            axes.plot(
                np.full(len(errors), x), errors, "o", color=colour, mfc=fill, ms=3.5
            )
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


def _fill(group: str, addition: Addition) -> str:
    return "white" if addition.suffix else _COLOURS[group]


def _draw_gaps(axes: Axes, outcome: Outcome) -> None:
    dress(axes)
    rows = [*outcome.langs, MEAN]
    every = list(product(outcome.references, outcome.additions))
    step = min(0.3, 0.8 / len(every))
    gaps = {(one.encoder, one.reference, one.lang): one.found for one in outcome.gaps}
    for number, (reference, addition) in enumerate(every):
        shift = (number - (len(every) - 1) / 2) * step
        colour, fill = _COLOURS[reference], _fill(reference, addition)
        for row, lang in enumerate(rows):
            suffix = addition.suffix
            found = gaps[MULTI + suffix, reference + suffix, lang]
            y = row + shift
            label = f"to {reference}{_shown(addition)}" if row == 0 else None
            axes.plot([100 * found.low, 100 * found.high], [y, y], color=colour, lw=1.5)
            axes.plot(
                100 * found.relative, y, "o", color=colour, mfc=fill, ms=5, label=label
            )
    axes.axvline(0, color=FAINT, lw=0.6)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(f"relative gap of {MULTI}, %", loc="left", size=AXIS_SIZE, color=INK)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.08),
        borderaxespad=0,
        fontsize=NOTE_SIZE,
        frameon=False,
    )


def _shown(addition: Addition) -> str:
    text = ""
    if addition.grounding_weight:
        text += f", pictures of {addition.grounding_share:.0%}"
        text += f", weight {addition.grounding_weight:g}"
    if addition.feature_weight:
        text += f", features, weight {addition.feature_weight:g}"
    return text


FIGURES = (Figure("gap", draw_gap),)
