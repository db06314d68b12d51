"""Stage 4: have an executor make all runs, show how far it is, name what failed.

This process stays light: only the workers import torch and ESPnet. A person at another
terminal sees the progress in ``progress.json`` (:class:`ProgressFile`).
"""

import os
import sys
import time
from collections import deque
from datetime import datetime, timezone

from tqdm import tqdm

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.executors import Executor, WorkerCounts
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.states import (
    Claims,
    RunCounts,
    RunStates,
    forget_failures,
    print_failures,
    without_layers,
)
from espnet2_cltm.files import write_json
from espnet2_cltm.progress import progress

POLL_SECONDS, MOST_POLL_SECONDS = 0.5, 30.0
WRITE_SECONDS = 1.0
RATE_SECONDS = 600.0
QUIET_SECONDS = 1800.0


def make_all_runs(
    directory: ExperimentDir,
    executor: Executor,
    retry_failed: bool = True,
    layers: bool = False,
) -> None:
    """Make every run of the plan that is not done.

    Args:
        directory: The experiment.
        executor: Executor whose workers make them.
        retry_failed: Whether runs that failed before are made again; otherwise they
            are named and left as they are.
        layers: Whether the executor's workers measure layers.

    Raises:
        UserError: A run failed, or the workers ended before all runs were done.
    """
    plan = read_plan(directory.plan)
    if retry_failed:
        forget_failures(directory, plan)
    states = RunStates(directory, plan, layers)
    claims = Claims(directory.claims)
    try:
        counts = states.look(claims, is_first=True)
        failed_before = states.failed
        n_failed = f", {counts.failed} failed before" if failed_before else ""
        print(
            f"{counts.planned} runs planned, {counts.done} done before{n_failed}.",
            file=sys.stderr,
        )
        if layers and (lacking := without_layers(directory, plan)):
            print(lacking, file=sys.stderr)
        report = ProgressFile(directory, executor.name)
        if counts.left:
            counts = _have_made(executor, states, claims, report)
        else:
            report.close("failed" if counts.failed else "done", counts)
    finally:
        claims.close()
    if states.failed:
        print_failures(directory, states.failed)
    if set(states.failed) - set(failed_before):
        raise UserError(
            f"{len(states.failed)} of {len(plan)} runs failed, {states.failed[0]} "
            f"first: {directory.failure(states.failed[0])} tells why; put it right and "
            "run stage 4 again, which makes the failed runs only."
        )
    if counts.left:
        raise UserError(
            f"The workers ended before all runs were done ({counts.left} are left), "
            f"{executor.why_ended()} What is done is kept; the same command goes on "
            "from here."
        )


def _have_made(
    executor: Executor, states: RunStates, claims: Claims, report: "ProgressFile"
) -> RunCounts:
    """Have the runs made and show progress until no worker is at work."""
    counts = states.counts
    state = "interrupted"
    watch = _Watch(states, executor.name)
    try:
        executor.start(counts.left)
        with progress(
            description="Making runs",
            total=counts.planned,
            initial=counts.done,
            unit="run",
        ) as bar:
            while True:
                workers = executor.look_after(counts)
                began = time.monotonic()
                # After the workers: what the last of them made is seen.
                counts = states.look(claims)
                looked = time.monotonic() - began
                parts = [f"{counts.running} running", f"{counts.failed} failed"]
                parts += [workers.note] if workers.note else []
                bar.set_postfix_str(", ".join(parts), refresh=False)
                bar.update(counts.done - bar.n)
                if not workers.running and not workers.queued:
                    break
                report.update(counts, workers)
                watch.look(counts)
                # To list 200,000 runs takes a while: at most a tenth of the time.
                time.sleep(min(max(POLL_SECONDS, 9 * looked), MOST_POLL_SECONDS))
            counts = states.look_again_at_failed(claims)
            bar.update(counts.done - bar.n)
        state = "failed" if counts.done < counts.planned else "done"
    except UserError:
        state = "failed"
        raise
    finally:
        try:
            executor.stop(is_over=counts.left == 0)
        finally:
            report.close(state, counts)
    return counts


class _Watch:
    """Names what is being made where no run ends for long: a worker may hang."""

    def __init__(self, states: RunStates, executor: str):
        self._states = states
        self._executor = executor
        self._n_ended = -1
        self._since = 0.0
        self._patience = QUIET_SECONDS

    def look(self, counts: RunCounts) -> None:
        now = time.monotonic()
        n_ended = counts.done + counts.failed
        if n_ended != self._n_ended:
            self._n_ended, self._since, self._patience = n_ended, now, QUIET_SECONDS
        if now - self._since < self._patience:
            return
        self._patience *= 2
        of = "process {}" if self._executor == "local" else "a job"
        made = [f"{n} ({of.format(p)})" for n, p in self._states.running.items()]
        tqdm.write(
            f"No run has ended for {(now - self._since) / 60:.0f} minutes; being made: "
            f"{', '.join(made) or 'none'}. The logs tell how far they are; Ctrl-C ends "
            "the workers, and the same command continues from here.",
            file=sys.stderr,
        )


class ProgressFile:
    """Writer of ``progress.json``, which is replaced as a whole once a second at most.

    ======================== ========================================================
    ``state``                ``running``, ``done``, ``failed`` (ended, with failed
                             runs or without workers) or ``interrupted``; a runner
                             that was killed leaves ``running``, but ``updated`` is
                             older than a minute, and ``process`` has gone
    ``host``, ``process``    machine and number of the runner
    ``executor``             ``local`` or ``slurm``
    ``planned``, ``done``,   numbers of runs
    ``running``, ``failed``
    ``left``                 runs neither done nor failed, running ones included
    ``workers``, ``queued``  processes or jobs at work, and jobs that wait in a queue
    ``runs_per_minute``      over the last ten minutes; null before the first is done
    ``seconds_to_go``        time for what is left at that rate, or null
    ``started``, ``updated`` times of this runner's start and of this file (ISO 8601)
    ======================== ========================================================

    Args:
        directory: The experiment.
        executor: Name of the executor.
    """

    def __init__(self, directory: ExperimentDir, executor: str):
        self._path = directory.progress
        self._executor = executor
        self._started = _now()
        self._written_at = float("-inf")
        self._done_at: deque[tuple[float, int]] = deque()  # over the last minutes

    def update(self, counts: RunCounts, workers: WorkerCounts) -> None:
        """Write the file, unless it was written a moment ago.

        Raises:
            UserError: The file system refuses.
        """
        now = time.monotonic()
        if now - self._written_at >= WRITE_SECONDS:
            self._write("running", counts, workers, now)
            self._written_at = now

    def close(self, state: str, counts: RunCounts) -> None:
        """Write the file for the last time.

        Args:
            state: ``done``, ``failed`` or ``interrupted``.
            counts: The last counts.

        Raises:
            UserError: The file system refuses.
        """
        self._write(state, counts, WorkerCounts(0), time.monotonic())

    def _write(
        self, state: str, counts: RunCounts, workers: WorkerCounts, now: float
    ) -> None:
        per_second = self._runs_per_second(now, counts.done)
        contents = {
            "state": state,
            "host": os.uname().nodename,
            "process": os.getpid(),
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
        write_json(self._path, contents)

    def _runs_per_second(self, now: float, n_done: int) -> float:
        """Return the rate over the last minutes, 0 where it is not known."""
        self._done_at.append((now, n_done))
        while now - self._done_at[0][0] > RATE_SECONDS and len(self._done_at) > 2:
            self._done_at.popleft()
        first_at, n_first = self._done_at[0]
        return max(n_done - n_first, 0) / (now - first_at) if now > first_at else 0.0


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
