"""A donor ranking as text, as a table and as JSON."""

from collections import Counter
from dataclasses import asdict

from espnet2_cltm import __version__
from espnet2_cltm.counting import counted
from espnet2_cltm.matrix.prediction import BY_LANGUAGE, Prediction, PredictionError
from espnet2_cltm.matrix.recommendation import (
    ATDS,
    CLTM,
    GAIN,
    DonorRanking,
    RankedDonor,
)
from espnet2_cltm.matrix.uncertainty import LEVEL

COLUMNS = (
    *("rank", "tied", "donor", "source", "estimate", "low", "high", "gain", "verdict"),
    *("among_best", "rank_low", "rank_high", "like_best"),
)


# What donors are ranked by: in a sentence, and above the column.
QUANTITIES = {
    CLTM: ("CLTM", "CLTM"),
    GAIN: ("Perf(i+j) - Perf(i)", "gain"),
    ATDS: ("similarity of acoustic tokens", "alike"),
}


def recommendation_text(
    source: str,
    ranking: DonorRanking,
    prediction: Prediction | None,
    error: PredictionError | None,
    based_on: str = "",
) -> str:
    """Write the best k donors for the terminal.

    Args:
        source: Where the cells come from.
        ranking: The donors.
        prediction: Prediction that those without a measurement rest on.
        error: Its error.
        based_on: Sentence about recordings that the ranking rests on; may be empty.
    """
    shown = ranking.best
    measured = len(ranking.donors) - ranking.n_predicted
    by, column = QUANTITIES[ranking.quantity]
    of_what = f": {measured} measured, {ranking.n_predicted} predicted"
    lines = [
        f"Donors for target {ranking.target} by {by}, from {source}",
        f"{counted(len(ranking.donors), 'donor')}"
        f"{of_what * (ranking.quantity != ATDS)}; the best {len(shown)}:",
        "",
    ]
    if ranking.not_identified:
        lines[2:2] = [
            f"Target {ranking.target} is not identified: {ranking.not_identified}.",
            "More of its own data did not clearly help, so what a donor is worth in "
            "utterances of the target is unknown: donors are ranked by their gain.",
        ]
    if ranking.no_self_gain:
        lines[2:2] = [
            f"Target {ranking.target} has no self-gain: {ranking.no_self_gain}."
        ]
        if ranking.quantity == GAIN:
            lines[3:3] = [
                "Without both its single and double runs, what a donor is worth in "
                "utterances of the target is unknown: donors are ranked by their gain."
            ]
    width = max(len("donor"), *(len(donor.donor) for donor in shown))
    lines.append(
        f"  rank  {'donor':<{width}}  {column:>7}  "
        f"{f'{LEVEL:.0%} interval':<18}  {'':<9}  {'effect':<8}"
        f"{'in best ' + str(ranking.k):>10}  "
        f"rank, {LEVEL:.0%}"
    )
    lines += [_line(donor, width, _source(donor, ranking)) for donor in shown]
    if any(donor.like_best for donor in shown):
        lines.append(
            "  * not distinguishable from the best (95% interval of the difference)"
        )
    lines += ["", *filter(None, [based_on]), *_remarks(ranking, prediction, error)]
    return "\n".join(lines).rstrip()


def _line(donor: RankedDonor, width: int, source: str) -> str:
    interval = "not known"
    if donor.low is not None and donor.high is not None:
        interval = f"[{donor.low:.3f}, {donor.high:.3f}]"
    best, rank = "not known", "not known"
    if donor.among_best is not None:
        best, rank = f"{donor.among_best:.0%}", f"{donor.rank_low} to {donor.rank_high}"
    mark = "*" if donor.like_best else " "
    place = f"{donor.rank}=" if donor.tied else donor.rank
    return (
        f"{mark} {place:>4}  {donor.donor:<{width}}  {donor.estimate:>7.3f}  "
        f"{interval:<18}  {source:<9}  {donor.verdict or '-':<8}"
        f"{best:>10}  {rank}"
    )


def _source(donor: RankedDonor, ranking: DonorRanking) -> str:
    if ranking.quantity == ATDS:
        return "heard"
    return "measured" if donor.measured else "predicted"


def _remarks(
    ranking: DonorRanking, prediction: Prediction | None, error: PredictionError | None
) -> list[str]:
    remarks = []
    if ranking.donors[0].among_best is None:
        remarks.append(
            f"The uncertainty of the ranks is not known: {_why_no_errors(ranking)}."
            if len(ranking.donors) > 1
            else "There is only one donor."
        )
    else:
        alike = sum(bool(donor.like_best) for donor in ranking.donors)
        remarks.append(
            f"{alike} of {len(ranking.donors)} donors are not distinguishable "
            "from the best, which is one of them."
            if alike > 1
            else "Every other donor is distinguishable from the best."
        )
    if any(donor.verdict for donor in ranking.best):
        remarks.append(
            "Effect: whether N utterances of the donor help or harm, after correction "
            "over the matrix."
        )
    ties = Counter(donor.rank for donor in ranking.best if donor.tied)
    if ties:
        ranks = ", ".join(f"{count} at {rank}=" for rank, count in ties.items())
        remarks.append(
            f"Donors of the same value share a rank ({ranks}); their order within it "
            "means nothing."
        )
    if ranking.measured_exact:
        remarks.append(f"Measured cells count as exact: {_why_no_errors(ranking)}.")
    if ranking.n_predicted and prediction is not None:
        remarks.append(
            f"Predictions rest on {prediction.n_cells:,} measured cells; "
            f"{_error(error)}"
        )
        if ranking.n_predicted == len(ranking.donors):
            remarks.append(
                f"No cell of {ranking.target} was measured: a few pair runs with the "
                "first donors would tell more than any prediction."
            )
    if ranking.without_value:
        remarks.append(
            f"Neither measured nor predicted: {' '.join(ranking.without_value)}."
        )
    return remarks


def _why_no_errors(ranking: DonorRanking) -> str:
    if not ranking.n_one_seed:
        return (
            "the matrix comes without standard errors; give results.tsv or the "
            "directory that stage 6 wrote"
        )
    measured = len(ranking.donors) - ranking.n_predicted
    return (
        f"{ranking.n_one_seed} of {measured} measured donors rest on one seed, which "
        "gives no standard error; run more seeds"
    )


def _error(error: PredictionError | None) -> str:
    if error is None:
        return "these are too few to find their error by cross-validation."
    r = "not defined" if error.pearson is None else f"{error.pearson:.2f}"
    what = f"pairs left out in {error.folds} parts"
    if error.left_out == BY_LANGUAGE:
        what = f"targets, all their runs left out in {error.folds} parts,"
    return (
        f"measured {what} are predicted with RMSE "
        f"{error.rmse:.3f}, Pearson r {r}, and {error.coverage:.0%} of them lie in "
        f"their {LEVEL:.0%} interval."
    )


def recommendation_table(ranking: DonorRanking) -> str:
    """Write all donors as tab-separated lines; empty where not known."""
    lines = ["\t".join(COLUMNS)]
    for donor in ranking.donors:
        fields = {**asdict(donor), "source": _source(donor, ranking)}
        lines.append("\t".join(_field(fields[name]) for name in COLUMNS))
    return "\n".join(lines)


def _field(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value) if isinstance(value, float) else str(value)


def summarise_recommendation(
    source: str,
    ranking: DonorRanking,
    prediction: Prediction | None,
    error: PredictionError | None,
    based_on: str = "",
) -> dict:
    """Collect what the JSON form holds; None stands for not known."""
    return {
        "version": __version__,
        "source": source,
        "target": ranking.target,
        "quantity": ranking.quantity,
        "not_identified": ranking.not_identified or None,
        "no_self_gain": ranking.no_self_gain or None,
        "k": ranking.k,
        "level": LEVEL,
        "based_on": based_on or None,
        "donors": [asdict(donor) for donor in ranking.donors],
        "without_value": list(ranking.without_value),
        "predictions_rest_on_cells": prediction.n_cells if prediction else None,
        "cross_validation": asdict(error) if error else None,
    }
