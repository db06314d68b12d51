"""A metric's matrices as JSON, for the page's scripts.

Arrays of cells are lists of rows [target][donor] in the order of the languages; None
stands for not available, ``"inf"`` and ``"-inf"`` for what they say. Numbers are
rounded to what a reader can use: the files beside the page hold them in full.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from espnet2_cltm.matrix.estimates import PAIR
from espnet2_cltm.matrix.prediction import MissingPairs
from espnet2_cltm.matrix.scores import SeedScores, zero_shot_means
from espnet2_cltm.matrix.uncertainty import Analysis
from espnet2_cltm.report.page.scales import gain_scale, perf_scale, transfer_scale
from espnet2_cltm.report.page.signs import with_minus_signs
from espnet2_cltm.report.summary import grey_targets

PERF_DIGITS = 5
CLTM_DIGITS = 4


class ReasonTable:
    """Numbers the sentences that many cells share.

    Attributes:
        sentences: All sentences so far, the empty one first.
    """

    def __init__(self) -> None:
        self.sentences = [""]
        self._numbers = {"": 0}

    def number(self, sentence: str) -> int:
        """Give a sentence its number."""
        if sentence not in self._numbers:
            self._numbers[sentence] = len(self.sentences)
            self.sentences.append(sentence)
        return self._numbers[sentence]


def metric_data(analysis: Analysis, reasons: ReasonTable) -> dict[str, Any]:
    """Collect everything the page shows of one metric."""
    scores, matrix = analysis.scores, analysis.matrix
    metric = scores.source.metric
    zero_shot = _zero_shot_means(analysis)
    perf_pair = matrix.perf[..., PAIR]
    data = {
        "name": metric,
        "label": with_minus_signs(scores.source.metric_title),
        "seeds": None,
        "cltm": _rounded(matrix.raw_cltm, CLTM_DIGITS),
        "identified": (matrix.reason == "").tolist(),
        "reason": [
            [reasons.number(with_minus_signs(text)) for text in row]
            for row in matrix.reason
        ],
        "n_seeds": matrix.n_seeds.tolist(),
        "relative_gain": _rounded(matrix.relative_gain, PERF_DIGITS),
        "relative_gain_se": _rounded(matrix.relative_gain_se, PERF_DIGITS),
        "perf_pair": _rounded(perf_pair, PERF_DIGITS),
        "perf_pair_se": _rounded(matrix.perf_se[..., PAIR], PERF_DIGITS),
        "zero_shot": _rounded(zero_shot, PERF_DIGITS),
        **_uncertainty(analysis),
        "targets": _targets(analysis),
        "predicted": None,
        "scales": {
            "cltm": transfer_scale(matrix.cltm, matrix.raw_cltm),
            "relative_gain": gain_scale(matrix.relative_gain),
            "pair": perf_scale(perf_pair),
            "zero_shot": perf_scale(zero_shot),
        },
    }
    if isinstance(scores, SeedScores):
        data |= _seeds(scores)
    return data


def predicted_cells(missing: MissingPairs) -> list:
    """Give (value, low, high) of every cell that was not measured, else None."""
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
        "q_zero": _significant(found.q_zero),
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


def _zero_shot_means(analysis: Analysis) -> np.ndarray:
    """(n, n) means, rows tested on, columns trained on."""
    tested, means = zero_shot_means(analysis.scores)
    return means[:, _positions(analysis, tested)].T


def _positions(analysis: Analysis, tested: tuple[str, ...]) -> list[int]:
    return [tested.index(code) for code in analysis.matrix.languages]


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
