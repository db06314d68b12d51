"""What the tests of a matrix tell, as counts and as sentences: three questions.

Does a donor help at all (cross-gain against 0, every measured cell)? Does more of a
target's own data help (self-gain against 0, every target)? What is a donor's utterance
worth (the ratio, where a target is identified)? Each has its own q-values; nothing is
said to help, harm or differ whose q is not below the false discovery rate.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.calling import command_call
from espnet2_cltm.counting import agreeing, counted, joined
from espnet2_cltm.files import finite
from espnet2_cltm.language_codes import is_donor_only, language_of
from espnet2_cltm.matrix.alone import NO_SCORES
from espnet2_cltm.matrix.estimates import SINGLE, TransferMatrix
from espnet2_cltm.matrix.scores import single_and_double
from espnet2_cltm.matrix.uncertainty import (
    BOUNDED,
    FALSE_DISCOVERY_RATE,
    HARMS,
    HELPS,
    CellUncertainty,
    verdicts,
)
from espnet2_cltm.report.contents import Report, possible_targets
from espnet2_cltm.report.wording import format_limit, format_value
from espnet2_cltm.results_format import FULL

CORRECTED = "after correction over the matrix"
MOST_NAMED = 6  # languages in a sentence
MOST_LISTED = 10  # of the clearest pairs


def cell_verdicts(matrix: TransferMatrix, uncertainty: CellUncertainty) -> np.ndarray:
    """Return (n, n) what each donor does to each target; empty on the diagonal."""
    found = verdicts(matrix.gains, uncertainty.q_gain)
    np.fill_diagonal(found, "")
    return found


def target_verdicts(matrix: TransferMatrix, uncertainty: CellUncertainty) -> np.ndarray:
    """Return (n,) what more of its own data does to each target."""
    return np.diagonal(verdicts(matrix.gains, uncertainty.q_gain))


def count_findings(
    matrix: TransferMatrix, uncertainty: CellUncertainty
) -> dict[str, int]:
    """Count cells and targets by what their q-values and sets tell."""
    cells = cell_verdicts(matrix, uncertainty)
    targets = target_verdicts(matrix, uncertainty)
    cltm, kind = matrix.cltm, uncertainty.fieller.kind
    not_one = uncertainty.q_one < FALSE_DISCOVERY_RATE
    unbounded = ~np.isin(kind, ("", BOUNDED)) & np.isfinite(cltm)
    return {
        "cells_tested": int((cells != "").sum()),
        "donors_help": int((cells == HELPS).sum()),
        "donors_harm": int((cells == HARMS).sum()),
        "targets_tested": int((targets != "").sum()),
        "own_data_helps": int((targets == HELPS).sum()),
        "own_data_harms": int((targets == HARMS).sum()),
        # Of a self-gain that is positive, the difference has the sign of CLTM - 1.
        "cells_above_one": int((not_one & (cltm > 1)).sum()),
        "cells_below_one": int((not_one & (cltm < 1)).sum()),
        "cells_with_unbounded_set": int(unbounded.sum()),
    }


def headline(report: Report) -> str:
    """Return the result of the matrix in one plain sentence."""
    count = count_findings(report.matrix, report.uncertainty)
    tested, worth = count["cells_tested"], worth_text(report)
    item = report.source.items.removesuffix("s")
    if not tested and worth and not report.matrix.n_seeds.any():
        return f"A donor's {item} is worth {worth}; {NO_SCORES}."
    if not tested:
        told = "Nothing is tested: there are no two seeds to compare"
        return f"{told}; the cells are estimates alone."
    helped, harmed = count["donors_help"], count["donors_harm"]
    if not helped and not harmed:
        told = f"No donor clearly helps or harms a target, in {counted(tested, 'pair')}"
    else:
        told = (
            f"Another language's data help in {helped:,} of {counted(tested, 'pair')}"
        )
        if harmed:
            told += f" and harm in {harmed:,}"
        if unclear := tested - helped - harmed:
            told += f"; the {agreeing(unclear, 'other is', 'others are')} unclear"
    if not worth:
        return f"{told}."
    return f"{told}. Where this can be estimated, a donor's {item} is worth {worth}."


def worth_text(report: Report) -> str:
    """Return the mean CLTM with its interval in words; empty where there is none."""
    mean = report.numbers.identified.properties["mean_off_diagonal"]
    if mean.value is None:
        return ""
    text = format_value(mean.value)
    if mean.low is not None and mean.high is not None:
        text += f" [{format_limit(mean.low)}, {format_limit(mean.high)}]"
    return f"{text} of one of the target's own, on average"


def question_lines(report: Report) -> list[str]:
    """Answer the three questions, a sentence or two each.

    How much of the second answer is a matter of steps stands behind it.
    """
    own_data = [_own_data_line(report)]
    if report.steps:
        own_data.append(report.steps.sentence())
    lines = [_donors_line(report), *own_data, _worth_line(report)]
    return [*lines, *_synthetic_lines(report)]


def _donors_line(report: Report) -> str:
    count = count_findings(report.matrix, report.uncertainty)
    gains = report.matrix.cross_gain[~np.eye(len(report.matrix.languages), dtype=bool)]
    there = gains[np.isfinite(gains)]
    line = "Does a donor help?"
    if not len(there):
        return f"{line} Not known: {_no_gains(report)}."
    mean = f" Mean cross-gain {signed(there.mean())}."
    tested = count["cells_tested"]
    if not tested:
        return f"{line} Not tested: it takes two seeds.{mean}"
    help_, harm = count["donors_help"], count["donors_harm"]
    unclear = tested - help_ - harm
    return (
        f"{line} Of {counted(tested, 'pair')}, {help_:,} "
        f"{agreeing(help_, 'helps', 'help')}, {harm:,} "
        f"{agreeing(harm, 'harms', 'harm')} and {unclear:,} "
        f"{agreeing(unclear, 'is', 'are')} unclear, "
        f"{CORRECTED}.{mean}"
    )


def _own_data_line(report: Report) -> str:
    matrix = report.matrix
    line = "Does more of the target's own data help?"
    gains = np.diagonal(matrix.self_gain)
    there = gains[np.isfinite(gains)]
    if not len(there):
        return f"{line} Not known: {_no_gains(report)}."
    mean = f" Mean self-gain {signed(there.mean())}."
    found = target_verdicts(matrix, report.uncertainty)
    tested = int((found != "").sum())
    if not tested:
        return f"{line} Not tested: it takes two seeds.{mean}"
    helped, harmed = (_codes(report, found == one) for one in (HELPS, HARMS))
    parts = [f"it helps {(found == HELPS).sum()}{helped}"]
    if harmed:
        parts.append(f"makes {(found == HARMS).sum()} worse{harmed}")
    unclear = tested - int(np.isin(found, (HELPS, HARMS)).sum())
    if unclear:
        parts.append(f"is unclear for {unclear}")
    return f"{line} Of {counted(tested, 'target')}, {joined(parts)}, {CORRECTED}.{mean}"


def _no_gains(report: Report) -> str:
    if not report.matrix.n_seeds.any():
        return NO_SCORES
    return "single, double and pair runs of one target are needed"


def _codes(report: Report, chosen: np.ndarray) -> str:
    codes = np.array(report.matrix.languages)[chosen].tolist()
    if not codes:
        return ""
    more = len(codes) - MOST_NAMED
    some = ", ".join(codes[:MOST_NAMED])
    return f" ({some}{f' and {more} more' if more > 0 else ''})"


def _worth_line(report: Report) -> str:
    matrix, possible = report.matrix, possible_targets(report.matrix)
    n = int(possible.sum())
    line = f"What is a donor's {report.source.items.removesuffix('s')} worth?"
    identified = int(matrix.target_identified.sum())
    lacks = ~matrix.target_identified & np.isnan(np.diagonal(matrix.self_gain))
    # Of a matrix alone no runs are known at all.
    lacking = int((lacks & possible).sum()) if matrix.n_seeds.any() else 0
    without = f" (without single or double runs: {lacking})" if lacking else ""
    worth = worth_text(report)
    if not worth:
        return f"{line} Not known for any of {n} targets{without}."
    lines = [f"{line} Known for {identified} of {n} targets{without}: {worth}."]
    count = count_findings(matrix, report.uncertainty)
    tested = int(np.isfinite(report.uncertainty.q_one).sum())
    above, below = count["cells_above_one"], count["cells_below_one"]
    if tested:
        lines.append(
            f"Of {counted(tested, 'cell')}, {above:,} {agreeing(above, 'is', 'are')} "
            f"above 1 and {below:,} below 1, {CORRECTED}."
        )
    unbounded = count["cells_with_unbounded_set"]
    if unbounded:
        lines.append(
            f"No bounded {report.level} interval in {unbounded:,} of them: the "
            "self-gain is too uncertain."
        )
    return " ".join(lines)


def _synthetic_lines(report: Report) -> list[str]:
    """Say of each language with synthetic speech what that is worth to it."""
    matrix, fieller = report.matrix, report.uncertainty.fieller
    codes = matrix.languages
    lines = []
    for j, donor in enumerate(codes):
        target = language_of(donor)
        if not is_donor_only(donor) or target not in codes:
            continue
        i = codes.index(target)
        name = report.languages[target].name
        told = f"What is a synthetic utterance of {name} worth in real ones?"
        gain = matrix.cross_gain[i, j]
        if np.isfinite(matrix.cltm[i, j]):
            told += f" {format_value(matrix.cltm[i, j])}"
            if fieller.kind[i, j] == BOUNDED:
                low, high = fieller.low[i, j], fieller.high[i, j]
                told += f" [{format_limit(low)}, {format_limit(high)}]"
        elif np.isfinite(gain):
            told += (
                f" That cannot be said, as more of {name} itself does not clearly "
                f"help; N of {donor} change its score by {signed(gain)}"
            )
        else:
            told += " Not measured"
        lines.append(f"{told}.")
    return lines


def signed(value: float) -> str:
    """Write a gain, with its sign."""
    text = format_value(value, 3)
    return f"+{text}" if value > 0 and float(text) else text


def gains_line(report: Report) -> str:
    """Return the numbers that matter: what own and other languages' data add."""
    matrix = report.matrix
    itself = np.eye(len(matrix.languages), dtype=bool)
    single = np.diagonal(matrix.perf[..., SINGLE])
    # Of a target without double runs the cell is empty, but not the single run.
    single = np.where(np.isnan(single), single_and_double(report.scores)[0], single)
    own, donors = matrix.gains[itself], matrix.gains[~itself]
    start, *parts = [
        f"{value} {what}"
        for value, what in (
            (
                _mean(single, lambda value: format_value(value, 3)),
                "on N of the target's own",
            ),
            (_mean(own, signed), "with N more of it"),
            (_mean(donors, signed), "with N of a donor"),
        )
    ]
    return f"{report.source.metric_title}, on average: {start}; {', '.join(parts)}"


def _mean(values: np.ndarray, write: Callable[[float], str]) -> str:
    there = values[np.isfinite(values)]
    return write(there.mean()) if len(there) else "not known"


def next_steps(report: Report, results: Path, page: Path) -> list[str]:
    """Say what to do next, a line each.

    Args:
        report: The report.
        results: The results that it was made of.
        page: The report page.
    """
    task, matrix = report.source.task, report.matrix
    if report.source.strategy != FULL:
        task += f" --strategy {report.source.strategy}"
    count = count_findings(matrix, report.uncertainty)
    steps = [f"open {page}"]
    if count["cells_tested"] > 1:
        target = matrix.languages[int(np.nanargmax(_best_gains(matrix)))]
        steps.append(
            f"to choose donors: {command_call('recommend')} --results {results} "
            f"--task {task} --target {target}"
        )
    told = count["donors_help"] + count["donors_harm"]
    if not matrix.n_seeds.any():
        return steps
    if told < count["cells_tested"] or not count["cells_tested"]:
        steps.append(
            f"to tell more: more seeds (--seeds; here {report.seeds_text}), more test "
            "speakers, or another N (--regime_budgets finds it)"
        )
    return steps


def _best_gains(matrix: TransferMatrix) -> np.ndarray:
    """Return (n,) the largest cross-gain of each target; NaN where there is none."""
    itself = np.eye(len(matrix.languages), dtype=bool)
    gains = np.where(itself | np.isnan(matrix.cross_gain), -np.inf, matrix.cross_gain)
    best = gains.max(axis=1)
    return np.where(np.isfinite(best), best, np.nan)


def strongest(report: Report, verdict: str) -> list[dict[str, Any]]:
    """List the pairs whose cross-gain is clear, the clearest first.

    The order is that of evidence: p-values, then the size of the gain.

    Args:
        report: The report.
        verdict: ``helps`` or ``harms``.

    Returns:
        Of each ``target``, ``donor``, ``cross_gain`` and its standard error, ``q``;
        ``cltm``, ``low`` and ``high``, None where not known or not bounded.
    """
    matrix, uncertainty = report.matrix, report.uncertainty
    targets, donors = np.nonzero(cell_verdicts(matrix, uncertainty) == verdict)
    p, gain = uncertainty.p_gain[targets, donors], matrix.cross_gain[targets, donors]
    fieller, codes = uncertainty.fieller, matrix.languages
    found = []
    for k in np.lexsort((-np.abs(gain), p))[:MOST_LISTED]:
        cell = int(targets[k]), int(donors[k])
        bounded = fieller.kind[cell] == BOUNDED and np.isfinite(matrix.cltm[cell])
        found.append(
            {
                "target": codes[cell[0]],
                "donor": codes[cell[1]],
                "cross_gain": float(matrix.cross_gain[cell]),
                "cross_gain_se": float(matrix.cross_gain_se[cell]),
                "q": float(uncertainty.q_gain[cell]),
                "cltm": finite(matrix.cltm[cell]),
                "low": float(fieller.low[cell]) if bounded else None,
                "high": float(fieller.high[cell]) if bounded else None,
            }
        )
    return found
