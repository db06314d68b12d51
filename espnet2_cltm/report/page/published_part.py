"""The page's comparison with the published matrices of the same task."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.comparison import (
    ComparedMatrix,
    Comparison,
    common_languages,
    compare,
    read_compared,
)
from espnet2_cltm.matrix.matrix_files import PUBLISHED, LabelledMatrix
from espnet2_cltm.matrix.uncertainty import BOUNDED, Analysis
from espnet2_cltm.report.comparison import comparison_text
from espnet2_cltm.report.page.contents import ComparisonPart

PERMUTATIONS = 9999
SEED = 42
MOST_LISTED = 10
DIGITS = 3


@dataclass(frozen=True)
class PublishedComparison:
    """A comparison in words, and the cells of its scatter plot.

    Attributes:
        part: What the page says.
        cells: Target, donor, CLTM here and published, whether identified, and the
            limits of the interval here (None where there is none).
    """

    part: ComparisonPart
    cells: list[tuple]


def published_comparisons(analysis: Analysis) -> Iterator[PublishedComparison]:
    """Compare with every published matrix of the task that shares enough languages."""
    here = _compared(analysis)
    task = analysis.scores.source.task
    for name in PUBLISHED:
        if not name.startswith(f"{task}_"):
            continue
        published = read_compared(name)
        try:
            common_languages(here, published)
            comparison = compare(here, published, PERMUTATIONS, SEED)
        except UserError:  # too few languages or cells in common
            continue
        title = f"{PUBLISHED[name]}, as published"
        text = comparison_text(here, published, comparison, MOST_LISTED)
        part = ComparisonPart(title, _numbers(comparison), text)
        yield PublishedComparison(part, _cells(comparison))


def _compared(analysis: Analysis) -> ComparedMatrix:
    matrix, uncertainty = analysis.matrix, analysis.uncertainty
    source = analysis.scores.source
    diagonal = np.eye(len(matrix.languages), dtype=bool)
    bounded = (uncertainty.fieller.kind == BOUNDED) & ~diagonal
    level = f"{100 * uncertainty.settings.confidence:.4g}%"
    return ComparedMatrix(
        name="this matrix",
        description="",
        path=Path(source.file),
        sha256=source.sha256,
        matrix=LabelledMatrix(matrix.languages, matrix.languages, matrix.cltm),
        raw=matrix.raw_cltm,
        low=np.where(bounded, uncertainty.fieller.low, np.nan),
        high=np.where(bounded, uncertainty.fieller.high, np.nan),
        intervals=f"Fieller's, {level}" if bounded.any() else "",
    )


def _numbers(comparison: Comparison) -> str:
    found = comparison.agreement
    parts = [f"{len(comparison.languages)} languages, {found.n_cells:,} cells"]
    if found.pearson is not None and found.spearman is not None:
        parts.append(
            f"Pearson r {found.pearson:.2f}, Spearman rho {found.spearman:.2f}"
        )
    parts += [f"RMSE {found.rmse:.2f}", f"same sign in {found.sign_agreement:.0%}"]
    return ", ".join(parts)


def _cells(comparison: Comparison) -> list[tuple]:
    both = np.isfinite(comparison.a) & np.isfinite(comparison.b)
    return [
        (
            comparison.languages[i],
            comparison.languages[j],
            round(float(comparison.a[i, j]), DIGITS),
            round(float(comparison.b[i, j]), DIGITS),
            bool(comparison.identified[i, j]),
            _limit(comparison.a_low[i, j]),
            _limit(comparison.a_high[i, j]),
        )
        for i, j in np.argwhere(both)
    ]


def _limit(value: float) -> float | None:
    return round(float(value), DIGITS) if np.isfinite(value) else None
