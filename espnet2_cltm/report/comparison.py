"""What a comparison of two matrices says: ``comparison.json``, and the same as text.

The comparison is of two matrices that a user names, or of a report's matrix with the
published ones of its task. A figure of it is drawn by :mod:`.scatter`.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from espnet2_cltm import __version__
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import for_json
from espnet2_cltm.matrix.comparison import (
    Agreement,
    ComparedMatrix,
    Comparison,
    compare,
    read_compared,
)
from espnet2_cltm.matrix.matrix_files import PUBLISHED, LabelledMatrix
from espnet2_cltm.matrix.uncertainty import BOUNDED, Analysis
from espnet2_cltm.report.wording import level_text

PERMUTATIONS, SEED = 9999, 42  # of the comparisons with published matrices
MOST_LISTED = 10  # of their largest differences


def summarise_comparison(
    a: ComparedMatrix, b: ComparedMatrix, comparison: Comparison, seed: int
) -> dict:
    """Collect what ``comparison.json`` holds; None stands for not available."""
    check = comparison.interval_check
    of_all = comparison.agreement_of_all
    limits = {"low": "a_low", "high": "a_high"}
    columns = ["target", "donor", "a", "b", "difference", *limits.values()]
    differences = comparison.differences.rename(columns=limits)[columns]
    return {
        "version": __version__,
        "a": _source(a),
        "b": _source(b),
        "n_languages": len(comparison.languages),
        "languages": list(comparison.languages),
        "permutations": comparison.permutations,
        "permutations_are_all": comparison.exact,
        "seed": seed,
        "identified_cells": asdict(comparison.agreement),
        "all_cells": asdict(of_all or comparison.agreement),
        "intervals": asdict(check) if check else None,
        "differences": for_json(differences.to_dict("records")),
    }


def _source(matrix: ComparedMatrix) -> dict:
    return {
        "name": matrix.name,
        "description": matrix.description,
        "sha256": matrix.sha256,
    }


def matrix_label(matrix: ComparedMatrix) -> str:
    """Name a matrix: what the user gave, and what a published one is."""
    if not matrix.description:
        return matrix.name
    return f"{matrix.name} (published: {matrix.description})"


def comparison_text(
    a: ComparedMatrix, b: ComparedMatrix, comparison: Comparison, largest: int
) -> str:
    """Write the comparison for the terminal.

    Args:
        a: Matrix A.
        b: Matrix B.
        comparison: Their comparison.
        largest: Number of the largest differences that are listed.
    """
    lines = [
        f"A: {matrix_label(a)}",
        f"B: {matrix_label(b)}",
        f"{len(comparison.languages)} languages in common, "
        f"{comparison.agreement.n_cells:,} off-diagonal cells in both",
        "",
        *_agreement_lines(comparison.agreement),
    ]
    check = comparison.interval_check
    if check:
        lines.append(
            f"{'B in intervals of A':<20}{check.share_inside:.1%} of {check.n_cells:,} "
            f"cells, {check.share_by_chance:.1%} by chance "
            f"({_p(check.p_value)}; {check.intervals})"
        )
    how = "all" if comparison.exact else f"{comparison.permutations:,} random"
    lines.append(
        f"p: {how} permutations of B's languages, rows and columns alike (Mantel); "
        "two-sided for correlations"
    )
    if comparison.agreement_of_all:
        lines += [
            "",
            f"With targets not identified, {comparison.agreement_of_all.n_cells:,} "
            "cells:",
            *_agreement_lines(comparison.agreement_of_all),
        ]
    shown = comparison.differences[:largest]
    if len(shown):
        lines += ["", "Largest differences:", *_difference_lines(shown)]
    return "\n".join(lines)


def _agreement_lines(found: Agreement) -> list[str]:
    return [
        f"{'Pearson r':<20}{_correlation(found.pearson, found.pearson_mantel_p)}",
        f"{'Spearman rho':<20}{_correlation(found.spearman, found.spearman_mantel_p)}",
        f"{'RMSE':<20}{found.rmse:.3f}; B - A on average "
        f"{_signed(found.mean_difference)}",
        f"{'Same sign':<20}{found.sign_agreement:.1%} of cells "
        f"({found.sign_agreement_expected:.1%} if signs were unrelated)",
    ]


def _correlation(value: float | None, p_value: float | None) -> str:
    if value is None:
        return "not defined: one of the two does not vary"
    return _signed(value) if p_value is None else f"{_signed(value)} ({_p(p_value)})"


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value < 0.1 else f"p = {value:.2f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-0.000", "+0.000")


def _difference_lines(cells: pd.DataFrame) -> list[str]:
    names = cell_names(cells)
    width = max(map(len, [*names, "target from donor"]))
    lines = [f"  {'target from donor':<{width}}       A       B   B - A"]
    numbers = cells[["a", "b", "difference", "low", "high"]].to_numpy()
    for name, (a, b, difference, low, high) in zip(names, numbers, strict=True):
        line = f"  {name:<{width}} {a:7.2f} {b:7.2f} {difference:+7.2f}"
        if np.isfinite(low):
            where = "inside" if low <= b <= high else "outside"
            line += f"  B {where} A's [{low:.2f}, {high:.2f}]"
        lines.append(line)
    return lines


def cell_names(cells: pd.DataFrame) -> list[str]:
    """Name cells: ``ca from es``."""
    return [*(cells["target"] + " from " + cells["donor"])]


class PublishedComparison(NamedTuple):
    """A comparison of a report's matrix, A, with a published one, B."""

    title: str
    text: str
    comparison: Comparison


def published_comparisons(analysis: Analysis) -> Iterator[PublishedComparison]:
    """Compare with every published matrix of the task that shares enough languages."""
    here = _compared(analysis)
    task = analysis.scores.source.task
    for name in PUBLISHED:
        if not name.startswith(f"{task}_"):
            continue
        published = read_compared(name)
        try:
            comparison = compare(here, published, PERMUTATIONS, SEED)
        except UserError:  # too few languages or cells in common
            continue
        text = comparison_text(here, published, comparison, MOST_LISTED)
        yield PublishedComparison(f"{PUBLISHED[name]}, as published", text, comparison)


def _compared(analysis: Analysis) -> ComparedMatrix:
    matrix, uncertainty = analysis.matrix, analysis.uncertainty
    source = analysis.scores.source
    diagonal = np.eye(len(matrix.languages), dtype=bool)
    bounded = (uncertainty.fieller.kind == BOUNDED) & ~diagonal
    level = level_text(uncertainty.settings.confidence)
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


def agreement_line(comparison: Comparison) -> str:
    """Write the agreement of two matrices in one line."""
    found = comparison.agreement
    parts = [f"{len(comparison.languages)} languages, {found.n_cells:,} cells"]
    if found.pearson is not None and found.spearman is not None:
        parts.append(
            f"Pearson r {found.pearson:.2f}{_in_brackets(found.pearson_mantel_p)}, "
            f"Spearman rho {found.spearman:.2f}"
            f"{_in_brackets(found.spearman_mantel_p)}"
        )
    parts += [f"RMSE {found.rmse:.2f}", f"same sign in {found.sign_agreement:.0%}"]
    return ", ".join(parts)


def _in_brackets(p: float | None) -> str:
    return "" if p is None else f" ({_p(p)})"
