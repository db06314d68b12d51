"""What a matrix says in numbers: ``summary.json``, and about a screen of text.

In ``summary.json`` every number is given twice, under ``identified_targets``, which is
what the matrix shows, and under ``all_targets``, with the rows of targets that are not
identified. Either holds

    n_cells                the off-diagonal cells that the numbers rest on
    square_languages       those of the complete square, for asymmetry, cosine,
                           components, spectral radius and condition number
    expected_family_share  family_share of a mass spread evenly over the cells
    properties             by name (:data:`~espnet2_cltm.matrix.properties.PROPERTIES`)
    strengths              by language and name
                           (:data:`~espnet2_cltm.matrix.properties.STRENGTHS`)

``strongest_positive`` and ``strongest_negative`` list up to ten pairs whose donor
clearly helps or harms, the clearest first (:func:`.findings.strongest`). A property and
a strength hold ``value``, the number of the estimated matrix;
``corrected``, what is left of it without the seeds' noise; ``low`` and ``high``, its
interval, which lies around ``corrected``; ``method`` and ``resamples`` of the interval;
``note``, why something is missing; ``coverage_note``, where an interval was found to
hold the truth too rarely. A strength also has ``rank``, 1 for the strongest, with
``rank_low`` and ``rank_high``.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from espnet2_cltm import __version__
from espnet2_cltm.counting import counted, some
from espnet2_cltm.files import finite
from espnet2_cltm.matrix.estimates import IDENTIFICATION_LEVEL, TransferMatrix
from espnet2_cltm.matrix.languages import UNLISTED, Language
from espnet2_cltm.matrix.properties import (
    PROPERTIES,
    STRENGTHS,
    Property,
    expected_family_share,
)
from espnet2_cltm.matrix.property_intervals import Interval, MatrixNumbers
from espnet2_cltm.matrix.relatedness import off_diagonal
from espnet2_cltm.matrix.scores import (
    CrossLanguageScores,
    SeedScores,
    absent_seeds,
    cross_language_of,
    single_and_double,
    zero_shot_means,
)
from espnet2_cltm.matrix.strategies import strategy_sentences
from espnet2_cltm.matrix.uncertainty import FALSE_DISCOVERY_RATE, HARMS, HELPS
from espnet2_cltm.report.contents import Report, grey_targets, possible_targets
from espnet2_cltm.report.evidence import narrow_line
from espnet2_cltm.report.findings import (
    CORRECTED,
    count_findings,
    question_lines,
    strongest,
)
from espnet2_cltm.report.wording import FORMULA, format_value

GAIN_FORMULA = "Perf(i+j) - Perf(i); on the diagonal Perf(i+i) - Perf(i)"
MOST_IN_TABLE = 12  # languages of the matrix on the terminal
MOST_NAMED = 5  # of things that are missing
MOST_RANKED = 3
_some = partial(some, most=MOST_NAMED, between="; ")
INTERVALS_NOTE = (
    "In brackets: intervals corrected for the seeds' noise, which moves shares, "
    "extremes and norms, so that a value may lie outside its interval."
)
COVERS_LESS_MARK = "*"
COVERS_LESS_NOTE = (
    "held the truth in less than 90% of simulated matrices, see summary.json"
)


def missing_cells(matrix: TransferMatrix) -> list[tuple[str, str, str]]:
    """List the cells of pairs without any estimate: target, donor and reason."""
    possible = possible_targets(matrix)
    return [
        (matrix.languages[i], matrix.languages[j], matrix.reason[i, j])
        for i, j in np.argwhere(np.isnan(matrix.raw_cltm))
        if i != j and possible[i]
    ]


def _n_cells(matrix: TransferMatrix) -> int:
    return int(possible_targets(matrix).sum()) * (len(matrix.languages) - 1)


def summarise(report: Report) -> dict[str, Any]:
    """Collect what ``summary.json`` holds; None stands for not available."""
    scores, matrix, uncertainty = report.scores, report.matrix, report.uncertainty
    source, n, settings = report.source, len(matrix.languages), uncertainty.settings
    _, zero_shot = zero_shot_means(scores)
    cross_language = cross_language_of(scores)
    used_seeds = matrix.n_seeds[matrix.n_seeds > 0].tolist()
    return {
        "version": __version__,
        "results_file": source.file,
        "results_sha256": source.sha256,
        **{
            name: getattr(source, name)
            for name in ("task", "metric", "budget", "unit", "steps", "strategy")
        },
        "steps_share": asdict(report.steps) if report.steps else None,
        "formula": FORMULA,
        "n_languages": n,
        "languages": list(matrix.languages),
        "seeds": list(scores.seeds) if isinstance(scores, SeedScores) else None,
        "seeds_paired": isinstance(scores, SeedScores),
        "identification_level": IDENTIFICATION_LEVEL,
        "confidence": uncertainty.settings.confidence,
        "false_discovery_rate": FALSE_DISCOVERY_RATE,
        # None where the file holds means and variances only.
        "bootstrap": uncertainty.bootstrap
        and {"resamples": settings.resamples, "seed": settings.bootstrap_seed},
        "counts": {
            "cells": _n_cells(matrix),
            "cells_estimated": _n_cells(matrix) - len(missing_cells(matrix)),
            "cells_identified": int(np.isfinite(off_diagonal(matrix.cltm)).sum()),
            **count_findings(matrix, uncertainty),
            "targets_identified": int(matrix.target_identified.sum()),
            "zero_shot_cells": zero_shot.size,
            "zero_shot_cells_available": int(np.isfinite(zero_shot).sum()),
            "cross_language_sets": len(cross_language.sets) if cross_language else 0,
            "results_undefined": sum(source.undefined.values()),
            "fewest_seeds": min(used_seeds, default=0),
            "most_seeds": max(used_seeds, default=0),
        },
        "strongest_positive": strongest(report, HELPS),
        "strongest_negative": strongest(report, HARMS),
        "identified_targets": _numbers(report, report.numbers.identified),
        "all_targets": _numbers(report, report.numbers.all_targets),
        "mean_single": mean_available(single_and_double(scores)[0]),
        "mean_double": mean_available(single_and_double(scores)[1]),
        "targets": {
            code: _target(report, index, report.languages[code])
            for index, code in enumerate(matrix.languages)
        },
    }


def _numbers(report: Report, numbers: MatrixNumbers) -> dict[str, Any]:
    """Write one version of the summary numbers, see the module's docstring."""
    layout, codes = numbers.layout, report.matrix.languages
    has_cells = layout.off_diagonal.any()
    return {
        "n_cells": int(layout.off_diagonal.sum()),
        "square_languages": [codes[index] for index in layout.square],
        "expected_family_share": expected_family_share(layout) if has_cells else None,
        "properties": {name: asdict(one) for name, one in numbers.properties.items()},
        "strengths": {
            code: {name: asdict(numbers.strengths[name][index]) for name in STRENGTHS}
            for index, code in enumerate(codes)
        },
    }


def _target(report: Report, index: int, language: Language) -> dict[str, Any]:
    matrix = report.matrix
    single, double = single_and_double(report.scores)
    donors = matrix.cltm[index].copy()
    donors[index] = np.nan
    best = int(np.nanargmax(donors)) if np.isfinite(donors).any() else None
    return {
        "name": language.name,
        "family": language.family,
        "single": finite(single[index]),
        "double": finite(double[index]),
        "self_gain": finite(matrix.self_gain[index, index]),
        "self_gain_se": finite(matrix.self_gain_se[index, index]),
        "self_gain_q": finite(report.uncertainty.q_gain[index, index]),
        "identified": bool(matrix.target_identified[index]),
        "reason": matrix.target_reason[index],
        "best_donor": None if best is None else matrix.languages[best],
        "best_cltm": None if best is None else finite(donors[best]),
        "best_cltm_se": (
            None if best is None else finite(matrix.raw_cltm_se[index, best])
        ),
    }


def mean_available(values: np.ndarray) -> float | None:
    """Average what is not NaN; None where nothing is left."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def summary_text(report: Report) -> str:
    """Write the matrix and what it tells, less than a screen."""
    lines = [report.title, report.subtitle]
    if len(report.matrix.languages) <= MOST_IN_TABLE:
        lines += ["", *_table(report)]
    lines += ["", *question_lines(report), "", *remarks(report)]
    return "\n".join(lines).rstrip()


def _table(report: Report) -> list[str]:
    """Show the CLTM of identified targets; where there is none, the gains."""
    matrix, order = report.matrix, report.display_index
    tested = possible_targets(matrix)
    grey = grey_targets(matrix)
    itself = np.eye(len(order), dtype=bool)
    shown, digits = matrix.cltm, 2
    told = report.uncertainty.q_gain < FALSE_DISCOVERY_RATE
    if not np.isfinite(shown[~itself]).any():
        shown, digits = matrix.gains, 3
        grey = np.zeros(len(order), dtype=bool)
    else:
        told = told & ~itself
    codes = [language.code for language in report.display_languages]
    names = [
        f"{language.code} {language.name}{' †' if grey[index] else ''}"
        for language, index in zip(report.display_languages, order, strict=True)
        if tested[index]
    ]
    cells = [
        [
            f"{format_value(shown[i, j], digits) if np.isfinite(shown[i, j]) else '.'}"
            f"{'*' if told[i, j] and np.isfinite(shown[i, j]) else ' '}"
            for j in order
        ]
        for i in order
        if tested[i]
    ]
    table = pd.DataFrame(cells, names, pd.Index(codes, name="target \\ donor"))
    what = FORMULA if digits == 2 else GAIN_FORMULA
    marks = [f"* clearly different from 0, {CORRECTED}"] if "*" in str(cells) else []
    marks += ["† not identified"] if grey.any() else []
    text = table.to_string(col_space=7).splitlines()
    return [what, *text, *(["; ".join(marks)] if marks else [])]


def means_line(report: Report) -> str:
    """Say what single and double runs reach, on average over languages."""
    single, double = map(mean_available, single_and_double(report.scores))
    return (
        f"Mean {report.source.metric_title}: singles {_figure(single)}, doubles "
        f"{_figure(double)}"
    )


def number_rows(numbers: MatrixNumbers) -> Iterator[tuple[str, str]]:
    """List each number's label, and its text or why there is none."""
    yield "cells off the diagonal", str(int(numbers.layout.off_diagonal.sum()))
    for name, definition in PROPERTIES.items():
        note = numbers.properties[name].note
        yield definition.label, number_text(name, numbers) or f"not available: {note}"


def numbers_notes(numbers: MatrixNumbers) -> list[str]:
    """Say how the intervals that the properties have are to be read."""
    found = numbers.properties.values()
    notes = []
    if any(one.low is not None for one in found):
        notes.append(INTERVALS_NOTE)
    if any(one.coverage_note for one in found):
        notes.append(f"{COVERS_LESS_MARK} {COVERS_LESS_NOTE}")
    return notes


def number_text(name: str, numbers: MatrixNumbers) -> str:
    """Write a property's value and interval; empty where there is no value."""
    one, definition = numbers.properties[name], PROPERTIES[name]
    if one.value is None:
        return ""
    write = _writer(definition)
    if one.low is None or one.high is None:
        return write(one.value)
    mark = COVERS_LESS_MARK if one.coverage_note else ""
    corrected = ""
    if one.corrected is not None and not one.low <= one.value <= one.high:
        corrected = f", corrected {write(one.corrected)}"
    return f"{write(one.value)}{corrected} [{write(one.low)}, {write(one.high)}]{mark}"


def _writer(definition: Property) -> Callable[[float], str]:
    if definition.is_share:
        return lambda value: f"{value:.1%}"
    if definition.is_count:
        return lambda value: f"{value:.0f}"
    return lambda value: f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"


def strongest_languages(report: Report) -> list[str]:
    """Name the best donors and targets, by the mean of their cells."""
    codes, strengths = report.matrix.languages, report.numbers.identified.strengths
    lines = []
    for label, name in (("Donors", "outgoing_mean"), ("Targets", "incoming_mean")):
        ranked = [
            (one.rank, code, one)
            for code, one in zip(codes, strengths[name], strict=True)
            if one.rank is not None
        ]
        if len(ranked) < 2:
            continue
        first = [
            f"{code} {_with_interval(one)}"
            for _, code, one in sorted(ranked, key=lambda item: item[:2])[:MOST_RANKED]
        ]
        lines.append(f"{label} with the highest mean: {', '.join(first)}")
    return lines


def _with_interval(one: Interval) -> str:
    if one.low is None:
        return f"{one.value:.2f}"
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def _figure(value: float | None) -> str:
    return "not available" if value is None else f"{value:.3f}"


def remarks(report: Report) -> list[str]:
    """Say what is missing, not identified or else to be known of the matrix."""
    lines = strategy_sentences(report.strategies) if report.strategies else []
    scores, matrix = report.scores, report.matrix
    grey, n = grey_targets(matrix), int(possible_targets(matrix).sum())
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
            f"Not available, {len(missing):,} of {_n_cells(matrix):,} cells: "
            f"{_some(_by_reason(missing))}"
        )
    absent = absent_seeds(scores) if isinstance(scores, SeedScores) else []
    if absent:
        lines.append(
            f"Without a result in some seeds, {counted(len(absent), 'run')}: "
            f"{_some(absent)}"
        )
    cross_language = cross_language_of(scores)
    if cross_language is not None:
        lines.append(_cross_language_line(report.source.metric_title, cross_language))
    lines += report.source.notes
    left_out = [f"{lang} ({why})" for lang, why in report.evidence.left_out.items()]
    if left_out:
        lines.append(
            f"Could not take part, {counted(len(left_out), 'language')}: "
            f"{_some(left_out)}"
        )
    narrow = narrow_line(report.evidence.data, report.languages)
    lines += [narrow] if narrow else []
    unlisted = [c for c in matrix.languages if report.languages[c].family == UNLISTED]
    if unlisted:
        lines.append(
            f"Without name and family: {_some(unlisted)}; add a line "
            f"'{unlisted[0]}: {{name: ..., family: ...}}' to the file given by "
            "--languages_conf."
        )
    return lines


def _cross_language_line(perf: str, scores: CrossLanguageScores) -> str:
    """Say what each kind of run reaches, on average over languages and sets."""
    kinds = np.array([kind for kind, _ in scores.runs])
    means = ", ".join(
        f"{kind}s {_figure(mean_available(scores.perf[kinds == kind]))}"
        for kind in dict.fromkeys(kinds.tolist())
    )
    return (
        f"Cross-language trials, not part of the matrix ({_some(list(scores.sets))}): "
        f"mean {perf} of {means}; see cross_language.csv"
    )


def _by_reason(missing: list[tuple[str, str, str]]) -> list[str]:
    """Name cells one by one, or together where one reason takes several away."""
    cells: dict[str, list[str]] = {}
    for target, donor, reason in missing:
        cells.setdefault(reason, []).append(f"{target} from {donor}")
    return [
        f"{names[0] if len(names) == 1 else f'{len(names)} cells'} ({reason})"
        for reason, names in sorted(cells.items(), key=lambda item: -len(item[1]))
    ]
