"""Names, titles and numbers as a reader sees them: in figures, page and terminal.

A metric's, a task's and a unit's names come from the task, see
:mod:`espnet2_cltm.registry`.
"""

import re

from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.metrics import BUDGET_UNITS, METRICS, TASK_TITLES
from espnet2_cltm.matrix.metrics import budget_text as _budget_text
from espnet2_cltm.matrix.scores import Scores, Source

FORMULA = "CLTM[i,j] = (Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i))"
MINUS = "\N{MINUS SIGN}"
# Before a number but not inside a word, a date or a range; between spaced terms.
_HYPHEN_AS_MINUS = re.compile(r"(?<![\w.)\]-])-(?=\.?\d)|(?<= )-(?= )")


def task_title(source: Source) -> str:
    """Name the task: ``speaker verification``."""
    return TASK_TITLES.get(source.task, source.task)


def metric_title(source: Source) -> str:
    """Name Perf: ``macro F1``, ``1 - EER``."""
    return METRICS[source.metric].label


def budget_text(source: Source) -> str:
    """Say what N is, ``N = 60 utterances``; empty where it is not known."""
    return _budget_text(source.task, source.budget)


def budget_unit(source: Source) -> str:
    """Say what N counts: ``utterances``."""
    return BUDGET_UNITS.get(source.task, "utterances")


def matrix_title(scores: Scores) -> str:
    """Name the matrix: ``Cross-lingual transfer matrix, speaker verification``."""
    return f"Cross-lingual transfer matrix, {task_title(scores.source)}"


def matrix_subtitle(scores: Scores, matrix: TransferMatrix) -> str:
    """Tell metric, N, seeds and the number of languages on one line."""
    parts = (
        metric_title(scores.source),
        budget_text(scores.source),
        seeds_text(matrix),
        f"{len(matrix.languages)} languages",
    )
    return ", ".join(part for part in parts if part)


def seeds_text(matrix: TransferMatrix) -> str:
    """Say how many seeds the cells with an estimate rest on."""
    counts = matrix.n_seeds[matrix.n_seeds > 0]
    if not len(counts):
        return "no seed"
    low, high = int(counts.min()), int(counts.max())
    if low == high:
        return "1 seed" if low == 1 else f"{low} seeds"
    return f"{low} to {high} seeds a cell"


def level_text(confidence: float) -> str:
    """Write a confidence level: ``95%``."""
    return f"{100 * confidence:.4g}%"


def with_minus_signs(text: str) -> str:
    """Turn the hyphens of negative numbers and of differences into minus signs."""
    return _HYPHEN_AS_MINUS.sub(MINUS, text)


def format_value(value: float, decimals: int = 2) -> str:
    """Write a number with a real minus sign, and without a minus before zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def format_limit(value: float) -> str:
    """Write a limit; large ones, which are vague, have fewer decimals."""
    return format_value(
        value, 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    )
