"""``progress.json``: how far stage 4 is, for a person at another terminal.

The file is replaced as a whole, at most once a second. Its fields:

``state``            ``running``, ``done``, ``failed`` (ended, with failed runs or
                     without workers) or ``interrupted``; what a killed runner leaves
                     says ``running``, with an ``updated`` that gets older
``executor``         ``local`` or ``slurm``
``planned``, ``done``, ``running``, ``failed``
                     numbers of runs
``left``             runs neither done nor failed, those running included
``workers``, ``queued``
                     processes or jobs at work, and jobs that wait in a queue
``runs_per_minute``  over the last ten minutes, null before the first run is done
``seconds_to_go``    what is left at that rate, null where there is none
``started``, ``updated``
                     times of this runner's start and of this file (ISO 8601, UTC)
"""

import json
import time
from collections import deque
from datetime import datetime, timezone

from espnet2_cltm.experiment.completion import RunCounts
from espnet2_cltm.experiment.executors import Workers
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.files import write_text

WRITE_SECONDS = 1.0
RATE_SECONDS = 600.0


class ProgressFile:
    """Writes an experiment's ``progress.json``.

    Args:
        directory: The experiment.
        executor: ``local`` or ``slurm``.
    """

    def __init__(self, directory: ExperimentDir, executor: str):
        self._path = directory.progress
        self._executor = executor
        self._started = _now()
        self._written_at = float("-inf")
        self._rate = _Rate()

    def update(self, counts: RunCounts, workers: Workers) -> None:
        """Write the file, where the last time is long enough ago.

        Raises:
            UserError: The file system refuses.
        """
        now = time.monotonic()
        if now - self._written_at < WRITE_SECONDS:
            return
        self._rate.note(now, counts.done)
        self._write("running", counts, workers)
        self._written_at = time.monotonic()

    def close(self, state: str, counts: RunCounts) -> None:
        """Write the file for the last time.

        Args:
            state: ``done``, ``failed`` or ``interrupted``.
            counts: The last counts.

        Raises:
            UserError: The file system refuses.
        """
        self._rate.note(time.monotonic(), counts.done)
        self._write(state, counts, Workers(0, 0))

    def _write(self, state: str, counts: RunCounts, workers: Workers) -> None:
        per_second = self._rate.per_second
        contents = {
            "state": state,
            "executor": self._executor,
            "planned": counts.planned,
            "done": counts.done,
            "running": counts.running if state == "running" else 0,
            "failed": counts.failed,
            "left": counts.left,
            "workers": workers.running,
            "queued": workers.queued,
            "runs_per_minute": round(60 * per_second, 2) if per_second else None,
            "seconds_to_go": round(counts.left / per_second) if per_second else None,
            "started": self._started,
            "updated": _now(),
        }
        write_text(self._path, json.dumps(contents, indent=1) + "\n")


class _Rate:
    """Runs done a second, over the last minutes."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, now: float, n_done: int) -> None:
        self._noted.append((now, n_done))
        while now - self._noted[0][0] > RATE_SECONDS and len(self._noted) > 2:
            self._noted.popleft()

    @property
    def per_second(self) -> float:
        if len(self._noted) < 2:
            return 0.0
        (t0, n0), (t1, n1) = self._noted[0], self._noted[-1]
        return max(n1 - n0, 0) / (t1 - t0) if t1 > t0 else 0.0


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
