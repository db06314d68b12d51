"""Reading scores in any known format; the header tells which it is.

``run task kind languages budget seed test_language metric value n_test``
    ``results.tsv``, see :mod:`espnet2_cltm.matrix.results_table`.
``model_id,type,lang_src,lang_tgt`` and more
    the published framework's files, see :mod:`espnet2_cltm.matrix.framework_table`.
"""

from pathlib import Path

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.choice import Choice
from espnet2_cltm.matrix.framework_table import (
    FRAMEWORK_COLUMNS,
    FRAMEWORK_METRICS,
    scores_from_framework_aggregates,
    scores_from_framework_seeds,
)
from espnet2_cltm.matrix.results_table import (
    every_metric_from_results,
    scores_from_results,
)
from espnet2_cltm.matrix.scores import Scores
from espnet2_cltm.matrix.text_table import (
    TextTable,
    read_text_table,
    require_rows,
    shorten,
)
from espnet2_cltm.results_format import RESULT_COLUMNS


def read_scores(path: Path | str, choice: Choice | None = None) -> Scores:
    """Read scores in whichever known format the file has.

    Args:
        path: The results file.
        choice: Which of its results to take.

    Raises:
        UserError: The file cannot be read as results, or ``choice`` asks for what
            it does not hold.
    """
    choice = choice or Choice()
    table = read_text_table(path)
    if _is_results(table):
        return scores_from_results(table, choice)
    return _framework_scores(table, choice)


def read_every_metric(
    path: Path | str, choice: Choice | None = None
) -> tuple[Scores, ...]:
    """Read scores of all known metrics of a task, that of ``choice`` first.

    Arguments and errors are those of :func:`read_scores`. The published framework's
    files hold one metric each.
    """
    choice = choice or Choice()
    table = read_text_table(path)
    if _is_results(table):
        return tuple(every_metric_from_results(table, choice))
    return (_framework_scores(table, choice),)


def _is_results(table: TextTable) -> bool:
    if not set(table.rows.columns) >= set(RESULT_COLUMNS):
        return False
    require_rows(table)
    return True


def _framework_scores(table: TextTable, choice: Choice) -> Scores:
    header = set(table.rows.columns)
    if header >= set(FRAMEWORK_COLUMNS):
        for name in FRAMEWORK_METRICS:
            if header >= {"seed_count", f"{name}_mean", f"{name}_var"}:
                require_rows(table)
                return scores_from_framework_aggregates(table, name, choice)
            if header >= {"seed", name}:
                require_rows(table)
                return scores_from_framework_seeds(table, name, choice)
    raise UserError(
        f"{table.path} has an unknown header ({shorten(table.rows.columns)}); "
        f"expected are tab-separated {' '.join(RESULT_COLUMNS)}, or comma-separated "
        f"{','.join(FRAMEWORK_COLUMNS)} with seed and one of f1, auc, wer, or with "
        "seed_count and f1_mean,f1_var, auc_mean,auc_var or wer_mean,wer_var."
    )
