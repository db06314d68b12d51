"""Results on cross-language trials: enrolled in one language, tested in another.

In ``results.tsv`` such a set stands in ``test_language`` as two sorted codes joined by
``~``, ``ca~es``; a run of any kind may be tested on any of them. Each set is of its
own difficulty and belongs to two languages, so it has no place in the matrix.
"""

import numpy as np
import pandas as pd

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.scores import KINDS, CrossLanguageScores, mean_over_seeds
from espnet2_cltm.matrix.text_table import TextTable, is_language_code, to_integer

SEPARATOR = "~"


def is_cross_language(table: TextTable) -> pd.Series:
    """Tell, line by line, whether ``test_language`` is a set of such trials."""
    return table.rows["test_language"].str.contains(SEPARATOR, regex=False)


def require_cross_language_sets(table: TextTable) -> None:
    """Refuse sets that are not two sorted codes.

    Raises:
        UserError: Names the first line that has one.
    """
    tested = table.rows["test_language"]
    for text in tested.unique():
        codes = text.split(SEPARATOR)
        if (
            len(codes) == 2
            and codes[0] < codes[1]
            and all(map(is_language_code, codes))
        ):
            continue
        raise UserError(
            f"{table.path}, line {(tested == text).idxmax()}: test_language is "
            f"'{text}'; cross-language trials are named by two sorted codes, such as "
            "ca~es."
        )


def collect_cross_language_scores(
    table: TextTable, perf: pd.Series
) -> CrossLanguageScores | None:
    """Average over seeds and arrange by run and set.

    Args:
        table: Lines of one task, metric and budget, tested on cross-language trials.
        perf: Better-is-higher, with the same index; NaN where undefined.

    Returns:
        None if there are no lines.
    """
    if table.rows.empty:
        return None
    rows = table.rows
    run_of_line = pd.Series(
        list(zip(rows["kind"], rows["languages"], strict=True)), index=rows.index
    )
    runs = sorted(set(run_of_line), key=lambda run: (KINDS.index(run[0]), run[1]))
    sets = sorted(rows["test_language"].unique())
    seeds = to_integer(table, "seed")
    by_seed = np.full((len(runs), len(sets), seeds.nunique()), np.nan)
    by_seed[
        pd.Categorical(run_of_line, runs).codes,
        pd.Categorical(rows["test_language"], sets).codes,
        pd.Categorical(seeds, sorted(seeds.unique())).codes,
    ] = perf
    return CrossLanguageScores(tuple(runs), tuple(sets), mean_over_seeds(by_seed))
