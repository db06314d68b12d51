"""What the heatmap of a transfer matrix shows: values, intervals, marks, explanations.

Rows are targets, columns donors, grouped by language family in the same order on both
axes. A cell shows its CLTM; among few languages its interval too; among any number,
whether it differs from 0.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.uncertainty import BOUNDED, RatioSets
from espnet2_cltm.report.colour_scale import ColourScale, colour_scale
from espnet2_cltm.report.heatmap_grid import MOST_WITH_SECOND_LINES, Grid

MINUS = "\N{MINUS SIGN}"
UNBOUNDED = "unbounded"

TARGET_TITLE = r"$\mathbf{target}\ i$ (tested)"
DONOR_TITLE = r"$\mathbf{donor}\ j$ (adds $N$ utterances)"


@dataclass(frozen=True)
class Heatmap:
    """What a heatmap shows.

    Attributes:
        languages: The n languages in the order of display, see
            :func:`espnet2_cltm.matrix.languages.display_order`.
        values: (n, n), rows targets, columns donors; NaN where not available.
        title: First line.
        subtitle: Second line.
        not_identified: (n,) bool, rows to grey out.
        intervals: (n, n) confidence sets of the values; or None.
        confidence: Their level.
        q_zero: (n, n) q-values of the tests against 0, NaN where there is none; or
            None.
        false_discovery_rate: From which q-value on a cell is marked.
        notes: Sentences beneath the picture.
    """

    languages: tuple[Language, ...]
    values: np.ndarray
    title: str
    subtitle: str
    not_identified: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    intervals: RatioSets | None = None
    confidence: float = 0.95
    q_zero: np.ndarray | None = None
    false_discovery_rate: float = 0.05


def heatmap_grid(heatmap: Heatmap) -> Grid:
    """Arrange a heatmap for drawing."""
    values = heatmap.values
    n = len(values)
    scale = colour_scale(values[~np.eye(n, dtype=bool)])
    second_lines, meaning = _second_lines(heatmap)
    if n > MOST_WITH_SECOND_LINES or not (second_lines != "").any():
        second_lines, meaning = None, ()
    grey = heatmap.not_identified
    return Grid(
        rows=heatmap.languages,
        columns=heatmap.languages,
        values=values,
        scale=scale,
        texts=_texts(values, format_value),
        second_lines=second_lines,
        faded_rows=None if grey is None else np.asarray(grey, dtype=bool),
        dotted=not_different_from_zero(heatmap),
        row_title=TARGET_TITLE,
        column_title=DONOR_TITLE,
        title=heatmap.title,
        subtitle=heatmap.subtitle,
        notes=(*_legend(heatmap, scale, meaning), *heatmap.notes),
    )


def not_different_from_zero(heatmap: Heatmap) -> np.ndarray:
    """Tell which cells were tested against 0 and do not differ: (n, n) bool."""
    if heatmap.q_zero is None:
        return np.zeros_like(heatmap.values, dtype=bool)
    tested = np.isfinite(heatmap.values) & np.isfinite(heatmap.q_zero)
    return tested & ~(heatmap.q_zero < heatmap.false_discovery_rate)


def _second_lines(heatmap: Heatmap) -> tuple[np.ndarray, tuple[str, ...]]:
    """Write intervals, and say what they are."""
    there = np.isfinite(heatmap.values)
    sets = heatmap.intervals
    if sets is None:
        return np.full(there.shape, "", dtype=object), ()
    kind = np.where(there, sets.kind, "")
    lines = np.full(there.shape, "", dtype=object)
    for cell in np.argwhere(kind == BOUNDED):
        low, high = sets.low[tuple(cell)], sets.high[tuple(cell)]
        lines[tuple(cell)] = f"[{format_limit(low)}, {format_limit(high)}]"
    unbounded = (kind != BOUNDED) & (kind != "")
    lines[unbounded] = UNBOUNDED
    meaning = f"In brackets: {100 * heatmap.confidence:.4g}% interval (Fieller)"
    if unbounded.any():
        meaning += (
            f"; {UNBOUNDED}: there is no finite one, the self-gain is too uncertain"
        )
    return lines, (f"{meaning}.",)


def _texts(values: np.ndarray, write) -> np.ndarray:
    texts = np.full(values.shape, "", dtype=object)
    for cell in np.argwhere(np.isfinite(values)):
        texts[tuple(cell)] = write(values[tuple(cell)])
    return texts


def _legend(
    heatmap: Heatmap, scale: ColourScale, second_lines: tuple[str, ...]
) -> tuple[str, ...]:
    """Explain whatever marks the heatmap has, a sentence each."""
    values = heatmap.values
    notes = list(second_lines)
    marked = int(not_different_from_zero(heatmap).sum())
    if marked:
        tested = int((np.isfinite(values) & np.isfinite(heatmap.q_zero)).sum())
        notes.append(
            f"○ does not differ from 0 (q ≥ {heatmap.false_discovery_rate:.3g}, "
            f"corrected for all tests together): {marked:,} of {tested:,} cells."
        )
    grey = heatmap.not_identified
    grey = np.zeros(len(values), dtype=bool) if grey is None else np.asarray(grey)
    if grey.any():
        notes.append(
            "† grey row: target not identified, its self-gain "
            f"Perf(i+i) {MINUS} Perf(i) is not clearly positive."
        )
    if (np.isnan(values) & ~grey[:, None]).any():
        notes.append("Hatched: not available.")
    clipped = int((values < scale.low).sum() + (values > scale.high).sum())
    if clipped:
        notes.append(
            f"Triangles: {clipped} value(s) beyond the ends of the colour scale "
            f"(lowest {format_value(np.nanmin(values))}, highest "
            f"{format_value(np.nanmax(values))})."
        )
    return tuple(notes)


def format_value(value: float) -> str:
    """Two decimals, a real minus sign, and no minus before zero."""
    text = f"{value:.2f}"
    return text.replace("-0.00", "0.00").replace("-", MINUS)


def format_limit(value: float) -> str:
    """Like :func:`format_value`; large limits, which are vague, with fewer decimals."""
    if abs(value) < 9.995:
        return format_value(value)
    decimals = 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f}".replace("-", MINUS)
