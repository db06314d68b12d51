"""A matrix that comes without the scores it was made of: a file, or a published one.

Its cells are all that is known. No gains, no seeds, no tests; what rests on cells alone
(summary numbers, where transfer comes from, predictions, figures) is there as ever.
"""

from dataclasses import replace

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.comparison import ComparedMatrix
from espnet2_cltm.matrix.estimates import cell_moments, estimate
from espnet2_cltm.matrix.scores import AggregatedScores, ResultsSource
from espnet2_cltm.matrix.uncertainty import Analysis, IntervalSettings, cell_uncertainty
from espnet2_cltm.registry import task_names
from espnet2_cltm.results_format import KINDS

NO_SCORES = "the matrix comes without scores"


def analyse_alone(
    compared: ComparedMatrix, task: str | None, settings: IntervalSettings
) -> Analysis:
    """Analyse a matrix that is all that is known.

    Args:
        compared: The matrix.
        task: Name of its task; None takes that of a published one.
        settings: How intervals would be made.

    Raises:
        UserError: The task is not given, or the matrix has no cell off the diagonal.
    """
    task = task or next(filter(compared.name.startswith, task_names()), None)
    if task is None:
        raise UserError(
            f"{compared.name} does not tell its task: name it with --task "
            f"({', '.join(task_names())}, or another name)."
        )
    languages = tuple(sorted({*compared.matrix.rows, *compared.matrix.columns}))
    n = len(languages)
    sizes = {"single": (n,), "double": (n,), "pair": (n, n)}
    nothing = {kind: np.full(sizes[kind], np.nan) for kind in KINDS}
    count = {kind: np.zeros(sizes[kind], dtype=int) for kind in KINDS}
    notes = (f"{NO_SCORES.capitalize()}: nothing can be tested.",)
    source = ResultsSource(
        compared.path.name, compared.sha256, task, "CLTM", notes=notes
    )
    scores = AggregatedScores(source, languages, nothing, nothing, count)
    moments = cell_moments(scores)
    itself = np.eye(n, dtype=bool)
    cells = np.where(itself, np.nan, compared.matrix.square(languages))
    has_row = np.array([bool(np.isfinite(row).any()) for row in cells])
    cells[itself & has_row[:, None]] = 1.0
    there = np.isfinite(cells)
    if not (there & ~itself).any():
        raise UserError(
            f"{compared.path} has no value of a target and another language as its "
            "donor: give a matrix that has one."
        )
    matrix = replace(
        estimate(moments),
        cltm=cells,
        raw_cltm=cells,
        target_identified=has_row,
        target_reason=np.where(has_row, "", "no cell").astype(object),
        reason=np.where(there, "", "not in the matrix").astype(object),
    )
    uncertainty = cell_uncertainty(scores, moments, matrix, settings)
    return Analysis(scores, moments, matrix, uncertainty)
