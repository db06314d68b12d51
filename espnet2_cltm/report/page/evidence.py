"""Sections of what a reviewer asks for: the data, the trainings, the scores."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from espnet2_cltm.matrix.scores import known_task
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.evidence import (
    SPLITS,
    by_kind,
    equal_error_rate,
    has_curves,
    lowest_rate,
    metric_means,
    miss_rate,
    narrow_line,
    reliability,
)
from espnet2_cltm.report.page.section import chart, folded, paragraphs, table, table_of
from espnet2_cltm.report.verification import TICKS, bin_width, det_limits
from espnet2_cltm.results_format import KINDS

HOUR, MINUTE = 3600, 60
RATES = (0.01, 0.05, 0.1, 0.2)


def data_section(report: Report) -> str | None:
    """List what is trained, validated and tested on, by language."""
    data = report.evidence.data
    if data is None:
        return None
    spec = known_task(report.source.task)
    unit = spec.test_data.suffix[1:] if spec and spec.test_data else "test items"
    in_hours = data["seconds"].max() >= HOUR
    scale, time = (HOUR, "hours") if in_hours else (MINUTE, "minutes")
    of_split = {
        split: data[data["split"] == split].set_index("language") for split in SPLITS
    }

    def of_each(code: str, name: str, form: Callable[[float], str] = _whole) -> str:
        values = (rows[name].get(code, np.nan) for split, rows in of_split.items())
        return " / ".join(form(value) for value in values)

    def row(code: str) -> dict[str, str]:
        narrow, utterances = (
            sum(rows[name].get(code, np.nan) for rows in of_split.values())
            for name in ("narrow", "utterances")
        )
        share = narrow / max(utterances, 1)
        remarks = [rows["remarks"].get(code, "") for rows in of_split.values()]
        return {
            "language": report.languages[code].name,
            "speakers": of_each(code, "speakers"),
            "utterances": of_each(code, "utterances"),
            time: of_each(code, "seconds", lambda x: f"{x / scale:.1f}"),
            "utterances of a double run": _whole(of_split["train"]["items"].get(code)),
            unit: _whole(of_split["test"]["items"].get(code)),
            "narrow band": "not known" if np.isnan(narrow) else f"{share:.0%}",
            "remarks": _remarks(remarks),
        }

    known = set(data["language"])
    codes = [one.code for one in report.display_languages if one.code in known]
    warning = narrow_line(data, report.languages)
    return paragraphs([warning] if warning else []) + table_of(
        "train / dev / test; of train, what is heard in any seed. Narrow band: sampled "
        "below 16 kHz, or nothing above 4 kHz",
        map(row, codes),
    )


def _whole(value: float | None) -> str:
    return "?" if value is None or np.isnan(value) else f"{value:,.0f}"


def _remarks(texts: list[str]) -> str:
    """Add up remarks such as ``clipped: 3; sampled at 8000 Hz: 2`` of all splits."""
    counts: dict[str, int] = {}
    for part in "; ".join(filter(None, texts)).split("; "):
        remark, _, count = part.rpartition(": ")
        if count.isdecimal():
            counts[remark] = counts.get(remark, 0) + int(count)
    return "; ".join(f"{remark}: {count}" for remark, count in sorted(counts.items()))


def training_section(report: Report) -> str | None:
    """Show how losses and validations went, and which epochs were chosen."""
    curves = report.evidence.curves
    if curves is None:
        return None
    loss, steps = by_kind(curves, "train_loss"), by_kind(curves, "steps")
    chosen, valid = by_kind(curves, "chosen"), _validations(curves)
    rows = []
    for kind in {**loss, **chosen}:
        epochs = chosen[kind]["total"] if kind in chosen else pd.Series(dtype=float)
        at = np.repeat(epochs.index.to_numpy(dtype=float), epochs.round().astype(int))
        last = max([*at, *(loss[kind].index if kind in loss else ())])
        n_steps = f"{steps[kind]['mean'].iloc[-1]:,.0f}" if kind in steps else ""
        courses = {"loss": loss.get(kind)}
        courses |= {name: of_kinds.get(kind) for name, of_kinds in valid.items()}
        median = f"{np.median(at):g} ({at.min():g} to {at.max():g})" if len(at) else ""
        rows.append(
            {
                "runs of": kind,
                "tests": f"{len(at):,}",
                "epochs": f"{last:.0f}",
                "optimiser steps": n_steps,
                **{f"{x}, first to last epoch": _course(y) for x, y in courses.items()},
                "chosen epoch, median (range)": median,
                "chose the last": f"{(at == last).mean():.0%}" if len(at) else "",
            }
        )
    lines = [
        "Means over seeds, donors and languages; shaded, from the lowest to the "
        "highest language."
    ]
    if not valid:
        lines.append("No epoch was chosen by validation: every run takes its last one.")
    return (
        paragraphs(lines)
        + chart("training-chart", "Loss and validation by epoch", "wide chart")
        + table_of("Trainings", rows)
    )


def _validations(curves: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    names = sorted({m for m in curves["measure"] if m.startswith("valid_")})
    titles = {m: m.removeprefix("valid_").replace("eer", "EER") for m in names}
    return {f"validation {titles[m]}": by_kind(curves, m) for m in names}


def _course(curve: pd.DataFrame | None) -> str:
    if curve is None:
        return ""
    return f"{curve['mean'].iloc[0]:.3f} to {curve['mean'].iloc[-1]:.3f}"


def training_data(report: Report) -> list[dict[str, Any]]:
    """Return the curves to draw, a panel each."""
    curves = report.evidence.curves
    if curves is None:
        return []
    panels = {"training loss": by_kind(curves, "train_loss"), **_validations(curves)}
    steps = by_kind(curves, "steps")
    return [
        {
            "title": title,
            "kinds": {
                kind: {
                    "at": curve.index.tolist(),
                    "steps": steps[kind]["mean"].reindex(curve.index).fillna(0).tolist()
                    if kind in steps
                    else [],
                    **{n: curve[n].round(4).tolist() for n in ("mean", "low", "high")},
                }
                for kind, curve in of_kinds.items()
            },
        }
        for title, of_kinds in panels.items()
        if of_kinds
    ]


def scores_section(report: Report) -> str | None:
    """Show ROC, DET and the scores of a verification."""
    scores = report.evidence.scores
    if scores is None or not has_curves(scores):
        return None
    trials = {name: by_kind(scores, name) for name in ("target", "nontarget")}
    rows = [
        {
            "runs of": kind,
            **{
                f"{x} trials": f"{y[kind]['total'].sum():,.0f}"
                for x, y in trials.items()
            },
            **{f"at {rate:.0%}": f"{miss_rate(curve, rate):.3f}" for rate in RATES},
            "EER of the curve": f"{equal_error_rate(curve):.3f}",
        }
        for kind, curve in by_kind(scores, "p_miss").items()
    ]
    return (
        paragraphs(
            [
                "Tests on languages that a run is trained on. Curves are means of the "
                "runs' curves over seeds, donors and languages. Histograms hold the "
                "scores of all trials: grey nontarget, in colour target."
            ]
        )
        + chart("scores-chart", "ROC, DET and histograms of scores", "wide chart")
        + folded("As a table", table_of("Miss rate at false alarm rates", rows))
    )


def scores_data(report: Report) -> dict[str, Any]:
    """Return what the charts of scores draw."""
    scores = report.evidence.scores
    if scores is None or not has_curves(scores):
        return {}
    limits = det_limits(lowest_rate(scores))
    kinds: dict[str, Any] = {}
    for kind, curve in by_kind(scores, "p_miss").items():
        p_fa, p_miss = curve.index.to_numpy(dtype=float), curve["mean"].to_numpy()
        inside = (p_fa > 0) & (p_fa < 1) & (p_miss > 0) & (p_miss < 1)
        kinds[kind] = {
            "p_fa": p_fa.tolist(),
            "p_miss": p_miss.round(5).tolist(),
            "det": ndtri(np.stack([p_fa, p_miss])[:, inside]).round(4).tolist(),
        }
    for name in ("target", "nontarget"):
        for kind, found in by_kind(scores, name).items():
            edges = found.index.to_numpy(dtype=float)
            width = bin_width(edges)
            share = found["total"] / found["total"].sum()
            kinds[kind][name] = {
                "at": (edges + width / 2).round(4).tolist(),
                "share": share.round(5).tolist(),
                "width": round(width, 4),
            }
    ticks = [tick for tick in TICKS if limits[0] <= tick <= limits[1]]
    return {
        "kinds": kinds,
        "limits": ndtri(limits).round(4).tolist(),
        "ticks": [ndtri(ticks).round(4).tolist(), [f"{tick:.3g}" for tick in ticks]],
    }


def calibration_section(report: Report) -> str | None:
    """Show how far outputs can be trusted, by language."""
    spec, scores = known_task(report.source.task), report.evidence.scores
    if spec is None or scores is None:
        return None
    means = {
        metric: by_language
        for metric in spec.metrics
        if metric.of_calibration
        and len(by_language := metric_means(scores, metric.name))
    }
    if not means:
        return None

    kinds = [kind for kind in KINDS if any(kind in of.columns for of in means.values())]

    def row(name: str, code: str | None = None) -> tuple[str, ...]:
        cells = []
        for of in means.values():
            found = of.mean() if code is None else of.reindex([code]).iloc[0]
            values = (found.get(kind, np.nan) for kind in kinds)
            cells.append("\u00a0/\u00a0".join(map(_thousandths, values)))
        return name, *cells

    known = {code for of in means.values() for code in of.index}
    rows = [row("mean of languages")]
    rows += [
        row(one.name, one.code) for one in report.display_languages if one.code in known
    ]
    names = [metric.title.removeprefix("1 - ") for metric in means]
    diagrams = reliability(scores)
    shown = chart("calibration-chart", "Reliability diagrams", "wide chart")
    lines = [
        "Tests on languages that a run is trained on, means over seeds and donors. "
        "Lower is better, 0 is best."
    ]
    lines += [_ABOUT_RELIABILITY] if diagrams else []
    lines += [_ABOUT_RATIOS] if "min Cllr" in names else []
    return (
        paragraphs(lines)
        + (shown if diagrams else "")
        + table(" / ".join(kinds), ("tested on", *names), rows)
    )


_ABOUT_RELIABILITY = (
    "Reliability diagram: how often the most probable class is right, by its "
    "probability; points have the area of their share of utterances. Below the "
    "diagonal a model is surer than it should be. After the temperature: fitted on dev "
    "utterances of the languages that a run is trained on."
)


_ABOUT_RATIOS = (
    "Cllr, in bits: min Cllr is what the best calibration of test scores leaves, and "
    "what a Cllr has above it is lost by the calibration on dev; above 1 it is worse "
    "than knowing nothing. Single and double runs have no donor."
)


def _thousandths(value: float) -> str:
    return "?" if np.isnan(value) else f"{value:.3f}"


def calibration_data(report: Report) -> list[dict[str, Any]]:
    """Return the reliability diagrams, before and after the temperature."""
    scores = report.evidence.scores
    if scores is None:
        return []
    return [
        {
            "title": title,
            "kinds": {
                kind: {name: of[name].round(4).tolist() for name in of.columns}
                for kind, of in diagram.items()
            },
        }
        for title, diagram in reliability(scores).items()
    ]
