"""Which runs of a plan are done, have failed or are being made: decided here alone.

A run is done when its ``metrics.json`` has all that the plan wants, has failed when
it has a ``failed.txt`` instead, and is being made when it is claimed.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from espnet2_cltm.experiment.claims import Claims
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.metrics_file import read_metrics
from espnet2_cltm.experiment.plan import PlannedRun


def is_done(directory: ExperimentDir, planned: PlannedRun) -> bool:
    """Tell whether a run has all the results that the plan wants of it.

    A single run that was made before a language was added lacks that language's
    zero-shot result: its model is tested on it where it was kept, else made again.

    Raises:
        UserError: The run's ``metrics.json`` is damaged.
    """
    metrics = read_metrics(directory.metrics(planned.run.name))
    return metrics is not None and set(planned.test_languages) <= metrics["test"].keys()


def runs_left(directory: ExperimentDir, plan: Iterable[PlannedRun]) -> list[PlannedRun]:
    """List the runs that are not done."""
    return [planned for planned in plan if not is_done(directory, planned)]


@dataclass(frozen=True)
class RunCounts:
    """How far an experiment is.

    Attributes:
        planned: Runs of the plan.
        done: Runs that have all their results.
        failed: Runs that were tried and failed.
        running: Runs that a living process is making.
    """

    planned: int
    done: int
    failed: int
    running: int

    @property
    def left(self) -> int:
        """Count the runs that are neither done nor failed, those running included."""
        return self.planned - self.done - self.failed


class RunStates:
    """What has become of a plan's runs, followed while others make them.

    A look costs one listing of ``runs/`` and a few file accesses for each run that
    is being made, not one for each run of the plan.

    Args:
        directory: The experiment.
        plan: Its runs.
    """

    def __init__(self, directory: ExperimentDir, plan: Sequence[PlannedRun]):
        self._directory = directory
        self._plan = plan
        self._open = {planned.run.name: planned for planned in plan}
        self._failed: dict[str, PlannedRun] = {}
        self._running = 0

    def look(self, claims: Claims) -> RunCounts:
        """Look at what has happened since the last look.

        Args:
            claims: The experiment's claims, of a process that holds none.

        Raises:
            UserError: A run's ``metrics.json`` is damaged.
        """
        self._running = 0
        for name in self._begun():
            planned = self._open[name]
            if is_done(self._directory, planned):
                del self._open[name]
            elif self._directory.failure(name).exists():
                self._failed[name] = self._open.pop(name)
            elif claims.is_taken(name):
                self._running += 1
        return self.counts

    def look_again_at_failed(self, claims: Claims) -> RunCounts:
        """Look, at failed runs as well: another runner may have made them since."""
        self._open.update(self._failed)
        self._failed.clear()
        return self.look(claims)

    @property
    def counts(self) -> RunCounts:
        """Count what the last look found."""
        n_ended = len(self._plan) - len(self._open)
        n_failed = len(self._failed)
        return RunCounts(len(self._plan), n_ended - n_failed, n_failed, self._running)

    @property
    def failed(self) -> list[str]:
        """Name the failed runs, in the plan's order."""
        return [p.run.name for p in self._plan if p.run.name in self._failed]

    def _begun(self) -> list[str]:
        try:
            with os.scandir(self._directory.runs) as entries:
                return [entry.name for entry in entries if entry.name in self._open]
        except FileNotFoundError:
            return []
