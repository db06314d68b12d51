"""What a matrix says on the terminal: ``summary.json`` in about a screen of text."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from espnet2_cltm.matrix.languages import UNLISTED
from espnet2_cltm.matrix.properties import PROPERTIES, Property
from espnet2_cltm.matrix.property_intervals import Interval, MatrixNumbers
from espnet2_cltm.matrix.scores import (
    CrossLanguageScores,
    SeedScores,
    absent_seeds,
    cross_language_of,
    single_and_double,
)
from espnet2_cltm.matrix.uncertainty import FALSE_DISCOVERY_RATE
from espnet2_cltm.report.contents import Report, grey_targets
from espnet2_cltm.report.summary import cell_findings, mean_available, missing_cells
from espnet2_cltm.report.wording import FORMULA

MOST_IN_TABLE = 12  # languages of the matrix on the terminal
MOST_NAMED = 5  # of things that are missing
MOST_RANKED = 3
INTERVALS_NOTE = (
    "In brackets: intervals corrected for the seeds' noise, which moves shares, "
    "extremes and norms, so that a value may lie outside its interval."
)
COVERS_LESS_MARK = "*"
COVERS_LESS_NOTE = (
    "held the truth in less than 90% of simulated matrices, see summary.json"
)


def summary_text(report: Report) -> str:
    """Write the summary, about a screen of it."""
    lines = [report.title, report.subtitle, FORMULA]
    if len(report.matrix.languages) <= MOST_IN_TABLE:
        lines += ["", *_table(report)]
    lines += ["", means_line(report), *cells_found(report)]
    lines += ["", *_numbers_table(number_versions(report))]
    lines += [*strongest_languages(report), "", *remarks(report)]
    return "\n".join(lines)


def _table(report: Report) -> list[str]:
    grey, order = grey_targets(report.matrix), report.display_index
    codes = [language.code for language in report.display_languages]
    names = [
        f"{language.code} {language.name}{' *' if grey[index] else ''}"
        for language, index in zip(report.display_languages, order, strict=True)
    ]
    values = (
        report.matrix.cltm[np.ix_(order, order)].round(2) + 0.0
    )  # no minus before zero
    table = pd.DataFrame(values, names, pd.Index(codes, name="target \\ donor"))
    text = table.to_string(na_rep=".", float_format="{:.2f}".format, col_space=6)
    return [*text.splitlines(), *(["* not identified"] if grey.any() else [])]


def means_line(report: Report) -> str:
    """Tell the mean over languages of single and of double runs."""
    single, double = map(mean_available, single_and_double(report.scores))
    return (
        f"Mean {report.source.metric_title}: singles {_figure(single)}, doubles "
        f"{_figure(double)}"
    )


def cells_found(report: Report) -> list[str]:
    """Say how many cells differ from 0 and 1, where there are tests."""
    tested = int(np.isfinite(report.uncertainty.q_zero).sum())
    if not tested:
        return []
    count = cell_findings(report.matrix, report.uncertainty)
    lines = [
        f"Of {tested} cells, at a false discovery rate of {FALSE_DISCOVERY_RATE:.0%}: "
        f"{count['cells_above_zero']} above 0, {count['cells_below_zero']} below 0; "
        f"{count['cells_above_one']} above 1, {count['cells_below_one']} below 1"
    ]
    if count["cells_with_unbounded_set"]:
        lines.append(
            f"No bounded {report.level} interval in "
            f"{count['cells_with_unbounded_set']} of them: the self-gain is too "
            "uncertain"
        )
    return lines


def _numbers_table(versions: Mapping[str, MatrixNumbers]) -> list[str]:
    """Show the properties, one a line, and how their intervals are to be read."""
    rows = [("", *versions)]
    rows += [
        (label, *(text or "-" for text, _ in texts))
        for label, texts in number_rows(versions)
        if any(text for text, _ in texts)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return lines + numbers_notes(versions.values())


def number_versions(report: Report) -> dict[str, MatrixNumbers]:
    """Return the versions of the numbers by name, two where a target is grey."""
    versions = {"identified targets": report.numbers.identified}
    if grey_targets(report.matrix).any():
        versions["all targets"] = report.numbers.all_targets
    return versions


def number_rows(
    versions: Mapping[str, MatrixNumbers],
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """List each number's label, and of each version its text and a note.

    The text is empty where there is no value; then the note tells why.
    """
    counts = [int(one.layout.off_diagonal.sum()) for one in versions.values()]
    yield "cells off the diagonal", [(str(count), "") for count in counts]
    for name, definition in PROPERTIES.items():
        yield (
            definition.label,
            [
                (number_text(name, one), one.properties[name].note)
                for one in versions.values()
            ],
        )


def numbers_notes(versions: Iterable[MatrixNumbers]) -> list[str]:
    """Say how the intervals that the properties have are to be read."""
    found = [one for version in versions for one in version.properties.values()]
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
            (one.rank, code, one.strength)
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
    lines = []
    scores, matrix, n = report.scores, report.matrix, len(report.matrix.languages)
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
    absent = absent_seeds(scores) if isinstance(scores, SeedScores) else []
    if absent:
        lines.append(
            f"Without a result in some seeds, {len(absent)} run(s): {_some(absent)}"
        )
    cross_language = cross_language_of(scores)
    if cross_language is not None:
        lines.append(_cross_language_line(report.source.metric_title, cross_language))
    lines += report.source.notes
    unlisted = [c for c in matrix.languages if report.languages[c].family == UNLISTED]
    if unlisted:
        lines.append(
            f"Without name and family: {_some(unlisted)}; add a line "
            f"'{unlisted[0]}: {{name: ..., family: ...}}' to the file given by "
            "--languages_conf."
        )
    return lines


def _cross_language_line(perf: str, scores: CrossLanguageScores) -> str:
    """Give the mean of each kind of run over its languages and all sets."""
    kinds = np.array([kind for kind, _ in scores.runs])
    means = ", ".join(
        f"{kind}s {_figure(mean_available(scores.perf[kinds == kind]))}"
        for kind in dict.fromkeys(kinds.tolist())
    )
    return (
        f"Cross-language trials, no part of the matrix ({_some(list(scores.sets))}): "
        f"mean {perf} of {means}; see cross_language.csv"
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
