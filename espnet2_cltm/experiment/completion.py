"""Which runs of a plan are done: the one place that decides it."""

import json
from collections.abc import Iterable

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun


def is_done(directory: ExperimentDir, planned: PlannedRun) -> bool:
    """Tell whether a run has all the results that the plan wants of it.

    A single run that was made before a language was added lacks that language's
    zero-shot result and has to be made again: its model was not kept.

    Raises:
        UserError: The run's ``metrics.json`` is damaged.
    """
    path = directory.metrics(planned.run.name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    try:
        return set(planned.test_languages) <= json.loads(text)["test"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete {path.parent} and run stage 4 again."
        ) from error


def runs_left(directory: ExperimentDir, plan: Iterable[PlannedRun]) -> list[PlannedRun]:
    """List the runs that are not done."""
    return [planned for planned in plan if not is_done(directory, planned)]
