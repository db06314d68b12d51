"""The section on targets without data."""

from dataclasses import asdict
from typing import Any

from markupsafe import Markup

from espnet2_cltm.files import for_json
from espnet2_cltm.matrix.pool_results import DONOR, PoolResults, PoolScore
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.page.section import bullets, chart, folded, paragraphs, table
from espnet2_cltm.report.pools import (
    BESIDE,
    difference_text,
    few_shot_panels,
    named,
    perf_axis,
    pool_sentences,
    shots_axis,
    way_text,
)

COLUMNS = {
    "no_shots": "to no shots",
    "encoder": "to the encoder alone",
    "single": "to a single run of N",
    "best_donor": "to the best donor",
    "random": "to random donors",
}


def pools_section(report: Report) -> str | None:
    """Lead with what a pool is worth, then compare pools, donors and shots."""
    found = report.pools
    if found is None:
        return None
    unit = found.unit
    drawn = Markup("")
    if any(few_shot_panels(found, report.languages)):
        drawn = chart(
            "pools-chart",
            "Perf by the number of shots; the table holds the numbers",
            "wide chart",
        )
    return (
        bullets(pool_sentences(found, report.languages))
        + _worth_table(report, found)
        + drawn
        + _means(report, found)
        + folded("Every pool and all shots", _all(report, found))
        + paragraphs(
            [
                f"Worth: the N at which single runs of the target reach the score, in "
                f"{unit}, with its {report.level} interval. A pool never hears its "
                "target; recommended donors are predicted without the target's runs, "
                "nearest ones by distances alone, random ones are others in each seed. "
                "The row encoder is training on the shots without a pool. "
                "The best donor, and the best pool of a sentence, are chosen by these "
                "results, which favours them. Differences are paired by seed; their "
                "intervals are not corrected for their number."
            ],
            "note",
        )
    )


def _worth_table(report: Report, found: PoolResults) -> Markup:
    """Show what the best donor and each pool is worth, a line a target."""
    ways: dict[str, dict[str, str]] = {}
    for target in found.targets:
        best = found.best_donor(target)
        cells = ways.setdefault("best single donor", {})
        cells[target] = _worth(best) if best else ""
        if best:
            cells[target] += f" ({named(best.donors, report.languages)})"
        for score in found.of_target(target):
            if score.pool != DONOR and not score.shots:
                ways.setdefault(way_text(score), {})[target] = _worth(score)
    rows = [
        (report.languages[t].name, *(cells.get(t, "") for cells in ways.values()))
        for t in found.targets
    ]
    caption = f"Worth without data of the target, in {found.unit}"
    return table(caption, ("target", *ways), rows)


def _worth(score: PoolScore) -> str:
    return score.equivalent.text if score.equivalent else ""


def _means(report: Report, found: PoolResults) -> Markup:
    """Show the differences of each pool in the mean over targets."""
    means = found.means()
    known = [name for name in COLUMNS if any(name in of for _, of in means)]
    if not means:
        return Markup("")
    rows = [
        (
            way_text(score),
            str(score.shots or ""),
            *(difference_text(of[name]) if name in of else "" for name in known),
        )
        for score, of in means
    ]
    caption = (
        f"Differences in the mean over {len(found.targets)} targets, with "
        f"{report.level} intervals over seeds"
    )
    return table(caption, ("pool", "shots", *(COLUMNS[n] for n in known)), rows)


def _all(report: Report, found: PoolResults) -> Markup:
    languages = report.languages
    shown = [score for score in found.scores if score.pool != DONOR]
    known = [n for n in COLUMNS if any(n in score.differences for score in shown)]
    rows = [
        (
            languages[score.target].name,
            way_text(score),
            named(score.donors, languages) if len(score.donors) < 7 else "",
            str(score.shots or ""),
            difference_text(score.perf).removeprefix("+"),
            _worth(score),
            *(difference_text(score.difference(name)) for name in known),
        )
        for score in shown
    ]
    columns = ("target", "pool", "donors", "shots", "Perf", "worth")
    caption = f"Perf is {report.source.metric_title}; shots in {found.unit}"
    return table(caption, (*columns, *(COLUMNS[name] for name in known)), rows)


def pools_data(report: Report) -> dict[str, Any]:
    """Return the panels to draw, and the ticks of their axis."""
    if report.pools is None:
        return {}
    panels = list(few_shot_panels(report.pools, report.languages))
    return {
        "ticks": {text: at for at, text in shots_axis(panels).items()},
        "unit": report.pools.unit,
        "metric": report.source.metric_title,
        "beside": BESIDE,
        "range": perf_axis(panels) if panels else None,
        "panels": for_json([asdict(panel) for panel in panels]),
    }
