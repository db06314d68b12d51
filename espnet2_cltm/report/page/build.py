"""Putting the page together: from one task's analyses to words, tables and data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from espnet2_cltm import __version__
from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.languages import Language, display_order
from espnet2_cltm.matrix.origin import Origin
from espnet2_cltm.matrix.prediction import MissingPairs
from espnet2_cltm.matrix.properties import (
    PROPERTIES,
    strongest_negative,
    strongest_positive,
)
from espnet2_cltm.matrix.property_intervals import MatrixNumbers
from espnet2_cltm.matrix.uncertainty import BOUNDED, Analysis
from espnet2_cltm.report.page.contents import (
    NumberRow,
    Page,
    PairTable,
    Ranking,
    RankingRow,
    RegimePart,
)
from espnet2_cltm.report.page.matrix_data import (
    ReasonTable,
    metric_data,
    predicted_cells,
)
from espnet2_cltm.report.page.methods import methods_paragraphs
from espnet2_cltm.report.page.origin_part import origin_part
from espnet2_cltm.report.page.provenance import Provenance
from espnet2_cltm.report.page.published_part import (
    PublishedComparison,
    published_comparisons,
)
from espnet2_cltm.report.page.tables import matrix_rows, zero_shot_rows
from espnet2_cltm.report.summary import (
    FALSE_DISCOVERY_RATE,
    FORMULA,
    BothNumbers,
    grey_targets,
    subtitle,
    title,
)
from espnet2_cltm.report.summary_text import (
    cells_found,
    means_line,
    number_text,
    numbers_notes,
    remarks,
    strongest_languages,
)

NOTE_IDENTIFIED = "All targets are identified, so there is one version of each number."
NONE_MEASURED = (
    "No target has a self-gain, which takes single and double runs of the same target, "
    "so no cell can be told: the runs that are missing have to be made first."
)
NONE_IDENTIFIED = (
    "No target's self-gain is clearly positive, so no cell can be told: more seeds, a "
    "larger test set or another N would be needed."
)
NOTE_BOTH = (
    "Each number is given over the identified targets, which are what the matrix "
    "shows, and over all targets with an estimate."
)


@dataclass(frozen=True)
class Report:
    """Everything that a page is made of.

    Attributes:
        analyses: Of all metrics, the matrix's own first.
        languages: By code.
        numbers: Summary numbers of the first analysis.
        origin: Where its transfer comes from.
        provenance: Of the results.
        build_command: That built the matrix.
        missing: Predictions of cells that were not measured; None where there are none.
        regime: Content of ``regime.json``; None where there is none.
        files: Text of the files to download, by name.
    """

    analyses: Sequence[Analysis]
    languages: Mapping[str, Language]
    numbers: BothNumbers
    origin: Origin
    provenance: Provenance
    build_command: str
    missing: MissingPairs | None = None
    regime: Mapping[str, Any] | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def main(self) -> Analysis:
        """The analysis of the matrix's own metric."""
        return self.analyses[0]


def build_page(report: Report) -> tuple[Page, dict[str, Any]]:
    """Give the page's words, and the data of its scripts."""
    comparisons = list(published_comparisons(report.main))
    return _page(report, comparisons), _data(report, comparisons)


def _page(report: Report, comparisons: Sequence[PublishedComparison]) -> Page:
    scores, matrix = report.main.scores, report.main.matrix
    languages = display_order(report.languages[code] for code in matrix.languages)
    versions = _versions(report)
    gaps = remarks(scores, matrix, report.languages)
    if report.missing is not None:
        gaps = [*gaps, *report.missing.sentences]
    return Page(
        version=__version__,
        title=title(scores),
        subtitle=subtitle(scores, matrix),
        formula=FORMULA,
        metric_label=scores.source.metric_title,
        file_stem=f"cltm_{scores.source.task}",
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        languages=languages,
        in_short=_in_short(report),
        matrix_rows=matrix_rows(report.main, languages),
        zero_shot_rows=zero_shot_rows(report.main, languages),
        rankings=_rankings(report),
        strongest=_strongest(report),
        number_columns=tuple(versions),
        numbers=_numbers(versions),
        numbers_note=_numbers_note(matrix),
        number_notes=numbers_notes(versions.values()),
        methods=methods_paragraphs(report.main, report.provenance),
        command=report.provenance.command,
        build_command=report.build_command,
        versions=report.provenance.versions,
        configuration=report.provenance.configuration,
        files=tuple(report.files),
        gaps=gaps,
        origin=origin_part(report.origin),
        comparisons=[comparison.part for comparison in comparisons],
        regime=_regime(report.regime),
    )


def _data(report: Report, comparisons: Sequence[PublishedComparison]) -> dict[str, Any]:
    codes = report.main.matrix.languages
    reasons = ReasonTable()
    metrics = [metric_data(analysis, reasons) for analysis in report.analyses]
    if report.missing is not None:
        metrics[0]["predicted"] = predicted_cells(report.missing)
    described = [report.languages[code] for code in codes]
    has_zero_shot = bool(zero_shot_rows(report.main, described))
    return {
        "languages": [
            {"code": one.code, "name": one.name, "family": one.family}
            for one in described
        ],
        "orders": _orders(report),
        "metrics": metrics,
        "reasons": reasons.sentences,
        "has_zero_shot": has_zero_shot,
        "confidence": report.main.uncertainty.settings.confidence,
        "false_discovery_rate": FALSE_DISCOVERY_RATE,
        "rankings": {
            "donors": _ranking_data(report, "outgoing_mean"),
            "targets": _ranking_data(report, "incoming_mean"),
        },
        "comparisons": [{"cells": comparison.cells} for comparison in comparisons],
        "regime": report.regime,
        "files": report.files,
    }


def _orders(report: Report) -> dict[str, list[int] | None]:
    """Give orders of the languages as positions."""
    codes = report.main.matrix.languages
    position = {code: index for index, code in enumerate(codes)}
    described = [report.languages[code] for code in codes]
    clusters = report.origin.clusters
    by_name = sorted(described, key=lambda one: (one.name.casefold(), one.code))
    return {
        "family": [position[one.code] for one in display_order(described)],
        "name": [position[one.code] for one in by_name],
        "clusters": (
            [position[code] for code in clusters.order] if clusters.members else None
        ),
    }


def _in_short(report: Report) -> list[str]:
    scores, matrix = report.main.scores, report.main.matrix
    n = len(matrix.languages)
    identified = int(matrix.target_identified.sum())
    unmeasured = int(_without_self_gain(matrix).sum())
    without = f" (without self-gain: {unmeasured})" if unmeasured else ""
    lines = [
        f"{means_line(scores)}. Identified: {identified} of {n} targets{without}.",
        *cells_found(matrix, report.main.uncertainty),
    ]
    if not identified:
        lines.append(NONE_IDENTIFIED if unmeasured < n else NONE_MEASURED)
    mean = number_text("mean_off_diagonal", report.numbers.identified)
    if mean:
        lines.append(
            f"Of identified targets, a donor utterance is on average worth {mean} of "
            "one more of the target's own."
        )
    return lines + strongest_languages(matrix, report.numbers.identified)


def _without_self_gain(matrix: TransferMatrix) -> np.ndarray:
    """(n,) bool: targets that lack single or double runs: nothing is found of them."""
    return ~np.isfinite(np.diagonal(matrix.self_gain))


def _numbers_note(matrix: TransferMatrix) -> str:
    """Say why there are one or two versions of each number."""
    if grey_targets(matrix).any():
        return NOTE_BOTH
    without = int(_without_self_gain(matrix).sum())
    n = len(matrix.languages)
    if not without:
        return NOTE_IDENTIFIED
    if without == n:
        return "There are no numbers: no target has a self-gain."
    return (
        f"All targets that have a self-gain, {n - without} of {n}, are identified, so "
        "there is one version of each number."
    )


def _versions(report: Report) -> dict[str, MatrixNumbers]:
    versions = {"identified targets": report.numbers.identified}
    if grey_targets(report.main.matrix).any():
        versions["all targets"] = report.numbers.all_targets
    return versions


def _numbers(versions: Mapping[str, MatrixNumbers]) -> list[NumberRow]:
    counts = [str(int(one.layout.off_diagonal.sum())) for one in versions.values()]
    rows = [NumberRow("cells off the diagonal", counts)]
    for name, definition in PROPERTIES.items():
        texts = [
            number_text(name, one) or f"not available: {one.properties[name].note}"
            for one in versions.values()
        ]
        rows.append(NumberRow(definition.label, texts))
    return rows


def _rankings(report: Report) -> list[Ranking]:
    sides = (
        (
            "donors",
            "outgoing_mean",
            "Donors",
            "What a language's utterances are worth to the other targets.",
            "mean CLTM given",
        ),
        (
            "targets",
            "incoming_mean",
            "Targets",
            "What other languages' utterances are worth to a target.",
            "mean CLTM received",
        ),
    )
    rankings = []
    for side, name, heading, explanation, axis in sides:
        entries = _ranking_data(report, name)
        entries = [entry for entry in entries if entry["value"] is not None]
        entries.sort(key=lambda entry: -entry["value"])
        if not entries:
            continue
        codes = report.main.matrix.languages
        rows = [
            RankingRow(
                report.languages[codes[entry["language"]]].name,
                f"{entry['value']:.3f}",
                _interval(entry["low"], entry["high"]),
            )
            for entry in entries
        ]
        rankings.append(Ranking(side, heading, explanation, axis, rows))
    return rankings


def _strongest(report: Report) -> list[PairTable]:
    matrix, cltm = report.main.matrix, report.main.matrix.cltm
    fieller = report.main.uncertainty.fieller
    if not np.isfinite(cltm[~np.eye(len(cltm), dtype=bool)]).any():
        return []

    def row(cell: tuple[int, int]) -> tuple[str, str, str, str]:
        target, donor = (report.languages[matrix.languages[k]].name for k in cell)
        interval = "unbounded" if fieller.kind[cell] else ""
        if fieller.kind[cell] == BOUNDED:
            interval = f"[{fieller.low[cell]:.2f}, {fieller.high[cell]:.2f}]"
        return target, donor, f"{cltm[cell]:.2f}", interval

    help_most = [row(cell) for cell in strongest_positive(cltm)]
    hurt_most = [row(cell) for cell in strongest_negative(cltm)]
    return [
        PairTable("Strongest positive", "No cell is above 0.", help_most),
        PairTable("Strongest negative", "No cell is below 0.", hurt_most),
    ]


def _ranking_data(report: Report, name: str) -> list[dict[str, Any]]:
    """Give the mean CLTM of every language over the identified targets."""
    return [
        {
            "language": index,
            "value": one.strength.value,
            "low": one.strength.low,
            "high": one.strength.high,
        }
        for index, one in enumerate(report.numbers.identified.strengths[name])
    ]


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def _regime(regime: Mapping[str, Any] | None) -> RegimePart | None:
    if regime is None:
        return None
    return RegimePart([regime["conclusion"], *regime["advice"], *regime["notes"]])
