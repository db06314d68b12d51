"""What a matrix says in numbers: ``summary.json``.

Every summary number is given twice, under ``identified_targets``, which is what the
matrix shows, and under ``all_targets``, with the rows of targets that are not
identified. Either holds

    n_cells                the off-diagonal cells that the numbers rest on
    square_languages       those of the complete square, for asymmetry, cosine,
                           components, spectral radius and condition number
    expected_family_share  family_share of a mass spread evenly over the cells
    properties             by name (:data:`~espnet2_cltm.matrix.properties.PROPERTIES`)
    strengths              by language and name
                           (:data:`~espnet2_cltm.matrix.properties.STRENGTHS`)
    strongest_positive     up to ten cells, target, donor, CLTM and Fieller's interval
    strongest_negative

A property and a strength hold ``value``, the number of the estimated matrix;
``corrected``, what is left of it without the seeds' noise; ``low`` and ``high``, its
interval, which lies around ``corrected``; ``method`` and ``resamples`` of the interval;
``note``, why something is missing; ``coverage_note``, where an interval was found to
hold the truth too rarely. A strength also has ``rank``, 1 for the strongest, with
``rank_low`` and ``rank_high``.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from espnet2_cltm import __version__
from espnet2_cltm.matrix.estimates import IDENTIFICATION_LEVEL, TransferMatrix
from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.properties import (
    STRENGTHS,
    expected_family_share,
    strongest_negative,
    strongest_positive,
)
from espnet2_cltm.matrix.property_intervals import MatrixNumbers, RankedStrength
from espnet2_cltm.matrix.scores import (
    SeedScores,
    cross_language_of,
    single_and_double,
    zero_shot_means,
)
from espnet2_cltm.matrix.uncertainty import (
    BOUNDED,
    FALSE_DISCOVERY_RATE,
    CellUncertainty,
)
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.wording import FORMULA


def missing_cells(matrix: TransferMatrix) -> list[tuple[str, str, str]]:
    """List the off-diagonal cells without any estimate: target, donor and reason."""
    return [
        (matrix.languages[i], matrix.languages[j], matrix.reason[i, j])
        for i, j in np.argwhere(np.isnan(matrix.raw_cltm))
        if i != j
    ]


def summarise(report: Report) -> dict[str, Any]:
    """Collect what ``summary.json`` holds; None stands for not available."""
    scores, matrix, uncertainty = report.scores, report.matrix, report.uncertainty
    source, n = report.source, len(matrix.languages)
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
        "identified_targets": _numbers(report, report.numbers.identified, matrix.cltm),
        "all_targets": _numbers(report, report.numbers.all_targets, matrix.raw_cltm),
        "mean_single": mean_available(single_and_double(scores)[0]),
        "mean_double": mean_available(single_and_double(scores)[1]),
        "targets": {
            code: _target(report, index, report.languages[code])
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


def _numbers(
    report: Report, numbers: MatrixNumbers, values: np.ndarray
) -> dict[str, Any]:
    """Write one version of the summary numbers, see the module's docstring."""
    layout, codes = numbers.layout, report.matrix.languages
    has_cells = layout.off_diagonal.any()
    return {
        "n_cells": int(layout.off_diagonal.sum()),
        "square_languages": [codes[index] for index in layout.square],
        "expected_family_share": expected_family_share(layout) if has_cells else None,
        "properties": {name: asdict(one) for name, one in numbers.properties.items()},
        "strengths": {
            code: {name: _ranked(numbers.strengths[name][index]) for name in STRENGTHS}
            for index, code in enumerate(codes)
        },
        "strongest_positive": [
            _pair(report, cell, values) for cell in strongest_positive(values)
        ],
        "strongest_negative": [
            _pair(report, cell, values) for cell in strongest_negative(values)
        ],
    }


def _ranked(one: RankedStrength) -> dict[str, Any]:
    return {
        **asdict(one.strength),
        "rank": one.rank,
        "rank_low": one.rank_low,
        "rank_high": one.rank_high,
    }


def _pair(report: Report, cell: tuple[int, int], values: np.ndarray) -> dict[str, Any]:
    codes, fieller = report.matrix.languages, report.uncertainty.fieller
    bounded = fieller.kind[cell] == BOUNDED
    return {
        "target": codes[cell[0]],
        "donor": codes[cell[1]],
        "cltm": float(values[cell]),
        "low": float(fieller.low[cell]) if bounded else None,
        "high": float(fieller.high[cell]) if bounded else None,
    }


def _off_diagonal_count(matrix: np.ndarray) -> int:
    return int(np.isfinite(matrix[~np.eye(len(matrix), dtype=bool)]).sum())


def _target(report: Report, index: int, language: Language) -> dict[str, Any]:
    matrix = report.matrix
    single, double = single_and_double(report.scores)
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


def mean_available(values: np.ndarray) -> float | None:
    """Average what is not NaN; None where nothing is left."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
