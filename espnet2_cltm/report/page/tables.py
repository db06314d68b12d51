"""The page's tables: the same numbers as its figures, for screen readers and paper."""

from collections.abc import Sequence

import numpy as np

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.scores import zero_shot_means
from espnet2_cltm.matrix.uncertainty import Analysis
from espnet2_cltm.report.heatmap_contents import format_value
from espnet2_cltm.report.summary import FALSE_DISCOVERY_RATE, grey_targets

TableRows = list[tuple[Language, list[str]]]


def matrix_rows(analysis: Analysis, languages: Sequence[Language]) -> TableRows:
    """Give the matrix as text, a row a target.

    A value of a target that is not identified stands in brackets, one that differs
    from 0 has a star; what is not available is empty.

    Args:
        analysis: Of the metric.
        languages: In the order of display.
    """
    matrix = analysis.matrix
    differs = analysis.uncertainty.q_zero < FALSE_DISCOVERY_RATE
    grey = grey_targets(matrix)
    index = [matrix.languages.index(language.code) for language in languages]

    def text(i: int, j: int) -> str:
        if not np.isfinite(matrix.raw_cltm[i, j]):
            return ""
        value = format_value(matrix.raw_cltm[i, j])
        if grey[i] or matrix.reason[i, j]:
            return f"({value})"
        return f"{value}*" if differs[i, j] else value

    return [
        (language, [text(i, j) for j in index])
        for language, i in zip(languages, index, strict=True)
    ]


def zero_shot_rows(analysis: Analysis, languages: Sequence[Language]) -> TableRows:
    """Give the zero-shot matrix, a row a language tested on.

    Returns:
        Empty where no run was tested on another language than its own.
    """
    tested, means = zero_shot_means(analysis.scores)
    trained = analysis.scores.languages
    rows = [tested.index(language.code) for language in languages]
    columns = [trained.index(language.code) for language in languages]
    values = means.T[np.ix_(rows, columns)]
    off_diagonal = ~np.eye(len(values), dtype=bool)
    if not np.isfinite(values[off_diagonal]).any():
        return []
    return [
        (language, [f"{value:.3f}" if np.isfinite(value) else "" for value in row])
        for language, row in zip(languages, values, strict=True)
    ]
