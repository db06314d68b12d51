"""The sections of the report page, in the order in which they stand.

Everything that the page shows beneath its title is one :class:`.Section` of
:data:`SECTIONS`; see :mod:`espnet2_cltm.report.page.section` for how to add one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from espnet2_cltm.files import for_json
from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.origin import origin_sentences as origin_lines
from espnet2_cltm.matrix.origin import relation_name
from espnet2_cltm.matrix.relatedness import OF_CELLS
from espnet2_cltm.matrix.scores import known_task, single_and_double
from espnet2_cltm.matrix.uncertainty import FALSE_DISCOVERY_RATE, HARMS, HELPS
from espnet2_cltm.report.comparison import agreement_line
from espnet2_cltm.report.confusion import confusion_tables
from espnet2_cltm.report.contents import Report, grey_targets
from espnet2_cltm.report.findings import (
    CORRECTED,
    question_lines,
    signed,
    strongest,
    target_verdicts,
)
from espnet2_cltm.report.page.evidence import (
    calibration_data,
    calibration_section,
    data_section,
    scores_data,
    scores_section,
    training_data,
    training_section,
)
from espnet2_cltm.report.page.layers import layers_data, layers_section
from espnet2_cltm.report.page.matrix_data import rivals_shown, zero_shot_square
from espnet2_cltm.report.page.methods import methods_paragraphs
from espnet2_cltm.report.page.pools import pools_data, pools_section
from espnet2_cltm.report.page.section import (
    COPY,
    LARGEST,
    OTHER_SEEDS,
    TABLES,
    Section,
    bullets,
    chart,
    folded,
    paragraphs,
    part,
    render,
    side_by_side,
    table,
    table_of,
)
from espnet2_cltm.report.page.strategies import strategies_data, strategies_section
from espnet2_cltm.report.rankings import (
    SIDES,
    best_first,
    ranked_languages,
    shown_limits,
)
from espnet2_cltm.report.summary import (
    means_line,
    number_rows,
    numbers_notes,
    remarks,
    strongest_languages,
)
from espnet2_cltm.report.wording import FORMULA, format_value

NO_SEEDS = "The results hold no single seeds for this cell."
SEEDS_LEFT_OUT = "This page holds no single seeds for this cell: see the results."
NONE_MEASURED = (
    "No target has a self-gain, which takes single and double runs of the same target, "
    "so no cell can be estimated: make the runs that are missing first."
)
NONE_IDENTIFIED = (
    "No target's self-gain is clearly positive, so no cell can be read as a worth: "
    "that takes more seeds, a larger test set or another N."
)


def _in_short(report: Report) -> str:
    lines = [f"{means_line(report)}.", *question_lines(report)]
    if not report.matrix.target_identified.any():
        measured = np.isfinite(np.diagonal(report.matrix.self_gain)).any()
        lines.append(NONE_IDENTIFIED if measured else NONE_MEASURED)
    lines += strongest_languages(report)
    if report.left_out:
        parts = "; ".join(report.left_out)
        lines.append(f"To stay below {LARGEST / 2**20:g} MiB, this page lacks {parts}")
    return bullets(lines)


def _matrix(report: Report) -> str:
    return render(
        "matrix.html.jinja",
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        formula=FORMULA,
        file_stem=f"cltm_{report.source.task}",
        has_rivals=bool(rivals_shown(report)),
        no_seeds=SEEDS_LEFT_OUT if OTHER_SEEDS in report.left_out else NO_SEEDS,
    ) + _table_of_matrix(report)


def _table_of_matrix(report: Report) -> Markup:
    if TABLES in report.left_out:
        return Markup("")
    languages, index = report.display_languages, report.display_index
    matrix = report.matrix
    differs = report.uncertainty.q_gain < FALSE_DISCOVERY_RATE
    grey = grey_targets(matrix)

    def text(i: int, j: int) -> str:
        if not np.isfinite(matrix.raw_cltm[i, j]):
            return ""
        value = format_value(matrix.raw_cltm[i, j])
        if differs[i, j]:
            value += "*" if i != j else ""
        return f"({value})" if grey[i] or matrix.reason[i, j] else value

    cells = [[text(i, j) for j in index] for i in index]
    written = "".join(map("".join, cells))
    caption = "CLTM, rows targets, columns donors"
    if "(" in written:
        caption += "; in brackets: of a target that is not identified"
    if "*" in written:
        caption += f"; *: clearly different from 0, {CORRECTED}"
    return folded(
        "The matrix as a table",
        _language_table(caption, "target \\ donor", languages, languages, cells),
    )


def _language_table(
    caption: str,
    corner: str,
    rows: Sequence[Language],
    columns: Sequence[Language],
    cells: Sequence[Sequence[str]],
) -> Markup:
    names = [
        Markup('<abbr title="{}">{}</abbr>').format(language.name, language.code)
        for language in columns
    ]
    lines = [
        (language.name, *texts) for language, texts in zip(rows, cells, strict=True)
    ]
    return table(caption, [corner, *names], lines, "matrix")


def _rankings(report: Report) -> str | None:
    shown = []
    for side in SIDES:
        ranked = best_first(ranked_languages(report, side))
        if not ranked:
            continue
        name = side.name.capitalize()
        rows = [
            (one.language.name, f"{one.value:.3f}", _interval(one.low, one.high))
            for one in ranked
        ]
        content = (
            paragraphs([f"{side.meaning.capitalize()}."])
            + chart(f"ranking-{side.name}", f"{name}; the table holds the same numbers")
            + folded(
                "As a table", table(name, ("language", "mean CLTM", "interval"), rows)
            )
        )
        shown.append((name, content))
    return side_by_side(shown) if shown else None


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def _rankings_data(report: Report) -> dict[str, list[Any]]:
    ranked = {side.name: ranked_languages(report, side) for side in SIDES}
    limits = shown_limits([one for side in ranked.values() for one in best_first(side)])
    return {
        "limits": [round(limit, 3) for limit in limits],
        **{
            name: [
                {"language": k, "value": one.value, "low": one.low, "high": one.high}
                for k, one in enumerate(entries)
            ]
            for name, entries in ranked.items()
        },
    }


def _pairs(report: Report) -> str | None:
    if not np.isfinite(report.uncertainty.q_gain).any():
        return None
    caption = "The clearest first; CLTM and its interval where there is one"
    tables = []
    for verdict, helps in ((HELPS, "help"), (HARMS, "harm")):
        rows = [_pair_row(report, one) for one in strongest(report, verdict)]
        none = paragraphs([f"No donor clearly {helps}s, {CORRECTED}."])
        found = table_of(caption, rows) if rows else none
        tables.append((f"Donors that {helps}", found))
    return side_by_side(tables)


def _pair_row(report: Report, one: Mapping[str, Any]) -> dict[str, str]:
    interval = "" if one["cltm"] is None else "unbounded"
    if one["low"] is not None:
        interval = f"[{one['low']:.2f}, {one['high']:.2f}]"
    return {
        "target": report.languages[one["target"]].name,
        "donor": report.languages[one["donor"]].name,
        "cross-gain": f"{signed(one['cross_gain'])} ± {one['cross_gain_se']:.3f}",
        "q": f"{one['q']:.2g}",
        "CLTM": "" if one["cltm"] is None else f"{one['cltm']:.2f}",
        "interval": interval,
    }


def _own_data(report: Report) -> str | None:
    """List what each target reaches, and what more of its own data add."""
    matrix, uncertainty = report.matrix, report.uncertainty
    if not matrix.n_seeds.any():
        return None
    single, double = single_and_double(report.scores)
    found = target_verdicts(matrix, uncertainty)

    def row(i: int) -> dict[str, str]:
        gain, q = matrix.self_gain[i, i], uncertainty.q_gain[i, i]
        low, high = uncertainty.gain_low[i, i], uncertainty.gain_high[i, i]
        return {
            "target": report.languages[matrix.languages[i]].name,
            "single": format_value(single[i], 3) if np.isfinite(single[i]) else "",
            "double": format_value(double[i], 3) if np.isfinite(double[i]) else "",
            "self-gain": signed(gain) if np.isfinite(gain) else "",
            "interval": f"[{low:.3f}, {high:.3f}]" if np.isfinite(low) else "",
            "q": f"{q:.2g}" if np.isfinite(q) else "",
            "own data": found[i],
            "why not identified": matrix.target_reason[i],
        }

    caption = f"{report.source.metric_title}, means over seeds"
    return table_of(caption, map(row, report.display_index))


def _numbers(report: Report) -> str | None:
    numbers = report.numbers.identified
    if not numbers.layout.off_diagonal.any():
        return None
    return table(
        "Numbers of the whole matrix, over the identified targets",
        ("property", "value"),
        number_rows(numbers),
    ) + paragraphs(numbers_notes(numbers), "note")


def _origin(report: Report) -> str:
    tests = [
        {
            "relation": relation_name(test.relation),
            "of": "cells" if test.statistic == OF_CELLS else "pair effects",
            "cells": str(test.n_cells),
            "r": f"{test.r:+.3f}" if test.r is not None else test.reason,
            "p": f"{test.p:.2g}" if test.p is not None else "",
            "q": f"{test.q:.2g}" if test.q is not None else "",
        }
        for test in report.origin.relatedness
    ]
    found = bullets(origin_lines(report.origin))
    if not tests or not report.origin.enough_permutations:
        return found
    return found + table_of(
        "Correlation of the cells with what languages have in common (Mantel's test)",
        tests,
    )


def _zero_shot(report: Report) -> str | None:
    order = np.ix_(report.display_index, report.display_index)
    values = zero_shot_square(report.main)[order]
    if not np.isfinite(values[~np.eye(len(values), dtype=bool)]).any():
        return None
    found = Markup("")
    if TABLES not in report.left_out:
        cells = [[f"{x:.3f}" if np.isfinite(x) else "" for x in row] for row in values]
        languages = report.display_languages
        caption = f"{report.source.metric_title}, rows tested on, columns trained on"
        corner = "tested on \\ trained on"
        as_table = _language_table(caption, corner, languages, languages, cells)
        found = folded("As a table", as_table)
    return (
        paragraphs(
            [
                f"Trained on N {report.source.items} of one language, tested on "
                "another, without any of its own: the single runs, tested everywhere."
            ]
        )
        + chart(
            "zero-shot-heatmap",
            "Heatmap of the zero-shot matrix; the table holds the same numbers",
            "scroll",
        )
        + found
    )


def _confusion(report: Report) -> str | None:
    if report.confusion is None or report.confusion.empty:
        return None
    task = known_task(report.source.task)
    parts = []
    for found in confusion_tables(report.confusion):
        names = [task.class_title(one) if task else one for one in found.classes]
        rows = []
        for name, counts, shares in zip(names, found.counts, found.shares, strict=True):
            cells = [
                Markup('<td style="--share: {:.3f}">{:.1%} ({:,})</td>').format(
                    share, share, count
                )
                for count, share in zip(counts.tolist(), shares.tolist(), strict=True)
            ]
            rows.append((name, *cells, f"{counts.sum():,}"))
        columns = ("reference \\ predicted", *names, "items")
        parts.append((found.title, table(found.caption, columns, rows, "confusion")))
    return paragraphs(
        [
            "Which class is taken for which: shares of the items of a class, with "
            "their number in brackets, summed over languages and seeds."
        ]
    ) + side_by_side(parts)


def _comparison(report: Report) -> str | None:
    parts = [
        (
            found.title,
            paragraphs([agreement_line(found.comparison)])
            + chart(
                f"comparison-{index}",
                "Scatter plot: CLTM here against CLTM published, a point a cell; the "
                "text holds the numbers",
            )
            + folded("In numbers", Markup("<pre>{}</pre>\n").format(found.text)),
        )
        for index, found in enumerate(report.published)
    ]
    return side_by_side(parts) if parts else None


def _comparison_data(report: Report) -> list[list[list[Any]]]:
    cells = (found.comparison.cells.round(3) for found in report.published)
    return [for_json(one.to_numpy().tolist()) for one in cells]


def _regime(report: Report) -> str | None:
    regime = report.regime
    if regime is None:
        return None
    lines = [regime["conclusion"], *regime["advice"], *regime["notes"]]
    label = "Learning curves and the index of the dynamic regime by N"
    return (
        paragraphs(lines)
        + chart("regime-chart", label, "wide chart")
        + Markup('<p class="note" data-interactive hidden>{}</p>\n').format(
            "Right: the median over languages, smoothed. Shaded: the dynamic regime. "
            "Points: each N, green in the regime, orange outside, grey where it is an "
            "outlier."
        )
    )


def _gaps(report: Report) -> str | None:
    lines = remarks(report)
    if report.missing is not None:
        lines = [*lines, *report.missing.sentences]
    return bullets(lines) if lines else None


def _reproduce(report: Report) -> str:
    provenance, command = report.provenance, report.provenance.command
    before = Markup("")
    if not command:
        command = report.build_command
        before = paragraphs(
            ["The results do not say how they were made; the matrix was built by"]
        )
    configuration = Markup("")
    if provenance.configuration:
        configuration = Markup(
            "<details>\n<summary>Configuration of the experiment</summary>\n"
            "<pre>{}</pre>\n</details>\n"
        ).format(provenance.configuration)
    return (
        before
        + Markup('<pre class="command">{}</pre>\n').format(command)
        + table("Versions and input", (), provenance.versions)
        + configuration
    )


def _downloads(report: Report) -> str:
    buttons = Markup("\n").join(
        Markup('<button type="button" data-file="{0}">{0}</button>').format(name)
        for name in _copies(report)
    )
    found = Markup("<p data-interactive hidden>In this file:\n{}</p>\n").format(buttons)
    if report.figures:
        links = Markup(", ").join(
            Markup('<a href="{0}">{0}</a>').format(name) for name in report.figures
        )
        found += Markup("<p>Beside it, for papers: {}.</p>\n").format(links)
    return found


def _copies(report: Report) -> dict[str, str]:
    """Return the files that the page holds, by name."""
    left_out = {"cells.tsv"} if COPY in report.left_out else set()
    return {k: text for k, text in report.files.items() if k not in left_out}


def _drawn(
    id: str,
    title: str,
    html: Callable[[Report], str | None],
    data: Callable[[Report], Any] | None = None,
    **options: Any,
) -> Section:
    """Return a section whose script is the file of its name."""
    script = part(f"{id.replace('-', '_')}.js")
    return Section(id, title, html, data, script, **options)


SECTIONS = [
    Section(
        "the-matrix", "The matrix", _matrix, script=part("matrix.js"), fold="never"
    ),
    Section("in-short", "In short", _in_short, fold="open"),
    _drawn("strategies", "Strategies", strategies_section, strategies_data),
    _drawn("rankings", "Donors and targets", _rankings, _rankings_data),
    Section("pairs", "Clearest pairs", _pairs),
    Section("own-data", "Single, double, self-gain", _own_data),
    Section("numbers", "Summary numbers", _numbers),
    Section("origin", "Where transfer comes from", _origin),
    _drawn("zero-shot", "Zero-shot", _zero_shot),
    _drawn("pools", "Targets without data", pools_section, pools_data, fold="open"),
    Section("confusion", "Confusion of classes", _confusion),
    _drawn("scores", "Errors and scores of trials", scores_section, scores_data),
    _drawn("calibration", "Calibration", calibration_section, calibration_data),
    _drawn(
        "comparison", "Beside the published matrices", _comparison, _comparison_data
    ),
    _drawn("regime", "How large N must be", _regime, lambda report: report.regime),
    Section("corpus", "Data", data_section),
    _drawn("training", "Trainings", training_section, training_data),
    _drawn("layers", "Layers of the encoder", layers_section, layers_data),
    Section("gaps", "What is missing", _gaps),
    Section(
        "methods", "Methods", lambda report: paragraphs(methods_paragraphs(report))
    ),
    Section("reproduce", "To reproduce", _reproduce),
    _drawn("downloads", "Downloads", _downloads, _copies),
]
"""All sections; a list, to which others are added."""
