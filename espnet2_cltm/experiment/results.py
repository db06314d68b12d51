"""Results: ``metrics.json`` of each run, gathered in ``results.tsv`` by stage 5.

``metrics.json`` marks a run as done. Its fields are ``run``; ``utterances``, the number
trained on; ``test``, the metrics and ``n_test`` by test language; ``confusion``, for a
label task, counts by test language, reference and predicted label; ``held_out``, by
test language and metric, the values without each group of test speakers in turn, for
the languages trained on; ``measures``, what the report shows of their predictions;
``calibration``, by test language and :data:`.CALIBRATION_SETS`, the numbers that were
fitted on dev sets; ``checkpoints``, the epoch and what chose it by test language;
``validation``, the statistics of every epoch; ``train_seconds``, ``test_seconds``;
``costs``, what else the run cost (:data:`.COST_COLUMNS`);
``versions``; and, where tests were added later with the kept model, the list
``added_tests`` of their ``languages`` and ``versions``.

``results.tsv`` has one line per run, test language and metric, sorted, with values in
full precision; ``confusion.tsv`` has the confusion tables, summed over seeds;
``held_out.tsv`` the values without each group of test speakers.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import by_speakers, read_test_set
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.measures import Measures
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.files import write_json, write_rows, write_rows_if_any
from espnet2_cltm.registry import find_task
from espnet2_cltm.results_format import (
    CONFUSION_COLUMNS,
    HELD_OUT_COLUMNS,
    RESULT_COLUMNS,
    STEPS,
    STRATEGY,
)
from espnet2_cltm.task import Scores

_Confusion = defaultdict[tuple[str, ...], Counter[str]]
"""Counts of predictions by where, reference and strategy."""
DIGITS = 10  # of values without groups of speakers, which only their spread is taken of


@dataclass(frozen=True)
class Result:
    """One value of one run.

    Attributes:
        planned: The run.
        test_language: Name of what it was tested on.
        metric: Name of the metric.
        value: Value of the metric.
        n_test: Number of test items.
        confusion: Counts by reference and predicted label, given once for each test of
            a label task, with the first metric.
        held_out: Values without each group of test speakers in turn, where known.
    """

    planned: PlannedRun
    test_language: str
    metric: str
    value: float
    n_test: int
    confusion: Mapping[str, Mapping[str, int]] | None = None
    held_out: Sequence[float] = ()


def read_metrics(path: Path) -> dict[str, Any] | None:
    """Read a run's ``metrics.json``.

    Returns:
        Its content, with a mapping ``test``; None where there is no file.

    Raises:
        UserError: The file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["test"], dict):
            raise TypeError("test is not a mapping")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise is_damaged(path, error) from error
    return content


def write_metrics(path: Path, content: dict[str, Any]) -> None:
    """Write a run's ``metrics.json``, completely or not at all."""
    write_json(path, content, allow_nan=True)


def recorded(scores: Mapping[str, Scores], languages: Sequence[str]) -> dict[str, Any]:
    """Return what ``metrics.json`` records of tests of a run on some languages."""
    confusion = {name: s.confusion for name, s in scores.items() if s.confusion}
    test = {name: {**s.metrics, "n_test": s.n_test} for name, s in scores.items()}
    held_out = {
        name: {metric: [round(x, DIGITS) for x in values] for metric, values in found}
        for name, s in scores.items()
        if (found := s.held_out.items())
    }
    measures = {
        name: list(scores[name].measures) for name in languages if name in scores
    }
    return {
        "test": test,
        **({"confusion": confusion} if confusion else {}),
        **({"measures": measures} if any(measures.values()) else {}),
        **({"held_out": held_out} if held_out else {}),
    }


def is_damaged(path: Path, error: Exception) -> UserError:
    """Return the error for a ``metrics.json`` that cannot be used."""
    return UserError(
        f"{path} is damaged ({error}): delete {path.parent} and run stage 4 again."
    )


def collect_results(
    directory: ExperimentDir,
    plan: Iterable[PlannedRun],
    rescore: bool = False,
    measures: Measures | None = None,
) -> Iterator[Result]:
    """Gather the scores of the runs that are done.

    Args:
        directory: Directory of the experiment.
        plan: Runs of the experiment.
        rescore: Whether to score the predictions again instead of taking the scores in
            ``metrics.json``. A run that lacks a metric of its task is scored again in
            any case, if its predictions are there.
        measures: What else the report shows of runs; they are taken in.

    Yields:
        Results of the runs that are done.

    Raises:
        UserError: A run's files are damaged.
    """
    settings: Settings | None = None
    for planned in plan:
        path = directory.metrics(planned.run.name)
        metrics = read_metrics(path)
        if metrics is None:
            continue
        if rescore or _lacks_metrics(directory, planned, metrics["test"]):
            settings = settings or read_settings(directory.settings)
            metrics = {**metrics, **_rescore(directory, settings, planned, metrics)}
        if measures is not None:
            measures.add(planned, metrics)
        confusion, held_out = metrics.get("confusion", {}), metrics.get("held_out", {})
        for lang, scores in _take_scores(path, metrics["test"], planned).items():
            table = confusion.get(lang)
            for metric, value in scores.items():
                if metric != "n_test":
                    n_test = scores["n_test"]
                    without = held_out.get(lang, {}).get(metric, ())
                    yield Result(planned, lang, metric, value, n_test, table, without)
                    table = None


def write_results(
    path: Path,
    results: Iterable[Result],
    confusion_path: Path | None = None,
    held_out_path: Path | None = None,
) -> int:
    """Write ``results.tsv`` and return its number of lines, header not counted.

    Args:
        path: File to write.
        results: Results of all runs.
        confusion_path: File of the confusion tables; removed where there are none.
        held_out_path: File of the values without groups of test speakers; likewise.
    """
    lines: list[str] = []  # of millions the fields would take three times the memory
    held_out: list[tuple[str, ...]] = []
    by_steps: defaultdict[str, _Confusion] = defaultdict(lambda: defaultdict(Counter))
    for result in results:
        run = result.planned.run
        languages = "+".join(run.languages)
        where = (run.task, run.kind, languages, str(run.budget), result.test_language)
        fields = (
            *(run.name, run.task, run.kind, languages, run.budget, run.seed),
            *(result.test_language, result.metric, repr(float(result.value))),
            *(result.n_test, run.steps),
        )
        confusion = {} if run.kind == "pool" else result.confusion or {}
        for strategy in result.planned.strategies:
            pool = (run.size, run.method, run.shots)
            lines.append("\t".join(map(str, (*fields, strategy, *pool))))
            for reference, row in confusion.items():
                found = by_steps[run.steps][(*where, reference, strategy)]
                found.update(row)
        if result.held_out:
            values = " ".join(f"{value:.{DIGITS}g}" for value in result.held_out)
            held_out.append((run.name, result.test_language, result.metric, values))
    lines.sort()
    write_rows(path, chain([RESULT_COLUMNS], ([line] for line in lines)))
    tables = by_steps[max(by_steps, key=STEPS.index, default=STEPS[0])]
    if confusion_path is not None:
        counted = (
            (*where, reference, predicted, n, strategy)
            for (*where, reference, strategy), counts in sorted(tables.items())
            for predicted, n in sorted(counts.items())
        )
        write_rows_if_any(confusion_path, (*CONFUSION_COLUMNS, STRATEGY), counted)
    if held_out_path is not None:
        write_rows_if_any(held_out_path, HELD_OUT_COLUMNS, sorted(held_out))
    return len(lines)


def _take_scores(
    path: Path, tested: dict[str, Any], planned: PlannedRun
) -> dict[str, dict[str, Any]]:
    scores = {lang: tested[lang] for lang in planned.test_languages if lang in tested}
    try:
        for metrics in scores.values():
            _require_numbers(metrics)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise is_damaged(path, error) from error
    return scores


def _require_numbers(metrics: dict[str, Any]) -> None:
    if not isinstance(metrics["n_test"], int):
        raise ValueError("n_test is not a number")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is not a number")


def _lacks_metrics(
    directory: ExperimentDir, planned: PlannedRun, tested: dict[str, Any]
) -> bool:
    """Return whether the task has a metric that was not there when it was scored."""
    metrics = find_task(planned.run.task).metrics
    names = {one.name for one in metrics if not one.per_class}
    lacking = any(names - set(tested.get(x, names)) for x in planned.test_languages)
    return lacking and directory.predictions(planned.run.name, "", "").is_dir()


def _rescore(
    directory: ExperimentDir,
    settings: Settings,
    planned: PlannedRun,
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """Score a run's predictions with the calibrations that it has recorded."""
    run = planned.run
    spec = find_task(run.task)
    code, options = spec.code(), settings.options[run.task]
    scores = {}
    for name in planned.test_languages:
        test_set = read_test_set(directory, run.task, name)
        scores[name] = spec.score(
            options,
            by_speakers(test_set) if name in run.trained_on else test_set,
            directory.predictions(run.name, name, code.PREDICTIONS_SUFFIX),
            metrics.get("calibration", {}).get(name, {}),
        )
    return recorded(scores, run.trained_on)
