"""The heatmaps of a matrix: transfer, gains, and performance without target data.

In all, languages stand in the same order of families on both axes.

Of transfer, rows are targets, columns donors. A cell shows its CLTM; among few
languages its interval too; among any number, whether it differs from 0.

Of gains likewise, in units of Perf: every target has them, identified or not. On the
diagonal is the self-gain.

Of zero-shot performance, rows are the languages tested on, columns those trained on:
the single runs, whose own language is outlined. Perf has no value that means something
by itself, so its colours run from the smallest value to the largest.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import matplotlib.figure
import numpy as np

from espnet2_cltm.counting import counted
from espnet2_cltm.matrix.languages import describe, display_order
from espnet2_cltm.matrix.scores import zero_shot_means
from espnet2_cltm.matrix.uncertainty import BOUNDED, FALSE_DISCOVERY_RATE
from espnet2_cltm.report.colours import (
    ColourScale,
    gain_scale,
    perf_scale,
    transfer_scale,
)
from espnet2_cltm.report.contents import Report, grey_targets
from espnet2_cltm.report.grid import (
    MOST_WITH_MARKS,
    MOST_WITH_SECOND_LINES,
    Grid,
    draw_grid,
)
from espnet2_cltm.report.wording import (
    MINUS,
    format_limit,
    format_value,
    with_minus_signs,
)

UNBOUNDED = "unbounded"
MOST_WITH_THREE_DECIMALS = 10

GAIN_DECIMALS = 3
GAINS_NOTE = (
    "Perf(i+j) - Perf(i): what N {items} of donor j add to N of target i. Outlined: "
    "what N more of the target's own add, Perf(i+i) - Perf(i)."
)
NOTE = (
    "CLTM[i, j] = (Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i)): what N {items} of "
    "donor j add to N of target i, relative to what N more of target i add."
)


def draw_transfer(report: Report) -> matplotlib.figure.Figure:
    """Draw the transfer matrix."""
    matrix, found = report.matrix, report.uncertainty
    square = np.ix_(report.display_index, report.display_index)
    values, q = matrix.cltm[square], found.q_gain[square]
    n = len(values)
    grey = grey_targets(matrix)[report.display_index]
    itself = np.eye(n, dtype=bool)
    tested = np.isfinite(values) & np.isfinite(q) & ~itself
    same_as_zero = tested & ~(q < FALSE_DISCOVERY_RATE)
    scale = transfer_scale(values[~itself])
    intervals, notes = None, []
    if n <= MOST_WITH_SECOND_LINES:
        sets = found.fieller
        kind = np.where(np.isfinite(values), sets.kind[square], "")
        if (kind != "").any():
            intervals = _intervals(kind, sets.low[square], sets.high[square])
            note = f"In brackets: {report.level} interval (Fieller)"
            if (intervals == UNBOUNDED).any():
                note += f"; {UNBOUNDED}: no finite one, because the self-gain is too "
                note += "uncertain"
            notes.append(f"{note}.")
    if same_as_zero.any():
        notes.append(_ring_note(same_as_zero, tested))
    return _draw_pairs(
        report,
        values=values,
        scale=scale,
        second_lines=intervals,
        faded_rows=grey,
        dotted=same_as_zero,
        title=report.title,
        note=NOTE,
        notes=(*notes, *_legend(values, grey, scale)),
    )


def _draw_pairs(
    report: Report, *, note: str, notes: Sequence[str], **parts: Any
) -> matplotlib.figure.Figure:
    """Draw what donors add to targets; ``note`` says what that is."""
    languages, items = tuple(report.display_languages), report.source.items
    return draw_grid(
        Grid(
            rows=languages,
            columns=languages,
            row_title=r"$\mathbf{target}\ i$ (tested)",
            column_title=rf"$\mathbf{{donor}}\ j$ (adds $N$ {items})",
            subtitle=report.subtitle,
            notes=(*notes, with_minus_signs(note.format(items=items))),
            **parts,
        )
    )


def _ring_note(rings: np.ndarray, tested: np.ndarray) -> str:
    found = (
        f"not clearly different from 0 (q ≥ {FALSE_DISCOVERY_RATE:.3g}, after "
        f"correction over the matrix): {rings.sum():,} of {tested.sum():,} cells"
    )
    if len(rings) > MOST_WITH_MARKS:
        return f"{found[0].upper()}{found[1:]}, unmarked here, see cells.tsv."
    return f"○ {found}."


def draw_gains(report: Report) -> matplotlib.figure.Figure | None:
    """Draw the cross-gains of every target; None where nothing was measured."""
    matrix, uncertainty = report.matrix, report.uncertainty
    index = report.display_index
    square = np.ix_(index, index)
    values, n = matrix.gains[square], len(index)
    itself = np.eye(n, dtype=bool)
    if not np.isfinite(values[~itself]).any():
        return None
    q = uncertainty.q_gain[square]
    rings = np.isfinite(q) & ~(q < FALSE_DISCOVERY_RATE)
    scale = replace(
        gain_scale(values),
        name=with_minus_signs(f"gain in {report.source.metric_title}"),
    )
    low, high = uncertainty.gain_low[square], uncertainty.gain_high[square]
    notes, intervals = [], None
    if n <= MOST_WITH_SECOND_LINES and np.isfinite(low).any():
        kind = np.where(np.isfinite(low), BOUNDED, "")
        intervals = _intervals(
            kind, low, high, lambda x: format_value(x, GAIN_DECIMALS)
        )
        notes.append(f"In brackets: {report.level} interval.")
    if rings.any():
        notes.append(_ring_note(rings & ~itself, np.isfinite(q) & ~itself))
    return _draw_pairs(
        report,
        values=values,
        scale=scale,
        decimals=GAIN_DECIMALS if n <= MOST_WITH_THREE_DECIMALS else 2,
        second_lines=intervals,
        dotted=rings,
        outlined=itself & np.isfinite(values),
        title=f"Does a donor help? {report.source.task_title.capitalize()}",
        note=GAINS_NOTE,
        notes=(*notes, *_legend(values, np.zeros(n, dtype=bool), scale)),
    )


def _intervals(
    kind: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    write: Callable[[float], str] = format_limit,
) -> np.ndarray:
    """Write confidence sets: (n, n) str, empty where there is none."""
    lines = np.where(kind == "", "", UNBOUNDED).astype(object)
    for cell in zip(*np.nonzero(kind == BOUNDED), strict=True):
        lines[cell] = f"[{write(low[cell])}, {write(high[cell])}]"
    return lines


def _legend(values: np.ndarray, grey: np.ndarray, scale: ColourScale) -> list[str]:
    """Explain whatever other marks the heatmap has, a sentence each."""
    notes = []
    if grey.any():
        notes.append(
            "† grey row: target not identified, its self-gain "
            f"Perf(i+i) {MINUS} Perf(i) is not clearly positive."
        )
    has_marks = len(values) <= MOST_WITH_MARKS
    if (np.isnan(values) & ~grey[:, None]).any():
        notes.append(f"{'Hatched' if has_marks else 'White'}: not available.")
    clipped = int((values < scale.low).sum() + (values > scale.high).sum())
    if clipped:
        mark = "Triangles: " if has_marks else ""
        notes.append(
            f"{mark}{counted(clipped, 'value')} beyond the ends of the colour scale "
            f"(lowest {format_value(np.nanmin(values))}, highest "
            f"{format_value(np.nanmax(values))})."
        )
    return notes


def draw_zero_shot(report: Report) -> matplotlib.figure.Figure | None:
    """Draw zero-shot performance; None where no run was tested on another language."""
    scores = report.scores
    codes, means = zero_shot_means(scores)
    tested = display_order(describe(codes, report.languages).values())
    trained = report.display_languages
    rows = [codes.index(language.code) for language in tested]
    values = means.T[np.ix_(rows, report.display_index)]
    same = np.array([[row.code == one.code for one in trained] for row in tested])
    there = np.isfinite(values)
    if not (there & ~same).any():
        return None
    itself = same & there
    notes = []
    if itself.any():
        notes.append("Outlined: trained and tested on the same language.")
    if not there.all():
        is_hatched = max(values.shape) <= MOST_WITH_MARKS
        notes.append(f"{'Hatched' if is_hatched else 'White'}: not available.")
    notes.append(
        f"Colours run from the lowest value, {format_value(values[there].min(), 3)}"
        f", to the highest, {format_value(values[there].max(), 3)}."
    )
    return draw_grid(
        Grid(
            rows=tuple(tested),
            columns=tuple(trained),
            values=values,
            scale=perf_scale(values, with_minus_signs(scores.source.metric_title)),
            decimals=3 if max(values.shape) <= MOST_WITH_THREE_DECIMALS else 2,
            outlined=itself,
            row_title=r"$\mathbf{tested}$ on",
            column_title=r"$\mathbf{trained}$ on",
            title=f"Zero-shot performance, {scores.source.task_title}",
            subtitle=report.subtitle,
            notes=tuple(notes),
        )
    )
