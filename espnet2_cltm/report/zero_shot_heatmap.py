"""The heatmap of zero-shot performance, as PNG and PDF for papers.

Perf of single runs: trained on one language (columns), tested on another (rows), in
the same order of families as the transfer matrix. The diagonal, outlined, is Perf(i).
Perf has no value that means something of itself, so its colours run from the smallest
value to the largest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from espnet2_cltm.matrix.languages import Language, describe, display_order
from espnet2_cltm.matrix.scores import RunScores, zero_shot_means
from espnet2_cltm.report.colour_scale import sequential_scale
from espnet2_cltm.report.figure_files import write_figure
from espnet2_cltm.report.grid_figure import draw_grid
from espnet2_cltm.report.heatmap_contents import MINUS
from espnet2_cltm.report.heatmap_grid import Grid

MOST_WITH_THREE_DECIMALS = 10

TESTED_TITLE = r"$\mathbf{tested}$ on"
TRAINED_TITLE = r"$\mathbf{trained}$ on"


@dataclass(frozen=True)
class ZeroShotHeatmap:
    """What a zero-shot heatmap shows.

    Attributes:
        tested: The m languages tested on, in the order of display.
        trained: The n languages trained on, in the order of display.
        values: (m, n) Perf, rows tested on, columns trained on; NaN where not
            available.
        label: The metric as in text, such as ``macro F1``.
        title: First line.
        subtitle: Second line.
        notes: Sentences beneath the picture.
    """

    tested: tuple[Language, ...]
    trained: tuple[Language, ...]
    values: np.ndarray
    label: str
    title: str
    subtitle: str
    notes: tuple[str, ...] = ()


def zero_shot_heatmap(
    scores: RunScores, known: Mapping[str, Language], title: str, subtitle: str
) -> ZeroShotHeatmap | None:
    """Collect the means over seeds of all single runs.

    Args:
        scores: Of one task and metric.
        known: Languages with name and family, by code.
        title: First line.
        subtitle: Second line.

    Returns:
        None where no run was tested on another language than its own.
    """
    test_codes, means = zero_shot_means(scores)
    tested = tuple(display_order(describe(test_codes, known).values()))
    trained = tuple(display_order(describe(scores.languages, known).values()))
    rows = [test_codes.index(language.code) for language in tested]
    columns = [scores.languages.index(language.code) for language in trained]
    values = means.T[np.ix_(rows, columns)]
    if not np.isfinite(values[~_same_language(tested, trained)]).any():
        return None
    label = scores.source.metric_title
    return ZeroShotHeatmap(tested, trained, values, label, title, subtitle)


def _same_language(
    tested: tuple[Language, ...], trained: tuple[Language, ...]
) -> np.ndarray:
    """(m, n) bool."""
    return np.array([[row.code == column.code for column in trained] for row in tested])


def write_zero_shot_heatmap(
    heatmap: ZeroShotHeatmap, png: Path | str, pdf: Path | str
) -> None:
    """Draw a zero-shot heatmap into two files.

    Raises:
        UserError: A file cannot be written.
    """
    write_figure(lambda: draw_zero_shot_heatmap(heatmap), heatmap.title, png, pdf)


def draw_zero_shot_heatmap(heatmap: ZeroShotHeatmap) -> Figure:
    """Draw a zero-shot heatmap; the figure belongs to no window."""
    return draw_grid(zero_shot_grid(heatmap))


def zero_shot_grid(heatmap: ZeroShotHeatmap) -> Grid:
    """Arrange a zero-shot heatmap for drawing."""
    values = heatmap.values
    itself = _same_language(heatmap.tested, heatmap.trained)
    decimals = 3 if max(values.shape) <= MOST_WITH_THREE_DECIMALS else 2
    texts = np.full(values.shape, "", dtype=object)
    for cell in np.argwhere(np.isfinite(values)):
        texts[tuple(cell)] = _format(values[tuple(cell)], decimals)
    return Grid(
        rows=heatmap.tested,
        columns=heatmap.trained,
        values=values,
        scale=sequential_scale(values, heatmap.label.replace(" - ", f" {MINUS} ")),
        texts=texts,
        outlined=itself & np.isfinite(values),
        row_title=TESTED_TITLE,
        column_title=TRAINED_TITLE,
        title=heatmap.title,
        subtitle=heatmap.subtitle,
        notes=(*_legend(values, itself), *heatmap.notes),
    )


def _legend(values: np.ndarray, itself: np.ndarray) -> tuple[str, ...]:
    notes = []
    there = np.isfinite(values)
    if (itself & there).any():
        notes.append("Outlined: trained and tested on the same language.")
    if not there.all():
        notes.append("Hatched: not available.")
    if there.any():
        notes.append(
            f"Colours run from the lowest value, {_format(values[there].min(), 3)}, "
            f"to the highest, {_format(values[there].max(), 3)}."
        )
    return tuple(notes)


def _format(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", MINUS)
