"""What a matrix says in few words: ``summary.json`` and the text on the terminal.

Every summary number is given twice: over identified targets only, which is what the
matrix shows, and over all targets with an estimate.
"""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from espnet2_cltm import __version__
from espnet2_cltm.matrix.estimates import IDENTIFICATION_LEVEL, TransferMatrix
from espnet2_cltm.matrix.fieller import BOUNDED
from espnet2_cltm.matrix.languages import UNLISTED, Language, display_order
from espnet2_cltm.matrix.metrics import METRICS, TASK_TITLES, budget_text
from espnet2_cltm.matrix.properties import MatrixProperties, matrix_properties
from espnet2_cltm.matrix.property_intervals import property_intervals
from espnet2_cltm.matrix.scores import (
    CrossLanguageScores,
    Scores,
    SeedScores,
    cross_language_of,
    single_and_double,
    zero_shot_means,
)
from espnet2_cltm.matrix.uncertainty import CellUncertainty

FORMULA = "CLTM[i,j] = (Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i))"
FALSE_DISCOVERY_RATE = 0.05
MOST_IN_TABLE = 12  # languages of the table on the terminal
MOST_NAMED = 5  # of things that are missing


def title(scores: Scores) -> str:
    """Name the matrix: ``Cross-lingual transfer matrix, gender identification``."""
    task = scores.source.task
    return f"Cross-lingual transfer matrix, {TASK_TITLES.get(task, task)}"


def subtitle(scores: Scores, matrix: TransferMatrix) -> str:
    """Tell metric, N, seeds and the number of languages on one line."""
    source = scores.source
    parts = (
        METRICS[source.metric].label,
        budget_text(source.task, source.budget),
        seeds_text(matrix),
        f"{len(matrix.languages)} languages",
    )
    return ", ".join(part for part in parts if part)


def seeds_text(matrix: TransferMatrix) -> str:
    """Say how many seeds the cells with an estimate rest on."""
    counts = matrix.n_seeds[matrix.n_seeds > 0]
    if not len(counts):
        return "no seed"
    low, high = int(counts.min()), int(counts.max())
    if low == high:
        return "1 seed" if low == 1 else f"{low} seeds"
    return f"{low} to {high} seeds a cell"


def missing_cells(matrix: TransferMatrix) -> list[tuple[str, str, str]]:
    """List the off-diagonal cells without any estimate: target, donor and reason."""
    return [
        (matrix.languages[i], matrix.languages[j], matrix.reason[i, j])
        for i, j in np.argwhere(np.isnan(matrix.raw_cltm))
        if i != j
    ]


def grey_targets(matrix: TransferMatrix) -> np.ndarray:
    """(n,) bool: targets with a self-gain that is not clearly positive."""
    return ~matrix.target_identified & np.isfinite(np.diagonal(matrix.self_gain))


def summarise(
    scores: Scores,
    matrix: TransferMatrix,
    uncertainty: CellUncertainty,
    languages: Mapping[str, Language],
) -> dict:
    """Collect what ``summary.json`` holds; None stands for not available."""
    source = scores.source
    n = len(matrix.languages)
    _, zero_shot = zero_shot_means(scores)
    cross_language = cross_language_of(scores)
    used_seeds = matrix.n_seeds[matrix.n_seeds > 0].tolist()
    return {
        "version": __version__,
        "results_file": source.file,
        "results_sha256": source.sha256,
        "task": source.task,
        "metric": source.metric,
        "budget": source.budget,
        "formula": FORMULA,
        "n_languages": n,
        "languages": list(matrix.languages),
        "seeds": list(scores.seeds) if isinstance(scores, SeedScores) else None,
        "seeds_paired": isinstance(scores, SeedScores),
        "identification_level": IDENTIFICATION_LEVEL,
        "confidence": uncertainty.settings.confidence,
        "false_discovery_rate": FALSE_DISCOVERY_RATE,
        "bootstrap": _bootstrap_settings(uncertainty),
        "counts": {
            "cells": n * (n - 1),
            "cells_estimated": n * (n - 1) - len(missing_cells(matrix)),
            "cells_identified": _off_diagonal_count(matrix.cltm),
            **cell_findings(matrix, uncertainty),
            "targets_identified": int(matrix.target_identified.sum()),
            "zero_shot_cells": zero_shot.size,
            "zero_shot_cells_available": int(np.isfinite(zero_shot).sum()),
            "cross_language_sets": len(cross_language.sets) if cross_language else 0,
            "results_undefined": sum(source.undefined.values()),
            "fewest_seeds": min(used_seeds, default=0),
            "most_seeds": max(used_seeds, default=0),
        },
        "identified_targets": _properties(scores, matrix.cltm, uncertainty),
        "all_targets": _properties(scores, matrix.raw_cltm, uncertainty),
        "mean_single": _mean(single_and_double(scores)[0]),
        "mean_double": _mean(single_and_double(scores)[1]),
        "targets": {
            code: _target(scores, matrix, index, languages[code])
            for index, code in enumerate(matrix.languages)
        },
    }


def cell_findings(
    matrix: TransferMatrix, uncertainty: CellUncertainty
) -> dict[str, int]:
    """Count identified off-diagonal cells by what their q-values and sets tell."""
    cltm, fieller = matrix.cltm, uncertainty.fieller
    not_zero = uncertainty.q_zero < FALSE_DISCOVERY_RATE
    not_one = uncertainty.q_one < FALSE_DISCOVERY_RATE
    unbounded = ~np.isin(fieller.kind, ("", BOUNDED)) & np.isfinite(cltm)
    # Of a self-gain that is positive, the tests' differences have the signs of
    # CLTM and CLTM - 1.
    return {
        "cells_above_zero": int((not_zero & (cltm > 0)).sum()),
        "cells_below_zero": int((not_zero & (cltm < 0)).sum()),
        "cells_above_one": int((not_one & (cltm > 1)).sum()),
        "cells_below_one": int((not_one & (cltm < 1)).sum()),
        "cells_with_unbounded_set": int(unbounded.sum()),
    }


def _bootstrap_settings(uncertainty: CellUncertainty) -> dict[str, int] | None:
    """None where the file holds means and variances only."""
    if uncertainty.bootstrap is None:
        return None
    settings = uncertainty.settings
    return {"resamples": settings.resamples, "seed": settings.bootstrap_seed}


def _properties(
    scores: Scores, matrix: np.ndarray, uncertainty: CellUncertainty
) -> dict:
    """Give the summary numbers and, where there are seeds, their intervals."""
    intervals = None
    if isinstance(scores, SeedScores):
        settings = uncertainty.settings
        intervals = property_intervals(
            scores,
            matrix,
            settings.confidence,
            settings.resamples,
            settings.bootstrap_seed,
        )
    return {**asdict(matrix_properties(matrix)), "intervals": intervals}


def _off_diagonal_count(matrix: np.ndarray) -> int:
    return int(np.isfinite(matrix[~np.eye(len(matrix), dtype=bool)]).sum())


def _target(
    scores: Scores, matrix: TransferMatrix, index: int, language: Language
) -> dict:
    single, double = single_and_double(scores)
    donors = matrix.cltm[index].copy()
    donors[index] = np.nan
    best = int(np.nanargmax(donors)) if np.isfinite(donors).any() else None
    return {
        "name": language.name,
        "family": language.family,
        "single": _number(single[index]),
        "double": _number(double[index]),
        "self_gain": _number(matrix.self_gain[index, index]),
        "self_gain_se": _number(matrix.self_gain_se[index, index]),
        "identified": bool(matrix.target_identified[index]),
        "reason": matrix.target_reason[index],
        "best_donor": None if best is None else matrix.languages[best],
        "best_cltm": None if best is None else _number(donors[best]),
        "best_cltm_se": (
            None if best is None else _number(matrix.raw_cltm_se[index, best])
        ),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


# Text ------------------------------------------------------------------------------


def summary_text(
    scores: Scores,
    matrix: TransferMatrix,
    uncertainty: CellUncertainty,
    languages: Mapping[str, Language],
) -> str:
    """Write the summary for the terminal, at most a screen of it."""
    lines = [title(scores), subtitle(scores, matrix), FORMULA]
    if len(matrix.languages) <= MOST_IN_TABLE:
        lines += ["", *_table(matrix, languages)]
    lines += ["", *_key_figures(scores, matrix)]
    lines += _findings(matrix, uncertainty)
    lines += _remarks(scores, matrix, languages)
    return "\n".join(lines)


def _table(matrix: TransferMatrix, languages: Mapping[str, Language]) -> list[str]:
    order = [
        matrix.languages.index(language.code)
        for language in display_order(languages[code] for code in matrix.languages)
    ]
    grey = grey_targets(matrix)
    codes = [matrix.languages[index] for index in order]
    names = [f"{code} {languages[code].name}" for code in codes]
    names = [
        f"{name} *" if grey[index] else name
        for name, index in zip(names, order, strict=True)
    ]
    first = max(map(len, [*names, "target \\ donor"]))
    width = max(6, *map(len, codes)) + 1
    lines = ["target \\ donor".ljust(first) + "".join(c.rjust(width) for c in codes)]
    for name, row in zip(names, order, strict=True):
        cells = (_cell(matrix.cltm[row, column]) for column in order)
        lines.append(name.ljust(first) + "".join(cell.rjust(width) for cell in cells))
    if grey.any():
        lines.append("* not identified")
    return lines


def _cell(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00") if np.isfinite(value) else "."


def _key_figures(scores: Scores, matrix: TransferMatrix) -> list[str]:
    label = METRICS[scores.source.metric].label
    single, double = map(_mean, single_and_double(scores))
    lines = [
        f"Mean {label}: singles {_figure(single)}, doubles {_figure(double)}",
        _properties_line("Off the diagonal", matrix_properties(matrix.cltm)),
    ]
    if grey_targets(matrix).any():
        every = matrix_properties(matrix.raw_cltm)
        lines.append(_properties_line("With targets not identified", every))
    return lines


def _findings(matrix: TransferMatrix, uncertainty: CellUncertainty) -> list[str]:
    """Say how many cells differ from 0 and 1, where there are tests."""
    tested = int(np.isfinite(uncertainty.q_zero).sum())
    if not tested:
        return []
    count = cell_findings(matrix, uncertainty)
    lines = [
        f"Of {tested} cells, at a false discovery rate of {FALSE_DISCOVERY_RATE:.0%}: "
        f"{count['cells_above_zero']} above 0, {count['cells_below_zero']} below 0; "
        f"{count['cells_above_one']} above 1, {count['cells_below_one']} below 1"
    ]
    if count["cells_with_unbounded_set"]:
        lines.append(
            f"No bounded {100 * uncertainty.settings.confidence:.4g}% interval in "
            f"{count['cells_with_unbounded_set']} of them: the self-gain is too "
            "uncertain"
        )
    return lines


def _properties_line(label: str, properties: MatrixProperties) -> str:
    if not properties.n_cells:
        return f"{label}: no cell"
    return (
        f"{label}: mean {_figure(properties.mean_off_diagonal)}, "
        f"{properties.share_positive:.1%} positive, "
        f"{properties.share_above_one:.1%} above 1 "
        f"({properties.n_cells} cells); RFD {_figure(properties.rfd)}, "
        f"asymmetry {_figure(properties.relative_asymmetry)}"
    )


def _figure(value: float | None) -> str:
    return "not available" if value is None else f"{value:.3f}"


def _remarks(
    scores: Scores, matrix: TransferMatrix, languages: Mapping[str, Language]
) -> list[str]:
    lines = []
    n = len(matrix.languages)
    grey = grey_targets(matrix)
    if grey.any():
        reasons = [
            f"{code} ({reason})"
            for code, reason, is_grey in zip(
                matrix.languages, matrix.target_reason, grey, strict=True
            )
            if is_grey
        ]
        lines.append(f"Not identified, {len(reasons)} of {n} targets: {_some(reasons)}")
    if (np.diagonal(matrix.n_seeds) == 1).any() and matrix.target_identified.any():
        lines.append(
            "One seed: no standard errors, and a target counts as identified by the "
            "sign of its self-gain alone."
        )
    missing = missing_cells(matrix)
    if missing:
        lines.append(
            f"Not available, {len(missing)} of {n * (n - 1)} cells: "
            f"{_some(_by_reason(missing))}"
        )
    cross_language = cross_language_of(scores)
    if cross_language is not None:
        lines.append(_cross_language_line(scores.source.metric, cross_language))
    lines += scores.source.notes
    unlisted = [c for c in matrix.languages if languages[c].family == UNLISTED]
    if unlisted:
        lines.append(
            f"Without name and family: {_some(unlisted)}; add a line "
            f"'{unlisted[0]}: {{name: ..., family: ...}}' to the file given by "
            "--languages_conf."
        )
    return lines


def _cross_language_line(metric: str, scores: CrossLanguageScores) -> str:
    """Give the mean of each kind of run over its languages and all sets."""
    kinds = np.array([kind for kind, _ in scores.runs])
    means = ", ".join(
        f"{kind}s {_figure(_mean(scores.perf[kinds == kind]))}"
        for kind in dict.fromkeys(kinds.tolist())
    )
    return (
        f"Cross-language trials, no part of the matrix ({_some(list(scores.sets))}): "
        f"mean {METRICS[metric].label} of {means}; see cross_language.csv"
    )


def _by_reason(missing: list[tuple[str, str, str]]) -> list[str]:
    """Name cells one by one, or together where one reason takes several away."""
    cells: dict[str, list[str]] = {}
    for target, donor, reason in missing:
        cells.setdefault(reason, []).append(f"{target} from {donor}")
    return [
        f"{names[0]} ({reason})"
        if len(names) == 1
        else f"{len(names)} cells ({reason})"
        for reason, names in sorted(cells.items(), key=lambda item: -len(item[1]))
    ]


def _some(items: list[str]) -> str:
    more = len(items) - MOST_NAMED
    return "; ".join(items[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
