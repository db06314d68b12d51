"""What runs leave besides their scores, summed up for the report by stage 5.

``curves.tsv`` holds, by epoch, the training loss, the optimiser steps so far, the
validation statistics and how often the epoch was chosen; ``scores.tsv`` the metrics,
those that are defined, and how the outputs of tests are spread, where a task tells
(:attr:`.TestData.measures`, :attr:`.Scores.measures`). A line of them is one measure of
one kind of run on one language, at an epoch or a score: its mean, and the number of
runs it is the mean of. So 15,000 runs take a few MB. Only tests of languages that a run
is trained on count.

``costs.tsv`` has a line for each run: what it cost (:mod:`.costs`). For
``layers.tsv`` see :mod:`.layer_table`.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from espnet2_cltm.experiment.drawn import read_test_set
from espnet2_cltm.experiment.layer_table import LayerTable
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, Run
from espnet2_cltm.files import write_rows, write_rows_if_any
from espnet2_cltm.registry import find_task
from espnet2_cltm.results_format import (
    COST_COLUMNS,
    MEASURE_COLUMNS,
    RUN_COLUMNS,
    STRATEGY,
)
from espnet2_cltm.task import Measure

LOSS, STEPS, CHOSEN, VALID = "train_loss", "steps", "chosen", "valid_"
METRIC = "metric_"
_EPOCH = re.compile(r"(?m)(\d+)epoch results: \[train\] (.*?)(?:, \[valid\]|$)")
_VALUE = re.compile(r"(\w+)=([-+.0-9e]+)")
_LOGGED = {"loss": LOSS, "total_count": STEPS}


class Measures:
    """Sums over runs.

    Attributes:
        directory: Directory of the experiment.
        uncalibrated: Number of runs without calibrations that their task needs.
    """

    def __init__(self, directory: ExperimentDir):
        self.directory = directory
        self.uncalibrated = 0
        self._curves: _Sums = defaultdict(lambda: [0, 0.0])
        self._scores: _Sums = defaultdict(lambda: [0, 0.0])
        self._costs: list[tuple[str, ...]] = []
        self._layers = LayerTable(directory)

    def add(self, planned: PlannedRun, metrics: Mapping[str, Any]) -> None:
        """Take in a run that is done.

        Args:
            planned: The run.
            metrics: Content of its ``metrics.json``.

        Raises:
            UserError: A file of its predictions or of the test data is damaged.
        """
        run = planned.run
        if find_task(run.task).calibration_sets and "calibration" not in metrics:
            self.uncalibrated += 1
        self._costs.append(_costs_row(run, metrics))
        if run.kind == "pool":  # the report shows no more of it than its scores
            return
        self._layers.add(planned, metrics)
        trained = list(_logged(self.directory.log(run.name)))
        for lang in run.languages:
            _add(self._curves, planned, lang, trained)
            _add(self._curves, planned, lang, _validated(metrics, lang))
            if lang in metrics["test"]:
                _add(self._scores, planned, lang, self._of_scores(run, lang))
                _add(
                    self._scores,
                    planned,
                    lang,
                    metrics.get("measures", {}).get(lang, ()),
                )
                _add(self._scores, planned, lang, _scored(metrics["test"][lang]))

    def write(self) -> bool:
        """Write the files; one that nothing is known for is removed.

        Returns:
            Whether the layers of some runs were measured and not of others.

        Raises:
            UserError: A file of a run is damaged.
        """
        header = (*RUN_COLUMNS, *COST_COLUMNS, "device", STRATEGY)
        write_rows(self.directory.costs, [header, *sorted(self._costs)])
        for path, sums in (
            (self.directory.curves, self._curves),
            (self.directory.scores, self._scores),
        ):
            rows = (
                (*where, f"{at:g}", n, f"{total / n:.6g}", strategy)
                for (*where, at, strategy), (n, total) in sorted(sums.items())
            )
            write_rows_if_any(path, (*MEASURE_COLUMNS, STRATEGY), rows)
        return self._layers.write()

    def _of_scores(self, run: Run, lang: str) -> Iterable[Measure]:
        kept = find_task(run.task).test_data
        predictions = self.directory.predictions(run.name, lang, "")
        if kept is None or kept.measures is None or not predictions.parent.is_dir():
            return ()
        test = read_test_set(self.directory, run.task, lang)
        return kept.measures(test.data, predictions)


_Key = tuple[str, str, str, str, str, str, float, str]
_Sums = defaultdict[_Key, list]


def _add(
    sums: _Sums, planned: PlannedRun, lang: str, measures: Iterable[Measure]
) -> None:
    run = planned.run
    of = (run.task, run.kind, str(run.budget), run.steps, lang)
    for measure, at, value in measures:
        for strategy in planned.strategies:
            entry = sums[(*of, measure, at, strategy)]
            entry[0] += 1
            entry[1] += value


def _scored(scores: Mapping[str, float]) -> Iterator[Measure]:
    """Yield the metrics of a test that are defined."""
    for name, value in scores.items():
        if name != "n_test" and math.isfinite(value):
            yield METRIC + name, 0.0, value


def _costs_row(run: Run, metrics: Mapping[str, Any]) -> tuple[str, ...]:
    costs = {**metrics, **metrics.get("costs", {})}
    of_run = (run.name, run.task, run.kind, "+".join(run.languages), run.budget)
    found = [costs.get(name, "") for name in COST_COLUMNS]
    device = metrics.get("versions", {}).get("device", "")
    fields = (*of_run, run.seed, run.steps, *found, device, run.strategy)
    return tuple(map(str, fields))


def _logged(path: Path) -> Iterator[Measure]:
    """Read the epochs of a training's log; of one that was begun twice, the last."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    epochs = {int(n): found for n, found in _EPOCH.findall(text)}
    for epoch, values in epochs.items():
        for name, value in _VALUE.findall(values):
            if name in _LOGGED:
                yield _LOGGED[name], epoch, float(value)


def _validated(metrics: Mapping[str, Any], lang: str) -> Iterator[Measure]:
    """Yield the statistics of a language and the epoch that was chosen for it."""
    for values in metrics.get("validation", ()):
        for name, value in values.items():
            if name.endswith(f"_{lang}") and math.isfinite(value):
                yield VALID + name.removesuffix(f"_{lang}"), values["epoch"], value
    chosen = metrics.get("checkpoints", {}).get(lang)
    if chosen:
        yield CHOSEN, chosen["epoch"], 1.0
