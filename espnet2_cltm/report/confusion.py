"""Which class is taken for which: the confusion tables of a label task.

``confusion.tsv`` lies beside ``results.tsv``. A line counts, for one kind of run, its
languages and a test language, how often an item of the class ``reference`` was
predicted to be ``predicted``; counts are summed over seeds. Here they are summed over
languages too, as far as these enter the matrix: single and double runs tested on their
own language, pairs tested on either of theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.matrix.results_table import of_strategy
from espnet2_cltm.matrix.scores import ResultsSource
from espnet2_cltm.matrix.text_table import (
    read_text_table,
    require_columns,
    to_budget,
    to_integer,
)
from espnet2_cltm.results_format import CONFUSION_COLUMNS

FILE = "confusion.tsv"
REMEDY = "run stage 5 again"
KINDS = {
    "single": ("Single runs", "Trained on N of the language tested on"),
    "double": ("Double runs", "Trained on 2N of the language tested on"),
    "pair": ("Pairs", "Trained on N of the language tested on and N of another"),
}


def read_confusion(results: Path, source: ResultsSource) -> pd.DataFrame | None:
    """Read the confusion counts of a task from the file beside its results.

    Args:
        results: ``results.tsv``; the file lies in its directory.
        source: Task, N and strategy of the runs.

    Returns:
        Table with the columns :data:`.CONFUSION_COLUMNS`; None where there is no
        file, or no line of the task in it.

    Raises:
        UserError: The file is damaged.
    """
    path = results.parent / FILE
    if not path.exists():
        return None
    table = read_text_table(path, REMEDY)
    require_columns(table, CONFUSION_COLUMNS, REMEDY)
    table = of_strategy(table.where(table.rows["task"] == source.task), source.strategy)
    if source.budget is not None:
        table = table.where(to_budget(table) == source.budget)
    counts = table.rows.assign(count=to_integer(table, "count"))
    return counts if len(counts) else None


@dataclass(frozen=True)
class ConfusionTable:
    """The confusion of one kind of run.

    Attributes:
        title: Heading.
        caption: What the runs were trained and tested on.
        classes: The n classes, sorted.
        counts: (n, n) items, rows reference, columns predicted.
    """

    title: str
    caption: str
    classes: tuple[str, ...]
    counts: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """(n, n) of the items of a row's class; 0 where there are none."""
        return self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)


def confusion_tables(counts: pd.DataFrame) -> Iterator[ConfusionTable]:
    """Sum counts over languages, one table for each kind of run.

    Args:
        counts: Table of :func:`read_confusion`.
    """
    if counts.empty:
        return
    classes = sorted({*counts["reference"], *counts["predicted"]})
    languages = zip(counts["languages"], counts["test_language"], strict=True)
    own = np.array([tested in trained.split("+") for trained, tested in languages])
    for kind, (title, caption) in KINDS.items():
        found = counts[own & (counts["kind"] == kind).to_numpy()]
        if found.empty:
            continue
        square = found.pivot_table(
            "count", "reference", "predicted", aggfunc="sum", fill_value=0
        ).reindex(index=classes, columns=classes, fill_value=0)
        yield ConfusionTable(title, caption, tuple(classes), square.to_numpy(dtype=int))
