"""The executor ``slurm``: workers are jobs of a cluster, submitted through submitit.

One array; each job works until no run is left, whatever becomes of the others. A job
whose time ends is queued again. Jobs outlive the runner: when it is started again it
finds them. While runs are left it replaces jobs that have ended, as long as that brings
runs.
"""

import contextlib
import fcntl
import io
import os
import shlex
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.completion import RunCounts
from espnet2_cltm.experiment.executors import Workers, last_line
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.slurm_job import WorkerJob
from espnet2_cltm.experiment.slurm_queue import (
    QueuedJob,
    cancel_waiting,
    job_name,
    partitions,
    queued_jobs,
    require_slurm,
)
from espnet2_cltm.experiment.slurm_settings import SlurmSettings
from espnet2_cltm.files import cannot_write

# What path.sh sets, without which a job would find other code or give other sums.
PASSED = (
    *("PYTHONPATH", "PYTHONUTF8", "PYTHONIOENCODING", "LC_ALL"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "TOKENIZERS_PARALLELISM"),
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"),
)


class SlurmExecutor:
    """Workers in Slurm jobs.

    Args:
        directory: The experiment, on a file system that the nodes share.
        settings: What each job asks for.
        config: The file of the settings, for messages.
        audio_cache: Most MB of prepared test waveforms that a worker keeps.
        keep_models: Of which runs the model is kept, one of ``KEEP_CHOICES``.
    """

    name = "slurm"

    def __init__(
        self,
        directory: ExperimentDir,
        settings: SlurmSettings,
        config: Path,
        audio_cache: int = 500,
        keep_models: str = "none",
    ):
        self._directory = directory
        self._settings = settings
        self._config = config
        self._job_name = job_name(directory.root)
        options = (
            *("--exp", str(directory.root.resolve())),
            *("--ngpu", str(settings.gpus)),
            *("--audio_cache", str(audio_cache)),
            *("--keep_models", keep_models),
        )
        self._job = WorkerJob(options, settings.workers)
        self._workers = Workers(0)
        self._jobs: list[QueuedJob] = []
        self._next_look = float("-inf")
        self._n_ended = -1
        self._n_submissions = 0

    def start(self, n_left: int) -> None:
        """Find the experiment's jobs; submit those that are missing.

        Raises:
            UserError: Slurm is missing, does not answer or rejects the jobs.
        """
        require_slurm()
        try:
            self._directory.slurm.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self._directory.slurm, error) from error
        with self._alone():
            found = queued_jobs(self._job_name)
            if found:
                print(
                    f"{_jobs(len(found))} of this experiment in Slurm: {_ids(found)}.",
                    file=sys.stderr,
                )
            missing = self._wanted(n_left) - len(found)
            if missing > 0:
                self._submit(missing)
        # A squeue that fails later must not end the runner.
        self._jobs = queued_jobs(self._job_name)
        self._workers = _count(self._jobs)

    def look_after(self, counts: RunCounts) -> Workers:
        """Ask Slurm for the jobs, not too often, and replace those that have ended.

        Raises:
            UserError: Slurm rejects new jobs.
        """
        if counts.left == 0:
            return Workers(0)
        if time.monotonic() < self._next_look:
            return self._workers
        try:
            self._jobs = queued_jobs(self._job_name)
            self._workers = _count(self._jobs)
            if len(self._jobs) < self._wanted(counts.left):
                self._replace(counts)
        except UserError as error:
            if isinstance(error, _RejectedError):
                raise
            # Slurm's controller restarts now and then; the jobs live on.
            self._workers = Workers(
                self._workers.running,
                max(self._workers.queued, 1 - self._workers.running),
                "Slurm does not answer",
            )
        self._next_look = time.monotonic() + self._settings.poll_seconds
        return self._workers

    def why_ended(self) -> str:
        """Give the last words of the job that ended last."""
        logs = sorted(
            self._directory.slurm.glob("*_log.out"), key=lambda p: p.stat().st_mtime
        )
        if not logs:
            return f"and no job has left a log in {self._directory.slurm}."
        text = logs[-1].read_text(encoding="utf-8", errors="replace")
        errors = [x for x in text.splitlines() if x.startswith("run_worker.py: error:")]
        return f"{logs[-1]} tells why: {last_line(errors[-1] if errors else text)}"

    def stop(self, is_over: bool) -> None:
        """End jobs that would find nothing to do; leave others at work."""
        if is_over:
            if self._jobs:
                try:
                    cancel_waiting(self._job_name)
                except UserError as error:
                    print(f"Jobs may be left in Slurm: {error}", file=sys.stderr)
        elif self._jobs:
            print(
                f"Jobs go on in Slurm ({_ids(self._jobs)}): the same command finds "
                f"them, scancel --name={shlex.quote(self._job_name)} ends them.",
                file=sys.stderr,
            )

    def _wanted(self, n_left: int) -> int:
        return min(self._settings.jobs, -(-n_left // self._settings.workers))

    def _replace(self, counts: RunCounts) -> None:
        """Submit jobs in place of those that ended, unless that has brought nothing."""
        n_ended = counts.done + counts.failed
        if n_ended > self._n_ended:
            self._n_ended, self._n_submissions = n_ended, 0
        if self._n_submissions == self._settings.max_submissions:
            return
        with self._alone():
            # Another runner of this experiment may have done it meanwhile.
            missing = self._wanted(counts.left) - len(queued_jobs(self._job_name))
            if missing > 0:
                self._submit(missing)
                self._n_submissions += 1
        self._jobs = queued_jobs(self._job_name)
        self._workers = _count(self._jobs)

    def _submit(self, n_jobs: int) -> None:
        settings = self._settings
        executor = submitit.SlurmExecutor(self._directory.slurm.resolve())
        parameters = {
            "job_name": self._job_name,
            "time": settings.time,
            "partition": settings.partition,
            "account": settings.account,
            "mem": settings.memory,
            "gpus_per_node": settings.gpus or None,
            "cpus_per_task": settings.cpus,
            "ntasks_per_node": 1,
            "array_parallelism": n_jobs,
            "signal_delay_s": settings.signal_seconds,
            "stderr_to_stdout": True,
            "setup": [*settings.setup, *_exports(settings.environment)],
            "additional_parameters": settings.sbatch,
        }
        executor.update_parameters(
            **{name: value for name, value in parameters.items() if value is not None}
        )
        try:
            # submitit prints what sbatch says besides raising it.
            with contextlib.redirect_stderr(io.StringIO()), executor.batch():
                jobs = [executor.submit(self._job) for _ in range(n_jobs)]
        except (FailedJobError, FailedSubmissionError) as error:
            raise _RejectedError(self._why_rejected(str(error))) from error
        array = jobs[0].job_id.split("_")[0]
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        try:
            with (self._directory.slurm / "jobs.txt").open("a") as record:
                record.write(f"{now} {array} {n_jobs} jobs\n")
        except OSError as error:
            raise cannot_write(record.name, error) from error
        print(f"{_jobs(n_jobs)} submitted to Slurm: {array}.", file=sys.stderr)

    def _why_rejected(self, message: str) -> str:
        lines = [
            line.removeprefix("sbatch: error: ").strip()
            for line in message.splitlines()
            if line.startswith("sbatch: ")
        ] or message.strip().splitlines()[-1:]
        reason = "; ".join(lines).rstrip(".") or "no reason given"
        if "invalid partition" in message.lower():
            return (
                f"{self._config}: Slurm has no partition {self._settings.partition}: "
                f"give one of these: {partitions()}."
            )
        return f"Slurm rejects the jobs ({reason}): correct {self._config}."

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other runners of this experiment from submitting meanwhile."""
        path = self._directory.slurm / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class _RejectedError(UserError):
    """Slurm answers, and says no."""


def _count(jobs: list[QueuedJob]) -> Workers:
    n_running = sum(job.is_running for job in jobs)
    waiting = [job for job in jobs if not job.is_running]
    note = _jobs(n_running)
    if waiting:
        note += f", {len(waiting)} waiting ({waiting[0].reason})"
    return Workers(n_running, len(waiting), note)


def _jobs(n: int) -> str:
    return f"{n} job" if n == 1 else f"{n} jobs"


def _ids(jobs: list[QueuedJob]) -> str:
    return " ".join(sorted({job.job_id.split("_")[0] for job in jobs}))


def _exports(names: list[str]) -> list[str]:
    """Give the commands that hand the environment over, whatever sbatch passes on."""
    lines = [
        f"export {name}={shlex.quote(os.environ[name])}"
        for name in dict.fromkeys((*PASSED, *names))
        if name in os.environ
    ]
    return [*lines, "export SLURM_EXPORT_ENV=ALL"]
