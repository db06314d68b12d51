"""Which donors help a target most: measured and predicted cells in one ranking.

Takes results, a directory of stage 6 or a matrix alone, and predictions of the cells
that are missing, and ranks the donors of one target. How sure the ranks are is found by
simulation: every donor's value is drawn 10,000 times, a measured one from its estimate
and standard error by Student's t, as few seeds tell little of their noise, a predicted
one from the model's draws.

Within one target the single and the double runs are the same for all donors. So the
errors that count for the order are those of the pair runs only, and a target that is
not identified, or whose double runs are missing, still has an order: by
Perf(i+j) - Perf(i).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from espnet2_cltm.matrix.comparison import read_compared
from espnet2_cltm.matrix.estimates import PAIR, cell_moments, estimate
from espnet2_cltm.matrix.matrix_files import read_cells
from espnet2_cltm.matrix.prediction import TAILS, Prediction
from espnet2_cltm.matrix.results import Choice, read_scores
from espnet2_cltm.matrix.uncertainty import (
    BOUNDED,
    LEVEL,
    cell_fieller_sets,
    gain_intervals,
    gain_tests,
    verdicts,
)

SIMULATIONS = 10_000
CLTM, GAIN, ATDS = "cltm", "cross_gain", "atds"
# Columns of cells.tsv by what they become.
READ_COLUMNS = {
    "cltm_se": "cltm_se",
    "gain": "cross_gain",
    "gain_low": "gain_low",
    "gain_high": "gain_high",
    "n_seeds": "n_seeds",
    "pair_se": "pair_se",
    "self_gain": "self_gain",
}


@dataclass(frozen=True)
class MeasuredCells:
    """Cells of a matrix; arrays are (n, n), NaN where not known.

    Attributes:
        languages: The n languages, rows (targets) and columns (donors).
        cltm: Cells that are identified.
        cltm_se: Their standard errors.
        cltm_low: Lower ends of their intervals; may be -inf.
        cltm_high: Upper ends; may be inf.
        gain: Perf(i+j) - Perf(i), also where a target is not identified.
        gain_low: Lower ends of its intervals.
        gain_high: Upper ends.
        n_seeds: Seeds that a cell rests on; 0 where not known.
        pair_se: Standard errors of Perf(i+j).
        self_gain: Perf(i+i) - Perf(i).
        verdict: (n, n) text, what the donor does to the target after correction over
            the matrix: helps, harms or unclear; empty where not tested.
        reasons: Reasons, by language, why it is not identified as a target, or has no
            self-gain.
    """

    languages: tuple[str, ...]
    cltm: np.ndarray
    cltm_se: np.ndarray
    cltm_low: np.ndarray
    cltm_high: np.ndarray
    gain: np.ndarray
    gain_low: np.ndarray
    gain_high: np.ndarray
    n_seeds: np.ndarray
    pair_se: np.ndarray
    self_gain: np.ndarray
    verdict: np.ndarray
    reasons: dict[str, str]

    def has_self_gain(self, target: str) -> bool:
        """Return whether the target's single and double runs were measured."""
        row = self.languages.index(target)
        return bool(np.isfinite(self.self_gain[row, row]))

    def lacks_scale(self, target: str) -> bool:
        """Return whether pair runs tell donors' gains, but not what these are worth.

        The self-gain is not clearly positive, or was not measured. A target without
        self-gain and pair runs is not meant: it is one of which nothing is known.
        """
        if target not in self.reasons:
            return False
        row = self.languages.index(target)
        has_gain = np.isfinite(np.delete(self.gain[row], row)).any()
        return self.has_self_gain(target) or bool(has_gain)


@dataclass(frozen=True)
class RankedDonor:
    """One donor of a target.

    Attributes:
        donor: Language.
        rank: 1 for the best; donors of the same value share the smallest rank.
        tied: Whether another donor has the same value.
        measured: Whether the value was measured; else it was predicted.
        estimate: Value donors are ranked by.
        low: Lower end of its interval at 95%; None without one, may be -inf.
        high: Upper end.
        gain: Perf(i+j) - Perf(i); None where not measured.
        verdict: Whether it helps or harms after correction over the matrix, or is
            unclear; empty where not tested.
        among_best: Probability of being among the best k; None where measured
            cells lack standard errors. Where all lack them and others are predicted,
            the measured ones count as exact.
        rank_low: Lower end of the 95% interval of the rank; None as above.
        rank_high: Upper end.
        like_best: Whether it can't be told from the best: the 95% interval of the
            difference holds 0. None as above.
    """

    donor: str
    rank: int
    tied: bool
    measured: bool
    estimate: float
    low: float | None
    high: float | None
    gain: float | None
    verdict: str
    among_best: float | None
    rank_low: int | None
    rank_high: int | None
    like_best: bool | None


@dataclass(frozen=True)
class DonorRanking:
    """The donors of one target, best first.

    Attributes:
        target: The language.
        quantity: Quantity they are ranked by: :data:`CLTM`, :data:`GAIN`, or
            :data:`ATDS`, how alike recordings are.
        k: Number of donors looked for.
        donors: All donors that have a value.
        not_identified: Why the target is not identified, though it has a self-gain;
            empty otherwise.
        no_self_gain: Why the target has no self-gain; empty where it has.
        without_value: Languages that have neither a measurement nor a prediction.
        n_one_seed: Number of measured donors that rest on one seed, which has no
            standard error.
        measured_exact: Whether measured cells lack standard errors and count as exact.
    """

    target: str
    quantity: str
    k: int
    donors: tuple[RankedDonor, ...]
    not_identified: str = ""
    no_self_gain: str = ""
    without_value: tuple[str, ...] = ()
    n_one_seed: int = 0
    measured_exact: bool = False

    @property
    def n_predicted(self) -> int:
        """Number of values that are predictions."""
        return sum(not donor.measured for donor in self.donors)

    @property
    def best(self) -> tuple[RankedDonor, ...]:
        """The best k, and those tied with the last of them."""
        return tuple(donor for donor in self.donors if donor.rank <= self.k)


def rank_donors(
    cells: MeasuredCells,
    target: str,
    k: int,
    prediction: Prediction | None = None,
    seed: int = 0,
) -> DonorRanking:
    """Rank the donors of a target.

    Args:
        cells: Measured cells.
        target: One of their languages.
        k: Number of donors looked for.
        prediction: Prediction of the cells of ``cells.cltm``; None leaves missing ones
            out.
        seed: Seed of the simulation.
    """
    row = cells.languages.index(target)
    reason = cells.reasons.get(target, "")
    if cells.lacks_scale(target):
        quantity, values = GAIN, cells.gain[row].copy()
        low, high = cells.gain_low[row].copy(), cells.gain_high[row].copy()
        rank_errors = cells.pair_se[row].copy()
        prediction = None  # the model knows the scale of identified targets only
    else:
        quantity, values = CLTM, cells.cltm[row].copy()
        low, high = cells.cltm_low[row].copy(), cells.cltm_high[row].copy()
        rank_errors = _order_errors(cells, row)
    values[row] = np.nan
    measured = np.isfinite(values)
    if prediction is not None:
        values = np.where(measured, values, prediction.mean[row])
        low = np.where(measured, low, prediction.low[row])
        high = np.where(measured, high, prediction.high[row])
    ranked = np.flatnonzero(np.isfinite(values))
    order = ranked[np.argsort(-values[ranked], kind="stable")]
    df = np.maximum(cells.n_seeds[row] - 1, 1)
    simulated = _simulate(
        values, rank_errors, df, measured, order, prediction, row, seed
    )
    known = pd.DataFrame(
        {
            "donor": cells.languages,
            "measured": measured,
            "estimate": values,
            "low": low,
            "high": high,
            "gain": cells.gain[row],
            "verdict": cells.verdict[row],
        }
    )
    return DonorRanking(
        target=target,
        quantity=quantity,
        k=k,
        donors=_ranked(known.iloc[order], simulated, k),
        not_identified=reason if cells.has_self_gain(target) else "",
        no_self_gain="" if cells.has_self_gain(target) else reason,
        without_value=tuple(
            code
            for column, code in enumerate(cells.languages)
            if column != row and not np.isfinite(values[column])
        ),
        n_one_seed=int((cells.n_seeds[row][measured] == 1).sum()),
        measured_exact=simulated is not None
        and measured.any()
        and not np.isfinite(rank_errors[measured]).any(),
    )


def rank_alike(
    target: str,
    donors: Sequence[str],
    similarity: np.ndarray,
    drawn: np.ndarray,
    k: int,
) -> DonorRanking:
    """Rank donors by how alike their recordings are to those of a target.

    Args:
        target: The language, of which nothing was measured.
        donors: The n donors.
        similarity: (n,) similarities.
        drawn: (draws, n), what they may be.
        k: Number of donors looked for.
    """
    order = np.argsort(-similarity, kind="stable")
    low, high = np.quantile(drawn, TAILS, axis=0)
    known = pd.DataFrame(
        {"donor": donors, "estimate": similarity, "low": low, "high": high}
    ).assign(measured=True, gain=np.nan, verdict="")
    found = _ranked(known.iloc[order], drawn[:, order], k)
    return DonorRanking(target, ATDS, k, found)


def _ranked(
    known: pd.DataFrame, simulated: np.ndarray | None, k: int
) -> tuple[RankedDonor, ...]:
    """Add ranks to what is known of donors, the best first."""
    ranks = rankdata(-known["estimate"], method="min").astype(int)
    told = known.astype(object).replace({np.nan: None})
    rows: list[Any] = told.to_dict("records")
    certainty = _certainty(simulated, k, len(rows))
    return tuple(
        RankedDonor(rank=int(rank), tied=bool((ranks == rank).sum() > 1), **row, **sure)
        for rank, row, sure in zip(ranks, rows, certainty, strict=True)
    )


def _order_errors(cells: MeasuredCells, row: int) -> np.ndarray:
    """Return errors that matter for the order; those of the cells where not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = cells.pair_se[row] / np.abs(cells.self_gain[row])
    return np.where(np.isfinite(errors), errors, cells.cltm_se[row])


def _simulate(
    values: np.ndarray,
    errors: np.ndarray,
    df: np.ndarray,
    measured: np.ndarray,
    order: np.ndarray,
    prediction: Prediction | None,
    row: int,
    seed: int,
) -> np.ndarray | None:
    """Draw every donor's value: (simulations, donors), in the order of ``order``."""
    known = np.isfinite(errors[order][measured[order]])
    if len(order) < 2 or (known.any() and not known.all()):
        return None
    if not known.any():
        if measured[order].all():
            return None
        errors = np.zeros_like(errors)  # what is measured counts as exact
    generator = np.random.default_rng(seed)
    noise = generator.standard_t(df[order], (SIMULATIONS, len(order)))
    drawn = values[order] + np.where(measured[order], errors[order], 0.0) * noise
    predicted = ~measured[order]
    if predicted.any() and prediction is not None:
        # Whole draws of the matrix, so that what predictions share stays shared.
        which = generator.integers(len(prediction.draws), size=SIMULATIONS)
        drawn[:, predicted] = prediction.draws[:, row, order[predicted]][which]
    return drawn


def _certainty(simulated: np.ndarray | None, k: int, count: int) -> list[dict]:
    if simulated is None:
        names = ("among_best", "rank_low", "rank_high", "like_best")
        return [dict.fromkeys(names) for _ in range(count)]
    ranks = rankdata(-simulated, method="min", axis=1).astype(int)
    limits = np.quantile(ranks, TAILS, axis=0, method="inverted_cdf")
    behind = np.quantile(simulated[:, :1] - simulated, TAILS[0], axis=0)
    return [
        {
            "among_best": float((ranks[:, place] <= k).mean()),
            "rank_low": int(limits[0, place]),
            "rank_high": int(limits[1, place]),
            "like_best": bool(behind[place] <= 0),
        }
        for place in range(simulated.shape[1])
    ]


def cells_from_results(path: Path, choice: Choice) -> MeasuredCells:
    """Estimate cells from results, as stage 6 does.

    Raises:
        UserError: The file can't be read, or holds no such results.
    """
    scores = read_scores(path, choice)
    moments = cell_moments(scores)
    matrix = estimate(moments)
    sets = cell_fieller_sets(moments, LEVEL)
    bounded = sets.kind == BOUNDED
    gain_low, gain_high = gain_intervals(moments, LEVEL)
    return MeasuredCells(
        languages=matrix.languages,
        cltm=matrix.cltm,
        cltm_se=matrix.raw_cltm_se,
        cltm_low=np.where(bounded, sets.low, np.nan),
        cltm_high=np.where(bounded, sets.high, np.nan),
        gain=matrix.cross_gain,
        gain_low=gain_low,
        gain_high=gain_high,
        n_seeds=matrix.n_seeds.astype(float),
        pair_se=matrix.perf_se[..., PAIR],
        self_gain=matrix.self_gain,
        verdict=verdicts(matrix.gains, gain_tests(moments)[1]),
        reasons=_reasons(matrix.languages, matrix.target_reason),
    )


def cells_from_matrix(name: str) -> MeasuredCells:
    """Read a directory of stage 6, a ``cltm.csv`` or a published matrix.

    Raises:
        UserError: It is none of these, or can't be read.
    """
    compared = read_compared(name)
    labels = compared.matrix
    languages = tuple(dict.fromkeys((*labels.rows, *labels.columns)))
    unknown: np.ndarray = np.full((len(languages),) * 2, np.nan)
    found = {key: unknown.copy() for key in READ_COLUMNS}
    verdict: np.ndarray = np.full((len(languages),) * 2, "", dtype=object)
    reasons: dict[str, str] = {}
    path = Path(name) / "cells.tsv"
    if path.exists():
        columns = list(READ_COLUMNS.values())
        cells = read_cells(path, languages, languages, columns, ["reason", "verdict"])
        verdict = cells["verdict"]
        found = {key: cells[column] for key, column in READ_COLUMNS.items()}
        # The diagonal tells why a target has no self-gain, or why that is too small.
        reasons = _reasons(languages, np.diagonal(cells["reason"]))
    found["n_seeds"] = np.nan_to_num(found["n_seeds"], nan=0.0)
    return MeasuredCells(
        languages=languages,
        cltm=labels.square(languages),
        cltm_low=replace(labels, values=compared.low).square(languages),
        cltm_high=replace(labels, values=compared.high).square(languages),
        verdict=verdict,
        reasons=reasons,
        **found,
    )


def _reasons(languages: Sequence[str], reasons: np.ndarray) -> dict[str, str]:
    return {
        code: reason.removeprefix("target not identified: ")
        for code, reason in zip(languages, reasons, strict=True)
        if reason
    }


def with_language(cells: MeasuredCells, code: str) -> MeasuredCells:
    """Add a language of which nothing was measured."""
    if code in cells.languages:
        return cells
    nothing: dict[str, Any] = {"n_seeds": 0, "verdict": ""}
    wider: dict[str, Any] = {
        key: np.pad(values, (0, 1), constant_values=nothing.get(key, np.nan))
        for key, values in vars(cells).items()
        if isinstance(values, np.ndarray)
    }
    return replace(cells, languages=(*cells.languages, code), **wider)
