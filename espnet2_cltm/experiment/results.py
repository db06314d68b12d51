"""Stage 5: the scores of all runs in one table, ``results.tsv``.

One line a run, test language and metric, sorted, values in full precision.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.metrics_file import is_damaged, read_metrics
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.task_registry import testing
from espnet2_cltm.experiment.test_set import read_test_set
from espnet2_cltm.files import write_text
from espnet2_cltm.results_format import RESULT_COLUMNS


@dataclass(frozen=True)
class Result:
    """One value of one run.

    Attributes:
        planned: The run.
        test_language: What it was tested on.
        metric: Name of the metric.
        value: Its value, as the metric is defined.
        n_test: Number of test items.
    """

    planned: PlannedRun
    test_language: str
    metric: str
    value: float
    n_test: int


def collect_results(
    directory: ExperimentDir, plan: Iterable[PlannedRun], rescore: bool = False
) -> Iterator[Result]:
    """Gather the scores of the runs that are done.

    Args:
        directory: The experiment.
        plan: Its runs.
        rescore: Score the predictions again instead of taking the scores that were
            written with the run.

    Yields:
        Results, runs that are not done left out.

    Raises:
        UserError: A run's files are damaged.
    """
    for planned in plan:
        path = directory.metrics(planned.run.name)
        metrics = read_metrics(path)
        if metrics is None:
            continue
        scores = (
            _rescore(directory, planned)
            if rescore
            else _take_scores(path, metrics["test"], planned)
        )
        for lang, metrics in scores.items():
            for metric, value in metrics.items():
                if metric != "n_test":
                    yield Result(planned, lang, metric, value, metrics["n_test"])


def write_results(path: Path, results: Iterable[Result]) -> int:
    """Write ``results.tsv`` and return its number of lines, header not counted."""
    lines = []
    for result in results:
        run = result.planned.run
        fields = (
            run.name,
            run.task,
            run.kind,
            "+".join(run.languages),
            run.budget,
            run.seed,
            result.test_language,
            result.metric,
            repr(float(result.value)),
            result.n_test,
        )
        lines.append("\t".join(map(str, fields)))
    write_text(path, "\n".join(["\t".join(RESULT_COLUMNS), *sorted(lines)]) + "\n")
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
        raise ValueError("n_test is no number")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is no number")


def _rescore(
    directory: ExperimentDir, planned: PlannedRun
) -> dict[str, dict[str, Any]]:
    run = planned.run
    task = testing(run.task)
    return {
        name: task.score(
            read_test_set(directory, run.task, name),
            directory.predictions(run.name, name, task.PREDICTIONS_SUFFIX),
        )
        for name in planned.test_languages
    }
