"""The section that compares strategies."""

import math
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from espnet2_cltm.files import for_json
from espnet2_cltm.matrix.strategies import (
    PERF,
    Compared,
    StrategyMeasure,
    strategy_sentences,
)
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.page.section import bullets, chart, paragraphs, table
from espnet2_cltm.report.strategies import COLOURS, strategy_panels


def strategies_section(report: Report) -> str | None:
    """Compare what strategies reach, how languages transfer, and what they cost."""
    found = report.strategies
    if found is None:
        return None
    rows = [
        (
            f"Perf, {measure.title}" if measure.kind == PERF else measure.title,
            *(compared_text(measure, one) for one in found.numbers[measure.name]),
        )
        for measure in found.known
    ]
    links = Markup(", ").join(
        Markup('<a href="{}/report.html">{}</a>').format(quote(name), name)
        for name in found.strategies[1:]
    )
    caption = (
        f"Perf ({report.source.metric_title}) first; in brackets the difference to "
        f"{found.strategies[0]} with its {report.level} interval, paired by seed"
    )
    drawn = Markup("")
    if any(strategy_panels(found)):
        drawn = chart(
            "strategies-chart",
            "Cost against Perf and against transfer; the table holds the numbers",
            "wide chart",
        )
    return (
        bullets(strategy_sentences(found))
        + drawn
        + table(caption, ("", *found.strategies), rows)
        + paragraphs(
            [
                "A mean CLTM may be high because the self-gain is low: read it after "
                "Perf. Means of CLTM and RFD are over each strategy's own identified "
                "targets, their differences over the cells identified in both. Memory "
                "is the process's, with what it holds for all runs."
            ],
            "note",
        )
        + Markup("<p>The others' own reports: {}.</p>\n").format(links)
    )


def compared_text(measure: StrategyMeasure, one: Compared) -> str:
    """Return a value, its difference to the first strategy and that one's interval."""

    def number(value: float, sign: str = "") -> str:
        return f"{value / measure.scale:{sign},.{measure.digits}f}"

    if not math.isfinite(one.value):
        return ""
    if not math.isfinite(one.difference):
        return number(one.value)
    text = f"{number(one.value)} ({number(one.difference, '+')}"
    if math.isfinite(one.low) and one.low < one.high:
        text += f" [{number(one.low)}, {number(one.high)}]"
    return f"{text})"


def strategies_data(report: Report) -> list[dict[str, Any]]:
    """Return the panels to draw."""
    if report.strategies is None:
        return []
    names = report.strategies.strategies
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    return [
        {"colours": colours, **for_json(asdict(panel))}
        for panel in strategy_panels(report.strategies)
    ]
