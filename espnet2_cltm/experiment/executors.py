"""Where workers run: what every executor can do, and the one for this machine.

An executor starts workers (:mod:`espnet2_cltm.experiment.worker`), which share the runs
of an experiment among themselves by claims, and looks after them. Whether they are
processes of this machine or jobs of a cluster (:mod:`espnet2_cltm.experiment.slurm`) is
known to the executor alone; :mod:`espnet2_cltm.experiment.runner` watches the runs.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.states import RunCounts, log_lines

STOP_SECONDS = 5.0
MOST_REPLACED = 10  # dead workers, on average of a place
# By a signal, or with the status of a command that was interrupted.
ASKED_TO_END = (-signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, 130)
WORKER = (sys.executable, "-m", "espnet2_cltm.bin.run_worker")


@dataclass(frozen=True)
class WorkerCounts:
    """Workers of an executor.

    Attributes:
        running: Number of those at work.
        queued: Number of those that wait for a place.
        note: What a person should know meanwhile, such as why none is at work.
    """

    running: int
    queued: int = 0
    note: str = ""


class Executor(Protocol):
    """Where and how workers run."""

    name: str
    """Name in cmd.sh."""

    def start(self, n_left: int) -> None:
        """Start workers, at most one a run, or find those that are still at work.

        Args:
            n_left: Number of runs to be made.

        Raises:
            UserError: They cannot be started.
        """

    def look_after(self, counts: RunCounts) -> WorkerCounts:
        """Count the workers, and replace dead ones where that is possible.

        Args:
            counts: Progress of the experiment.

        Raises:
            UserError: Workers cannot be replaced.
        """

    def why_ended(self) -> str:
        """Return where the workers' logs are, and the last line of one."""

    def stop(self, is_over: bool) -> None:
        """Leave the workers.

        Args:
            is_over: Whether nothing is left to be made; False when the runner was
                interrupted or the workers are gone.
        """


def last_words(lines: Sequence[str]) -> str:
    """Return the last line of a worker's log as the end of a sentence."""
    last = lines[-1] if lines else "it is empty"
    return f"{last.removeprefix('run_worker.py: error: ').rstrip('.')}."


@dataclass
class _Worker:
    process: subprocess.Popen
    log: Path
    n_left: int  # runs that were left when it was started
    is_dead: bool = False


class LocalExecutor:
    """Workers that are processes of this machine and end with the runner.

    One that dies, and was not asked to, is replaced if any run has ended since it was
    started: a process may lose its GPU, or what was left of the memory, after many runs
    that went well.

    With GPUs each worker sees one, which it shares with every ``ngpu``-th worker, and
    keeps to its share of the cores.

    Args:
        directory: The experiment.
        nj: Number of workers.
        ngpu: Number of GPUs, which the workers share in turn; 0 for the CPU.
        options: Further options of ``run_worker``.
        command: Command that starts a worker; its options are added.
    """

    name = "local"

    def __init__(
        self,
        directory: ExperimentDir,
        nj: int,
        ngpu: int = 0,
        options: Sequence[str] = (),
        command: Sequence[str] = WORKER,
    ):
        self._directory = directory
        self._nj = nj
        self._ngpu = ngpu
        self._command = [
            *command,
            *("--exp", str(directory.root)),
            *("--ngpu", str(min(ngpu, 1))),
            *options,
            *("--parent", str(os.getpid())),
        ]
        self._workers: list[_Worker] = []
        self._n_started = 0

    def start(self, n_left: int) -> None:
        """Start the workers, at most one a run."""
        self._directory.logs.mkdir(parents=True, exist_ok=True)
        self._nj = min(self._nj, n_left)
        for index in range(self._nj):
            self._workers.append(self._start_worker(index, n_left))

    def look_after(self, counts: RunCounts) -> WorkerCounts:
        """Count the workers at work; name those that have died, and replace them."""
        for index, worker in enumerate(self._workers):
            code = worker.process.poll()
            if code in (None, 0) or worker.is_dead:
                continue
            worker.is_dead = True
            how = signal.Signals(-code).name if code < 0 else f"status {code}"
            hint = " (out of memory?)" if how == "SIGKILL" else ""
            print(
                f"A worker ended with {how}{hint}; its log is {worker.log}.",
                file=sys.stderr,
            )
            is_spent = self._n_started >= (1 + MOST_REPLACED) * self._nj
            is_unasked = code not in ASKED_TO_END
            if is_unasked and 0 < counts.left < worker.n_left and not is_spent:
                self._workers[index] = self._start_worker(index, counts.left)
                print("Another one takes its place.", file=sys.stderr)
        return WorkerCounts(sum(w.process.poll() is None for w in self._workers))

    def why_ended(self) -> str:
        """Return the last line of a dead worker's log."""
        worker = next((w for w in self._workers if w.is_dead), self._workers[0])
        return f"{worker.log} tells why: {last_words(log_lines(worker.log))}"

    def stop(self, is_over: bool) -> None:
        """End the workers, whose runs are free again at once."""
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(deadline - time.monotonic(), 0))
            if worker.process.poll() is None:
                print(
                    f"A worker (process {worker.process.pid}) does not react and is "
                    f"killed; its log is {worker.log}.",
                    file=sys.stderr,
                )
                worker.process.kill()

    def _start_worker(self, index: int, n_left: int) -> _Worker:
        log = self._directory.logs / (
            f"worker.{os.uname().nodename}.{os.getpid()}.{self._n_started}.log"
        )
        self._n_started += 1
        environment = dict(os.environ)
        if self._ngpu > 0:
            environment["CUDA_VISIBLE_DEVICES"] = device_of(index, self._ngpu)
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        if self._ngpu > 0:
            # CUDA's own threads would otherwise roam over all cores. A worker without
            # GPU has one thread, which the kernel places better.
            os.sched_setaffinity(process.pid, share_of_cores(index, self._nj))
        return _Worker(process, log, n_left)


def device_of(index: int, ngpu: int) -> str:
    """Return the GPU of a worker, one of those that this process may use.

    Args:
        index: Number of the worker, from 0 on.
        ngpu: Number of GPUs to use.

    Returns:
        Value of ``CUDA_VISIBLE_DEVICES``.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given else [str(i) for i in range(ngpu)]
    return names[index % min(ngpu, len(names))]


def share_of_cores(index: int, n_workers: int) -> set[int]:
    """Return the cores of a worker: an equal share, or all where there are too few.

    Args:
        index: Number of the worker, from 0 on.
        n_workers: Number of workers.

    Returns:
        Numbers of cores, of those that this process may use.
    """
    cores = sorted(os.sched_getaffinity(0))
    if n_workers > len(cores):
        return set(cores)
    first, end = (len(cores) * k // n_workers for k in (index, index + 1))
    return set(cores[first:end])
