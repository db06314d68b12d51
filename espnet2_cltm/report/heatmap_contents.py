"""What a heatmap shows: matrix, labels, families, marks and what explains them.

Rows are targets, columns donors, grouped by language family in the same order on both
axes. How much is written depends on the number of languages only: values, standard
errors and full names where there is room for them.
"""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.colour_scale import ColourScale

MINUS = "\N{MINUS SIGN}"

MOST_WITH_NAMES = 24  # more languages than this are labelled by code alone
MOST_WITH_VALUES = 20
MOST_WITH_ERRORS = 6


@dataclass(frozen=True)
class Heatmap:
    """What a heatmap shows.

    Attributes:
        languages: The n languages in the order of display, see
            :func:`espnet2_cltm.matrix.languages.display_order`.
        values: (n, n), rows targets, columns donors; NaN where not available.
        errors: (n, n) standard errors, NaN where there is none; or None.
        not_identified: (n,) bool, rows to grey out.
        title: First line.
        subtitle: Second line.
        notes: Sentences beneath the picture.
    """

    languages: tuple[Language, ...]
    values: np.ndarray
    title: str
    subtitle: str
    errors: np.ndarray | None = None
    not_identified: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def language_label(language: Language, n: int) -> str:
    """Name a language, by its code alone where there are many."""
    return language.name if n <= MOST_WITH_NAMES else language.code


def family_runs(languages: tuple[Language, ...]) -> list[tuple[str, int, int]]:
    """Give each run of languages of one family: family, first position, length."""
    runs = []
    start = 0
    for family, members in groupby(languages, key=lambda language: language.family):
        size = len(list(members))
        runs.append((family, start, size))
        start += size
    return runs


def grey_rows(heatmap: Heatmap) -> np.ndarray:
    """Tell which targets are greyed out: (n,) bool."""
    if heatmap.not_identified is None:
        return np.zeros(len(heatmap.languages), dtype=bool)
    return np.asarray(heatmap.not_identified, dtype=bool)


def shown_errors(heatmap: Heatmap) -> np.ndarray | None:
    """Standard errors where there are any and room for them."""
    if heatmap.errors is None or len(heatmap.languages) > MOST_WITH_ERRORS:
        return None
    return heatmap.errors if np.isfinite(heatmap.errors).any() else None


def legend_notes(heatmap: Heatmap, scale: ColourScale) -> tuple[str, ...]:
    """Explain whatever marks the heatmap has, a sentence each."""
    values = heatmap.values
    notes = []
    grey = grey_rows(heatmap)
    if grey.any():
        notes.append(
            "† grey row: target not identified, its self-gain "
            f"Perf(i+i) {MINUS} Perf(i) is not clearly positive."
        )
    if shown_errors(heatmap) is not None:
        notes.append("± standard error over seeds.")
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
