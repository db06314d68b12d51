"""The matrices of all metrics as JSON, which several of the page's scripts draw.

Arrays of cells are lists of rows [target][donor] in the order of the languages; None
stands for not available, ``"inf"`` and ``"-inf"`` for what they say. Numbers are
rounded to what a reader can use: the files beside the page hold them in full.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from espnet2_cltm.matrix.estimates import PAIR
from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.prediction import MissingPairs
from espnet2_cltm.matrix.scores import SeedScores, zero_shot_means
from espnet2_cltm.matrix.uncertainty import FALSE_DISCOVERY_RATE, Analysis
from espnet2_cltm.report.colours import gain_scale, perf_scale, transfer_scale
from espnet2_cltm.report.contents import Report, grey_targets
from espnet2_cltm.report.page.section import OTHER_METRICS, OTHER_SEEDS, SEEDS
from espnet2_cltm.report.wording import with_minus_signs

PERF_DIGITS = 5
CLTM_DIGITS = 4


def matrix_data(report: Report) -> dict[str, Any]:
    """Collect everything that scripts draw of the matrices."""
    described = [report.languages[code] for code in report.matrix.languages]
    reasons = {"": 0}
    rivals = rivals_shown(report)
    main, *others = report.analyses
    if OTHER_METRICS in report.left_out:
        others = []
    # Strategies are shown in the same colours.
    beside = [main, *rivals.values()]
    with_seeds = SEEDS not in report.left_out
    of_others = OTHER_SEEDS not in report.left_out
    metrics = [metric_data(main, reasons, beside, with_seeds)]
    metrics += [metric_data(one, reasons, (), of_others) for one in others]
    if report.missing is not None:
        metrics[0]["predicted"] = predicted_cells(report.missing)
    elsewhere = zero_shot_square(report.main)[~np.eye(len(described), dtype=bool)]
    return {
        "languages": [
            {"code": one.code, "name": one.name, "family": one.family}
            for one in described
        ],
        "orders": _orders(report, described),
        "metrics": metrics,
        "strategy": main.scores.source.strategy,
        "rivals": [
            {"name": name, "metric": metric_data(one, reasons, beside, of_others)}
            for name, one in rivals.items()
        ],
        "reasons": list(reasons),
        "has_zero_shot": bool(np.isfinite(elsewhere).any()),
        "confidence": report.uncertainty.settings.confidence,
        "false_discovery_rate": FALSE_DISCOVERY_RATE,
    }


def _orders(report: Report, described: list[Language]) -> dict[str, list[int] | None]:
    """Return orders of the languages as positions; None where there is none."""
    codes = list(report.matrix.languages)
    by_name = sorted(described, key=lambda one: (one.name.casefold(), one.code))
    clusters = report.origin.clusters
    return {
        "family": report.display_index,
        "name": [codes.index(one.code) for one in by_name],
        "clusters": (
            [codes.index(code) for code in clusters.order] if clusters.members else None
        ),
    }


def rivals_shown(report: Report) -> dict[str, Analysis]:
    """Return the other strategies with the same languages, by name."""
    codes = report.matrix.languages
    return {k: v for k, v in report.rivals.items() if v.matrix.languages == codes}


def metric_data(
    analysis: Analysis,
    reasons: dict[str, int],
    beside: Sequence[Analysis] = (),
    with_seeds: bool = True,
) -> dict[str, Any]:
    """Collect everything the page shows of one metric.

    Args:
        analysis: Analysis of the metric.
        reasons: Numbers of the sentences that many cells share; new ones are added.
        beside: All analyses that have the colours of this one in common.
        with_seeds: Whether scores are shown seed by seed.
    """
    scores, matrix = analysis.scores, analysis.matrix
    zero_shot = zero_shot_square(analysis)
    perf_pair = matrix.perf[..., PAIR]
    all_of = beside or [analysis]

    def together(values: Callable[[Analysis], np.ndarray]) -> np.ndarray:
        return np.stack([values(one) for one in all_of])

    cltm = together(lambda one: one.matrix.cltm)
    identified = cltm[:, ~np.eye(len(matrix.cltm), dtype=bool)]
    shown = cltm
    if not np.isfinite(identified).any():
        shown = together(lambda one: one.matrix.raw_cltm)
    data = {
        "name": scores.source.metric,
        "label": with_minus_signs(scores.source.metric_title),
        "seeds": None,
        "cltm": _rounded(matrix.raw_cltm, CLTM_DIGITS),
        "identified": (matrix.reason == "").tolist(),
        "reason": [
            [reasons.setdefault(with_minus_signs(text), len(reasons)) for text in row]
            for row in matrix.reason
        ],
        "n_seeds": matrix.n_seeds.tolist(),
        "gain": _rounded(matrix.gains, PERF_DIGITS),
        "relative_gain": _rounded(matrix.relative_gain, PERF_DIGITS),
        "relative_gain_se": _rounded(matrix.relative_gain_se, PERF_DIGITS),
        "perf_pair": _rounded(perf_pair, PERF_DIGITS),
        "perf_pair_se": _rounded(matrix.perf_se[..., PAIR], PERF_DIGITS),
        "zero_shot": _rounded(zero_shot, PERF_DIGITS),
        **_uncertainty(analysis),
        "targets": _targets(analysis),
        "predicted": None,
        "scales": {
            "cltm": transfer_scale(shown).for_page(),
            "gain": gain_scale(together(lambda x: x.matrix.gains)).for_page(),
            "relative_gain": gain_scale(
                together(lambda x: x.matrix.relative_gain)
            ).for_page(),
            "pair": perf_scale(together(lambda x: x.matrix.perf[..., PAIR])).for_page(),
            "zero_shot": perf_scale(together(zero_shot_square)).for_page(),
        },
    }
    if with_seeds and isinstance(scores, SeedScores):
        data |= _seeds(scores)
    return data


def predicted_cells(missing: MissingPairs) -> list:
    """Return (value, low, high) of every cell that was not measured, else None."""
    found = missing.prediction
    cells = _rounded(
        np.stack([found.mean, found.low, found.high], axis=-1), CLTM_DIGITS
    )
    return [
        [cell if is_wanted else None for cell, is_wanted in zip(*row, strict=True)]
        for row in zip(cells, missing.wanted.tolist(), strict=True)
    ]


def _uncertainty(analysis: Analysis) -> dict[str, Any]:
    found = analysis.uncertainty
    data = {
        "fieller_kind": found.fieller.kind.tolist(),
        "fieller_low": _rounded(found.fieller.low, CLTM_DIGITS),
        "fieller_high": _rounded(found.fieller.high, CLTM_DIGITS),
        "gain_low": _rounded(found.gain_low, PERF_DIGITS),
        "gain_high": _rounded(found.gain_high, PERF_DIGITS),
        "q_gain": _significant(found.q_gain),
        "q_one": _significant(found.q_one),
        "bootstrap_low": None,
        "bootstrap_high": None,
    }
    if found.bootstrap is not None:
        data["bootstrap_low"] = _rounded(found.bootstrap.low, CLTM_DIGITS)
        data["bootstrap_high"] = _rounded(found.bootstrap.high, CLTM_DIGITS)
    return data


def _targets(analysis: Analysis) -> list[dict[str, Any]]:
    matrix = analysis.matrix
    gains, errors = (
        _rounded(np.diagonal(values), PERF_DIGITS)
        for values in (matrix.self_gain, matrix.self_gain_se)
    )
    return [
        {
            "self_gain": gain,
            "self_gain_se": error,
            "not_identified": bool(is_grey),
            "reason": with_minus_signs(reason),
        }
        for gain, error, is_grey, reason in zip(
            gains, errors, grey_targets(matrix), matrix.target_reason, strict=True
        )
    ]


def zero_shot_square(analysis: Analysis) -> np.ndarray:
    """Return (n, n) means of single runs, rows tested on, columns trained on."""
    tested, means = zero_shot_means(analysis.scores)
    columns = [tested.index(code) for code in analysis.matrix.languages]
    return means[:, columns].T


def _seeds(scores: SeedScores) -> dict[str, Any]:
    columns = [scores.test_languages.index(code) for code in scores.languages]
    return {
        "seeds": list(scores.seeds),
        "single": _rounded(scores.single, PERF_DIGITS),
        "double": _rounded(scores.double, PERF_DIGITS),
        "pair": _rounded(scores.pair, PERF_DIGITS),
        "zero_shot_seeds": _rounded(
            np.swapaxes(scores.zero_shot[:, columns], 0, 1), PERF_DIGITS
        ),
    }


def _rounded(values: np.ndarray, digits: int) -> list:
    return _listed(values, lambda value: round(value, digits))


def _significant(values: np.ndarray) -> list:
    return _listed(values, lambda value: float(f"{value:.2e}"))


def _listed(values: np.ndarray, shorten: Callable[[float], float]) -> list:
    def convert(value: float | list) -> Any:
        if isinstance(value, list):
            return [convert(item) for item in value]
        if value != value:
            return None
        if value in (np.inf, -np.inf):
            return "inf" if value > 0 else "-inf"
        return shorten(value)

    return [convert(item) for item in np.asarray(values, dtype=float).tolist()]
