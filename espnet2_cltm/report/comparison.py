"""What a comparison of two matrices says: ``comparison.json``, the text, the plot."""

from dataclasses import asdict

import numpy as np

from espnet2_cltm import __version__
from espnet2_cltm.matrix.comparison import (
    Agreement,
    ComparedMatrix,
    Comparison,
    Difference,
)
from espnet2_cltm.report.heatmap_contents import MINUS
from espnet2_cltm.report.scatter import Scatter


def summarise_comparison(
    a: ComparedMatrix, b: ComparedMatrix, comparison: Comparison, seed: int
) -> dict:
    """Collect what ``comparison.json`` holds; None stands for not available."""
    check = comparison.interval_check
    of_all = comparison.agreement_of_all
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
        "differences": [asdict(cell) for cell in comparison.differences],
    }


def _source(matrix: ComparedMatrix) -> dict:
    return {
        "name": matrix.name,
        "description": matrix.description,
        "sha256": matrix.sha256,
    }


def label(matrix: ComparedMatrix) -> str:
    """Name a matrix: what the user gave, and what a published one is."""
    if not matrix.description:
        return matrix.name
    return f"{matrix.name} (published: {matrix.description})"


def comparison_text(
    a: ComparedMatrix, b: ComparedMatrix, comparison: Comparison, largest: int
) -> str:
    """Write the comparison for the terminal.

    Args:
        a: One matrix.
        b: The other.
        comparison: Their comparison.
        largest: How many of the largest differences are listed.
    """
    lines = [
        f"A: {label(a)}",
        f"B: {label(b)}",
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
    if shown:
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
    return (
        f"{_signed(value)} ({_p(p_value)})" if p_value is not None else _signed(value)
    )


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value < 0.1 else f"p = {value:.2f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-0.000", "+0.000")


def _difference_lines(cells: tuple[Difference, ...]) -> list[str]:
    names = [cell_name(cell) for cell in cells]
    width = max(map(len, [*names, "target from donor"]))
    lines = [f"  {'target from donor':<{width}}       A       B   B - A"]
    for name, cell in zip(names, cells, strict=True):
        line = f"  {name:<{width}} {cell.a:7.2f} {cell.b:7.2f} {cell.difference:+7.2f}"
        if cell.a_low is not None:
            inside = cell.a_low <= cell.b <= cell.a_high
            where = "inside" if inside else "outside"
            line += f"  B {where} A's [{cell.a_low:.2f}, {cell.a_high:.2f}]"
        lines.append(line)
    return lines


def cell_name(cell: Difference) -> str:
    """Name a cell: ``ca from es``."""
    return f"{cell.target} from {cell.donor}"


def comparison_scatter(
    a: ComparedMatrix, b: ComparedMatrix, comparison: Comparison, largest: int
) -> Scatter:
    """Collect what the scatter plot shows; arguments as of the text."""
    both = np.isfinite(comparison.a) & np.isfinite(comparison.b)
    position = {
        (comparison.languages[i], comparison.languages[j]): index
        for index, (i, j) in enumerate(np.argwhere(both))
    }
    found = comparison.agreement
    numbers = f"{len(comparison.languages)} languages, {found.n_cells:,} cells"
    if found.pearson is not None:
        numbers += f"; Pearson {found.pearson:.2f}, Spearman {found.spearman:.2f}"
    numbers += f", RMSE {found.rmse:.2f}, same sign {found.sign_agreement:.0%}"
    shown = comparison.differences[:largest]
    notes = ()
    if shown:
        notes = ("Labelled: the largest differences, target from donor.",)
    return Scatter(
        x=comparison.a[both],
        y=comparison.b[both],
        identified=comparison.identified[both],
        x_low=comparison.a_low[both],
        x_high=comparison.a_high[both],
        labels=tuple(
            (position[cell.target, cell.donor], cell_name(cell)) for cell in shown
        ),
        title="Two cross-lingual transfer matrices, cell by cell",
        subtitle=numbers.replace("-", MINUS),
        x_label=f"CLTM in A: {label(a)}",
        y_label=f"CLTM in B: {label(b)}",
        notes=notes,
    )
