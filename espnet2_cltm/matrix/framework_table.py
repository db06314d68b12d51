"""The published framework's CSV files, per seed or aggregated over seeds.

``model_id,type,lang_src,lang_tgt,seed`` with ``f1``, ``auc`` or ``wer``, or
``model_id,type,lang_src,lang_tgt,seed_count`` with ``f1_mean,f1_var`` and so on
(unbiased variance over seeds). ``lang_src`` is the target, the row of the matrix, and
``lang_tgt`` the donor: ``single`` lines are Perf(i), ``dual`` lines with both the same
Perf(i+i), the others Perf(i+j). There i+j and j+i are two trainings.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.choice import Choice
from espnet2_cltm.matrix.metrics import METRICS, Metric
from espnet2_cltm.matrix.scores import (
    AggregatedScores,
    SeedScores,
    Source,
    collect_aggregated_scores,
    collect_seed_scores,
    count_undefined,
)
from espnet2_cltm.matrix.text_table import (
    TextTable,
    require_choices,
    require_distinct,
    require_language_codes,
    to_integer,
    to_number,
)

FRAMEWORK_COLUMNS = ("model_id", "type", "lang_src", "lang_tgt")
FRAMEWORK_METRICS = {"auc": "roc_auc", "f1": "macro_f1", "wer": "wer"}


def scores_from_framework_seeds(
    table: TextTable, name: str, choice: Choice
) -> SeedScores:
    """Check the lines and arrange the scores of column ``name``, seed by seed."""
    metric = _framework_metric(table, name, choice)
    table = _framework_runs(table)
    require_distinct(table, ["kind", "tested", "donor", "seed"], "the same run")
    values = to_number(table, name, empty_is_nan=True, maximum=metric.maximum)
    records = table.rows[["kind", "donor", "tested"]].assign(
        seed=to_integer(table, "seed"),
        perf=1 - values if metric.lower_is_better else values,
    )
    undefined = count_undefined(records, "perf")
    source = _framework_source(table, metric, undefined)
    languages = set(records["tested"]) | set(records["donor"])
    records = records[np.isfinite(records["perf"])]
    return collect_seed_scores(records, languages, source)


def scores_from_framework_aggregates(
    table: TextTable, name: str, choice: Choice
) -> AggregatedScores:
    """Check the lines and arrange ``<name>_mean`` and ``<name>_var``."""
    metric = _framework_metric(table, name, choice)
    table = _framework_runs(table)
    require_distinct(table, ["kind", "tested", "donor"], "the same runs")
    means = to_number(table, f"{name}_mean", empty_is_nan=True, maximum=metric.maximum)
    records = table.rows[["kind", "donor", "tested"]].assign(
        mean=1 - means if metric.lower_is_better else means,
        variance=to_number(table, f"{name}_var", empty_is_nan=True),
        count=to_integer(table, "seed_count"),
    )
    if (records["count"] < 1).any():
        line = (records["count"] < 1).idxmax()
        raise UserError(f"{table.path}, line {line}: seed_count is less than 1.")
    records.loc[records["count"] == 1, "variance"] = np.nan
    undefined = count_undefined(records, "mean")
    source = _framework_source(
        table,
        metric,
        undefined,
        "The file holds means and variances: standard errors take the runs of a seed "
        "as independent.",
    )
    languages = set(records["tested"]) | set(records["donor"])
    records = records[np.isfinite(records["mean"])]
    return collect_aggregated_scores(records, languages, source)


def _framework_metric(table: TextTable, name: str, choice: Choice) -> Metric:
    metric = METRICS[FRAMEWORK_METRICS[name]]
    if choice.metric not in (None, name, metric.name):
        raise UserError(
            f"{table.path} has no metric '{choice.metric}'; it has {metric.name}."
        )
    if choice.task not in (None, metric.task):
        raise UserError(
            f"{table.path} has no task '{choice.task}'; its metric {name} is that of "
            f"{metric.task}."
        )
    return metric


def _framework_runs(table: TextTable) -> TextTable:
    """Add ``kind``, ``tested`` and ``donor`` to the framework's lines."""
    require_choices(table, "type", ("single", "dual"))
    require_language_codes(table, "lang_src")
    dual = table.rows["type"] == "dual"
    require_language_codes(table.where(dual), "lang_tgt")
    tested = table.rows["lang_src"]
    donor = table.rows["lang_tgt"].where(dual, tested)
    kind = pd.Series("pair", index=table.rows.index).where(donor != tested, "double")
    rows = table.rows.assign(
        kind=kind.where(dual, "single"), tested=tested, donor=donor
    )
    return replace(table, rows=rows)


def _framework_source(
    table: TextTable,
    metric: Metric,
    undefined: dict[tuple[str, str, str], int],
    *notes: str,
) -> Source:
    if undefined:
        (kind, tested, donor), _ = next(iter(undefined.items()))
        notes += (
            f"{metric.name} is undefined in {sum(undefined.values())} line(s); the "
            f"first is of the {kind} run {tested} {donor}.",
        )
    return Source(
        file=table.path.name,
        sha256=table.sha256,
        task=metric.task,
        metric=metric.name,
        undefined=undefined,
        notes=notes,
    )
