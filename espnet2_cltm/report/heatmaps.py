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

from collections.abc import Sequence
from dataclasses import replace

import matplotlib.figure
import numpy as np

from espnet2_cltm.counting import counted
from espnet2_cltm.matrix.languages import Language, describe, display_order
from espnet2_cltm.matrix.scores import zero_shot_means
from espnet2_cltm.matrix.uncertainty import BOUNDED, FALSE_DISCOVERY_RATE, RatioSets
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
    level_text,
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
    matrix, uncertainty = report.matrix, report.uncertainty
    index = report.display_index
    square = np.ix_(index, index)
    sets = uncertainty.fieller
    return draw_grid(
        transfer_grid(
            report.display_languages,
            matrix.cltm[square],
            report.title,
            report.subtitle,
            not_identified=grey_targets(matrix)[index],
            sets=RatioSets(sets.kind[square], sets.low[square], sets.high[square]),
            confidence=uncertainty.settings.confidence,
            q=uncertainty.q_gain[square],
            items=report.source.items,
            notes=(with_minus_signs(NOTE.format(items=report.source.items)),),
        )
    )


def transfer_grid(
    languages: Sequence[Language],
    values: np.ndarray,
    title: str,
    subtitle: str,
    *,
    not_identified: np.ndarray | None = None,
    sets: RatioSets | None = None,
    confidence: float = 0.95,
    q: np.ndarray | None = None,
    items: str = "utterances",
    notes: tuple[str, ...] = (),
) -> Grid:
    """Arrange a transfer matrix for drawing.

    Args:
        languages: The n languages in the order of display.
        values: (n, n) CLTM, rows targets, columns donors; NaN where not available.
        title: First line.
        subtitle: Second line.
        not_identified: (n,) bool, rows to grey out.
        sets: (n, n) confidence sets of the values.
        confidence: Confidence level of the sets.
        q: (n, n) q-values of the gains, NaN where there is none.
        items: What N counts.
        notes: Further sentences beneath the picture.
    """
    n = len(values)
    grey = np.zeros(n, dtype=bool) if not_identified is None else not_identified
    itself = np.eye(n, dtype=bool)
    q = np.full((n, n), np.nan) if q is None else q
    tested = np.isfinite(values) & np.isfinite(q) & ~itself
    same_as_zero = tested & ~(q < FALSE_DISCOVERY_RATE)
    scale = transfer_scale(values[~itself])
    intervals, legend = None, []
    if sets is not None and n <= MOST_WITH_SECOND_LINES:
        intervals = _intervals(np.where(np.isfinite(values), sets.kind, ""), sets)
        if (intervals == "").all():
            intervals = None
        else:
            legend.append(_intervals_note(intervals, confidence))
    if same_as_zero.any():
        legend.append(_ring_note(same_as_zero, tested))
    return Grid(
        rows=tuple(languages),
        columns=tuple(languages),
        values=values,
        scale=scale,
        second_lines=intervals,
        faded_rows=grey,
        dotted=same_as_zero,
        row_title=r"$\mathbf{target}\ i$ (tested)",
        column_title=rf"$\mathbf{{donor}}\ j$ (adds $N$ {items})",
        title=title,
        subtitle=subtitle,
        notes=(*legend, *_legend(values, grey, scale), *notes),
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
        intervals = np.full((n, n), "", dtype=object)
        for i, j in np.argwhere(np.isfinite(low)):
            ends = (format_value(x, GAIN_DECIMALS) for x in (low[i, j], high[i, j]))
            intervals[i, j] = f"[{', '.join(ends)}]"
        notes.append(f"In brackets: {report.level} interval.")
    if rings.any():
        notes.append(_ring_note(rings & ~itself, np.isfinite(q) & ~itself))
    return draw_grid(
        Grid(
            rows=tuple(report.display_languages),
            columns=tuple(report.display_languages),
            values=values,
            scale=scale,
            decimals=GAIN_DECIMALS if n <= MOST_WITH_THREE_DECIMALS else 2,
            second_lines=intervals,
            dotted=rings,
            outlined=itself & np.isfinite(values),
            row_title=r"$\mathbf{target}\ i$ (tested)",
            column_title=rf"$\mathbf{{donor}}\ j$ (adds $N$ {report.source.items})",
            title=f"Does a donor help? {report.source.task_title.capitalize()}",
            subtitle=report.subtitle,
            notes=(
                *notes,
                *_legend(values, np.zeros(n, dtype=bool), scale),
                with_minus_signs(GAINS_NOTE.format(items=report.source.items)),
            ),
        )
    )


def _intervals(kind: np.ndarray, sets: RatioSets) -> np.ndarray:
    """Write confidence sets: (n, n) str, empty where there is none."""
    lines = np.where(kind == "", "", UNBOUNDED).astype(object)
    for i, j in np.argwhere(kind == BOUNDED):
        limits = format_limit(sets.low[i, j]), format_limit(sets.high[i, j])
        lines[i, j] = f"[{limits[0]}, {limits[1]}]"
    return lines


def _intervals_note(intervals: np.ndarray, confidence: float) -> str:
    note = f"In brackets: {level_text(confidence)} interval (Fieller)"
    if (intervals == UNBOUNDED).any():
        note += f"; {UNBOUNDED}: no finite one, because the self-gain is too uncertain"
    return f"{note}."


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
    if not np.isfinite(values[~_same_language(tested, trained)]).any():
        return None
    return draw_grid(
        zero_shot_grid(
            tested,
            trained,
            values,
            scores.source.metric_title,
            f"Zero-shot performance, {scores.source.task_title}",
            report.subtitle,
        )
    )


def _same_language(
    tested: Sequence[Language], trained: Sequence[Language]
) -> np.ndarray:
    """(m, n) bool."""
    return np.array([[row.code == column.code for column in trained] for row in tested])


def zero_shot_grid(
    tested: Sequence[Language],
    trained: Sequence[Language],
    values: np.ndarray,
    name: str,
    title: str,
    subtitle: str,
) -> Grid:
    """Arrange zero-shot performance for drawing.

    Args:
        tested: The m languages tested on, in the order of display.
        trained: The n languages trained on, in the order of display.
        values: (m, n) Perf, rows tested on, columns trained on; NaN where not
            available.
        name: Name of Perf, such as ``macro F1``.
        title: First line.
        subtitle: Second line.
    """
    there = np.isfinite(values)
    itself = _same_language(tested, trained) & there
    notes = []
    if itself.any():
        notes.append("Outlined: trained and tested on the same language.")
    if not there.all():
        is_hatched = max(values.shape) <= MOST_WITH_MARKS
        notes.append(f"{'Hatched' if is_hatched else 'White'}: not available.")
    if there.any():
        notes.append(
            f"Colours run from the lowest value, {format_value(values[there].min(), 3)}"
            f", to the highest, {format_value(values[there].max(), 3)}."
        )
    return Grid(
        rows=tuple(tested),
        columns=tuple(trained),
        values=values,
        scale=perf_scale(values, with_minus_signs(name)),
        decimals=3 if max(values.shape) <= MOST_WITH_THREE_DECIMALS else 2,
        outlined=itself,
        row_title=r"$\mathbf{tested}$ on",
        column_title=r"$\mathbf{trained}$ on",
        title=title,
        subtitle=subtitle,
        notes=tuple(notes),
    )
