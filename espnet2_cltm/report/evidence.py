"""What a reviewer asks for: the data, the trainings, and the scores behind the numbers.

``data.tsv``, ``curves.tsv`` and ``scores.tsv`` lie beside the ``results.tsv`` of an
experiment, where stage 5 wrote them; experiments of older versions have none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.results_table import of_strategy
from espnet2_cltm.matrix.scores import ResultsSource
from espnet2_cltm.matrix.text_table import (
    TextTable,
    read_text_table,
    require_columns,
    to_budget,
    to_integer,
    to_number,
)
from espnet2_cltm.results_format import (
    CURVES,
    DATA,
    DATA_COLUMNS,
    KINDS,
    LAYER_COLUMNS,
    LAYERS,
    LEFT_OUT,
    LEFT_OUT_COLUMNS,
    MEASURE_COLUMNS,
    SCORES,
)

REMEDY, REMEDY_3 = "run stage 5 again", "run stage 3 again"
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Evidence:
    """What is known beside the scores; None where stage 5 left nothing.

    Attributes:
        data: Of each language and split, in numbers: ``speakers``, ``utterances``,
            ``seconds``, ``items``, ``narrow``, NaN where not known; and ``remarks``.
        curves: Columns ``kind``, ``language``, ``measure``, ``at``, ``runs``, ``mean``:
            by epoch, see :mod:`espnet2_cltm.experiment.measures`.
        scores: The same by score, or by false alarm rate.
        left_out: Reasons why languages could not take part, by code.
        layers: Columns ``kind``, ``languages``, ``language``, ``measure``, ``at``,
            ``runs``, ``mean``: by hidden state, see
            :mod:`espnet2_cltm.experiment.layer_table`.
    """

    data: pd.DataFrame | None = None
    curves: pd.DataFrame | None = None
    scores: pd.DataFrame | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    layers: pd.DataFrame | None = None


def read_evidence(results: Path, source: ResultsSource) -> Evidence:
    """Read what lies beside the results of an experiment.

    Args:
        results: ``results.tsv``.
        source: Task, N and steps of the matrix.

    Raises:
        UserError: A file is damaged.
    """
    beside = results.parent
    if not (beside / "experiment.yaml").exists():  # files of the same names are others'
        return Evidence()
    return Evidence(
        _read_data(beside / DATA, source.task),
        _read_measures(beside / CURVES, source),
        _read_measures(beside / SCORES, source),
        _read_left_out(beside / LEFT_OUT.format(task=source.task)),
        _read_measures(beside / LAYERS, source, LAYER_COLUMNS, "layer"),
    )


def _read_left_out(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    table = read_text_table(path, REMEDY_3)
    require_columns(table, LEFT_OUT_COLUMNS, REMEDY_3)
    return dict(zip(table.rows["language"], table.rows["reason"], strict=True))


def _read(path: Path, columns: Iterable[str], task: str) -> TextTable | None:
    if not path.exists():
        return None
    table = read_text_table(path, REMEDY)
    require_columns(table, columns, REMEDY)
    table = table.where(table.rows["task"] == task)
    return table if len(table.rows) else None


def _read_data(path: Path, task: str) -> pd.DataFrame | None:
    table = _read(path, DATA_COLUMNS, task)
    if table is None:
        return None
    numbers = {
        name: to_number(table, name, empty_is_nan=True)
        for name in ("speakers", "utterances", "seconds", "items", "narrow")
    }
    return table.rows.assign(**numbers)


def _read_measures(
    path: Path,
    source: ResultsSource,
    columns: Iterable[str] = MEASURE_COLUMNS,
    at: str = "at",
) -> pd.DataFrame | None:
    table = _read(path, columns, source.task)
    if table is None:
        return None
    table = of_strategy(table, source.strategy)
    table = table.where(table.rows["steps"] == source.steps)
    if source.budget is not None:
        table = table.where(to_budget(table) == source.budget)
    rows = table.rows.assign(
        at=to_number(table, at, minimum=None),
        runs=to_integer(table, "runs"),
        mean=to_number(table, "mean", minimum=None),
    )
    return rows if len(rows) else None


def by_kind(measures: pd.DataFrame, name: str) -> dict[str, pd.DataFrame]:
    """Return a measure by kind of run, as means over languages, each of equal weight.

    Args:
        measures: ``curves`` or ``scores`` of :class:`Evidence`.
        name: The measure.

    Returns:
        Tables with the columns ``mean``, ``low`` and ``high`` (the extreme languages),
        and ``total``, the sum over all runs, ascending by ``at``, their index.
    """
    found = measures[measures["measure"] == name]
    found = found.assign(total=found["mean"] * found["runs"])
    return {
        kind: found[found["kind"] == kind]
        .groupby("at")
        .agg(
            mean=("mean", "mean"),
            low=("mean", "min"),
            high=("mean", "max"),
            total=("total", "sum"),
        )
        for kind in KINDS
        if (found["kind"] == kind).any()
    }


def narrow_line(
    data: pd.DataFrame | None, languages: Mapping[str, Language]
) -> str | None:
    """Warn of narrow-band languages beside wide-band ones; None where there is no mix.

    Args:
        data: ``data`` of :class:`Evidence`.
        languages: The matrix's languages by code.
    """
    if data is None:
        return None
    known = data[data["narrow"].notna() & data["language"].isin(list(languages))]
    sums = known.groupby("language")[["narrow", "utterances"]].sum()
    shares = sums["narrow"] / sums["utterances"].clip(lower=1)
    narrow = shares[shares > 0.5]
    if not len(narrow) or len(narrow) == len(shares):
        return None
    named = ", ".join(
        f"{languages[str(code)].name} ({share:.0%} of its utterances)"
        for code, share in narrow.items()
    )
    return (
        f"Narrow-band beside wide-band languages: {named}. What others give to them "
        "and get from them may be due to the recordings and not to the languages."
    )


def equal_error_rate(curve: pd.DataFrame) -> float:
    """Return where miss rates, by false alarm rate, meet P_miss = P_fa."""
    p_fa, p_miss = curve.index.to_numpy(dtype=float), curve["mean"].to_numpy()
    difference = p_miss - p_fa  # falls from at least 0 to at most 0
    return float(np.interp(0.0, -difference, p_fa))


def miss_rate(curve: pd.DataFrame, p_fa: float) -> float:
    """Return the miss rate of a curve at a false alarm rate."""
    return float(np.interp(p_fa, curve.index.to_numpy(dtype=float), curve["mean"]))


def lowest_rate(scores: pd.DataFrame) -> float:
    """Return the lowest false alarm rate that a run's trials can tell."""
    nontarget = scores[scores["measure"] == "nontarget"]
    runs = scores[scores["measure"] == "p_miss"].groupby(["kind", "language"])["runs"]
    total = (nontarget["mean"] * nontarget["runs"]).groupby(
        [nontarget["kind"], nontarget["language"]]
    )
    return float(1 / max((total.sum() / runs.max()).max(), 1))


def has_curves(scores: pd.DataFrame) -> bool:
    """Return whether the scores are those of trials."""
    return bool((scores["measure"] == "p_miss").any())


def metric_means(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a metric's means over runs: a row a language, a column a kind of run."""
    found = scores[scores["measure"] == f"metric_{name}"]
    return found.pivot_table("mean", "language", "kind")


def reliability(scores: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Return reliability diagrams, of all utterances of a kind of run together.

    Args:
        scores: ``scores`` of :class:`Evidence`.

    Returns:
        By title and kind of run, for each bin with utterances its ``share`` of all,
        the mean probability of the most probable class, ``confidence``, and how often
        that is right, ``accuracy``.
    """
    diagrams: dict[str, dict[str, pd.DataFrame]] = {}
    for title, ending in (("as predicted", ""), ("after the temperature", "_tempered")):
        share, confident, correct = (
            by_kind(scores, f"bin_{name}{ending}")
            for name in ("share", "confident", "correct")
        )
        for kind, bins in share.items():
            n = bins["total"]
            right = correct[kind]["total"].reindex(n.index, fill_value=0)
            columns = {
                "share": n / n.sum(),
                "confidence": confident[kind]["total"] / n,
                "accuracy": right / n,
            }
            diagrams.setdefault(title, {})[kind] = pd.DataFrame(columns)
    return diagrams
