"""The executor ``local``: workers are processes of this machine.

With GPUs each worker sees one, which it shares with every ``ngpu``-th worker, and
keeps to its share of the cores.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.experiment.completion import RunCounts
from espnet2_cltm.experiment.executors import Workers, last_line
from espnet2_cltm.experiment.layout import ExperimentDir

WORKER = (sys.executable, "-m", "espnet2_cltm.bin.run_worker")


@dataclass
class _Worker:
    process: subprocess.Popen
    log: Path
    is_dead: bool = False


class LocalExecutor:
    """Workers on this machine, which end with the runner.

    Args:
        directory: The experiment.
        nj: Number of worker processes.
        ngpu: Number of GPUs, which the workers share in turn; 0 for the CPU.
        audio_cache: Most MB of prepared test waveforms that a worker keeps.
        keep_models: Of which runs the model is kept, one of ``KEEP_CHOICES``.
        command: What starts a worker; its options are added.
    """

    name = "local"

    def __init__(
        self,
        directory: ExperimentDir,
        nj: int,
        ngpu: int = 0,
        audio_cache: int = 500,
        keep_models: str = "none",
        command: Sequence[str] = WORKER,
    ):
        self._directory = directory
        self._nj = nj
        self._ngpu = ngpu
        self._options = (
            *("--ngpu", str(min(ngpu, 1))),
            *("--audio_cache", str(audio_cache)),
            *("--keep_models", keep_models),
        )
        self._command = command
        self._workers: list[_Worker] = []

    def start(self, n_left: int) -> None:
        """Start the workers, at most one a run."""
        self._directory.logs.mkdir(parents=True, exist_ok=True)
        n_workers = min(self._nj, n_left)
        for index in range(n_workers):
            worker = self._start_worker(index)
            self._workers.append(worker)
            if self._ngpu > 0:
                # CUDA's own threads would otherwise roam over all cores. A worker
                # without GPU has one thread, which the kernel places better.
                os.sched_setaffinity(
                    worker.process.pid, share_of_cores(index, n_workers)
                )

    def look_after(self, counts: RunCounts) -> Workers:
        """Count the workers at work and name those that have died."""
        n_alive = 0
        for worker in self._workers:
            code = worker.process.poll()
            n_alive += code is None
            if code in (None, 0) or worker.is_dead:
                continue
            worker.is_dead = True
            how = signal.Signals(-code).name if code < 0 else f"status {code}"
            hint = " (out of memory?)" if how == "SIGKILL" else ""
            print(
                f"A worker ended with {how}{hint}; its log is {worker.log}.",
                file=sys.stderr,
            )
        return Workers(n_alive)

    def why_ended(self) -> str:
        """Give the last line of a dead worker's log."""
        worker = next((w for w in self._workers if w.is_dead), self._workers[0])
        text = worker.log.read_text(encoding="utf-8", errors="replace")
        return f"{worker.log} tells why: {last_line(text)}"

    def stop(self, is_over: bool) -> None:
        """End the workers, whose runs are free again at once."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.wait()

    def _start_worker(self, index: int) -> _Worker:
        log = self._directory.logs / (
            f"worker.{os.uname().nodename}.{os.getpid()}.{index}.log"
        )
        environment = dict(os.environ)
        if self._ngpu > 0:
            environment["CUDA_VISIBLE_DEVICES"] = device_of(index, self._ngpu)
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [
                    *self._command,
                    *("--exp", str(self._directory.root)),
                    *self._options,
                    *("--parent", str(os.getpid())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        return _Worker(process, log)


def device_of(index: int, ngpu: int) -> str:
    """Name the GPU of a worker, of those that this process may use.

    Args:
        index: Number of the worker, from 0 on.
        ngpu: Number of GPUs to use.

    Returns:
        A value of ``CUDA_VISIBLE_DEVICES``.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given else [str(i) for i in range(ngpu)]
    return names[index % min(ngpu, len(names))]


def share_of_cores(index: int, n_workers: int) -> set[int]:
    """Choose the cores of a worker: an equal share, or all where there are too few.

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
