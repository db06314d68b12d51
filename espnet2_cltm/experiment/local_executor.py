"""Making all runs on this machine: starts workers, shows progress, names failures.

This process stays light: only the workers import torch and ESPnet.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.completion import runs_left
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan
from espnet2_cltm.progress import progress

POLL_SECONDS = 0.5


@dataclass
class _Worker:
    process: subprocess.Popen
    log: Path
    is_dead: bool = False


def run_locally(directory: ExperimentDir, nj: int, ngpu: int, audio_cache: int) -> None:
    """Make every run of the plan that is not done.

    Args:
        directory: The experiment.
        nj: Number of worker processes.
        ngpu: Number of GPUs, which the workers share in turn; 0 for the CPU.
        audio_cache: Most MB of prepared test waveforms that a worker keeps.

    Raises:
        UserError: A run failed, or the workers died.
    """
    plan = read_plan(directory.plan)
    for planned in plan:
        directory.failure(planned.run.name).unlink(missing_ok=True)
    left = runs_left(directory, plan)
    print(
        f"{len(plan)} runs planned, {len(plan) - len(left)} done before.",
        file=sys.stderr,
    )
    if not left:
        return
    workers = [
        _start_worker(directory, index, ngpu, audio_cache)
        for index in range(min(nj, len(left)))
    ]
    try:
        _watch(directory, plan, left, workers)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.wait()
    _name_failures(directory, plan)


def _start_worker(
    directory: ExperimentDir, index: int, ngpu: int, audio_cache: int
) -> _Worker:
    directory.logs.mkdir(parents=True, exist_ok=True)
    log = directory.logs / f"worker.{os.uname().nodename}.{os.getpid()}.{index}.log"
    environment = dict(os.environ)
    if ngpu > 0:
        devices = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = devices.split(",") if devices else [str(i) for i in range(ngpu)]
        environment["CUDA_VISIBLE_DEVICES"] = names[index % min(ngpu, len(names))]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "espnet2_cltm.bin.run_worker",
                "--exp",
                str(directory.root),
                "--ngpu",
                str(min(ngpu, 1)),
                "--audio_cache",
                str(audio_cache),
                "--parent",
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    return _Worker(process, log)


def _watch(
    directory: ExperimentDir,
    plan: Sequence[PlannedRun],
    left: Sequence[PlannedRun],
    workers: Sequence[_Worker],
) -> None:
    """Show progress until all workers have ended."""
    with progress(
        description="Making runs",
        total=len(plan),
        initial=len(plan) - len(left),
        unit="run",
    ) as bar:
        while any(worker.process.poll() is None for worker in workers):
            time.sleep(POLL_SECONDS)
            left = runs_left(directory, left)
            bar.update(len(plan) - len(left) - bar.n)
            _notice_deaths(workers)
        left = runs_left(directory, left)
        bar.update(len(plan) - len(left) - bar.n)
    _notice_deaths(workers)
    has_failures = any(directory.failure(p.run.name).exists() for p in left)
    if left and not has_failures:
        log = next((w.log for w in workers if w.is_dead), workers[0].log)
        raise UserError(
            f"The workers ended before all runs were done ({len(left)} are left), "
            f"{log} tells why: {_last_line(log)} What is done is kept; the same "
            "command goes on from here."
        )


def _notice_deaths(workers: Sequence[_Worker]) -> None:
    for worker in workers:
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


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1] if lines else "it is empty"
    return f"{last.removeprefix('run_worker.py: error: ').rstrip('.')}."


def _name_failures(directory: ExperimentDir, plan: Sequence[PlannedRun]) -> None:
    failed = [
        (p.run.name, directory.failure(p.run.name))
        for p in plan
        if directory.failure(p.run.name).exists()
    ]
    if not failed:
        return
    for name, failure in failed[:10]:
        reason = failure.read_text(encoding="utf-8").splitlines()[0]
        print(f"{name} failed: {reason}", file=sys.stderr)
    raise UserError(
        f"{len(failed)} of {len(plan)} runs failed, {failed[0][0]} first: "
        f"{failed[0][1]} tells why; put it right and run stage 4 again, which makes "
        "the failed runs only."
    )
