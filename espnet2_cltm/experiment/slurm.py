"""The executor ``slurm``: workers are jobs of a cluster, submitted through submitit.

One array; each job works until no run is left, whatever becomes of the others. A job
whose time ends is queued again. Jobs outlive the runner: when it is started again it
finds them, by their name, which follows from the experiment's place. While runs are
left it replaces jobs that have ended, as long as that brings runs. squeue is asked, not
sacct, which needs an accounting database that many clusters lack.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import pwd
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import DelayedSubmission

from espnet2_cltm.counting import counted
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.executors import WORKER, WorkerCounts, last_words
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.slurm_settings import SlurmSettings
from espnet2_cltm.experiment.states import RunCounts, log_lines
from espnet2_cltm.files import cannot_write

TIMEOUT_SECONDS = 60

# What path.sh sets, without which a job would find other code or give other sums.
PASSED = (
    *("PYTHONPATH", "PYTHONUTF8", "PYTHONIOENCODING", "LC_ALL"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "TOKENIZERS_PARALLELISM"),
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"),
)


# Of the variables that would overrule a job's script, those that fill in what
# conf/slurm.yaml leaves open.
KEPT = {
    "SBATCH_ACCOUNT": "account",
    "SBATCH_CLUSTERS": "clusters",
    "SBATCH_CONSTRAINT": "constraint",
    "SBATCH_PARTITION": "partition",
    "SBATCH_QOS": "qos",
    "SBATCH_RESERVATION": "reservation",
    "SLURM_CLUSTERS": "clusters",
    "SLURM_CONF": "",
}


class WorkerJob:
    """What runs inside one job: workers on one experiment, in processes of their own.

    submitit calls the job and handles Slurm's signals in its own process: before the
    time is over, and on preemption, it has Slurm queue the job again. As workers are
    separate processes, nothing of that can look like the failure of a run. A job that
    starts again needs no state: the experiment's directory has it all.

    Args:
        options: Options of ``run_worker``.
        n_workers: Number of workers.
    """

    def __init__(self, options: Sequence[str], n_workers: int):
        self.options = tuple(options)
        self.n_workers = n_workers

    def __call__(self) -> None:
        """Have the workers make runs until none is left."""
        command = [*WORKER, *self.options, "--parent", str(os.getpid())]
        workers = [subprocess.Popen(command) for _ in range(self.n_workers)]
        try:
            codes = [worker.wait() for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        failed = next((code for code in codes if code), 0)
        if failed:
            # Not an exception, whose trace would bury the worker's last words.
            sys.exit(failed if failed > 0 else 128 - failed)

    def checkpoint(self) -> DelayedSubmission:
        """Return how to go on after a time-out or preemption: in the same way."""
        return DelayedSubmission(self)


@dataclass(frozen=True)
class QueuedJob:
    """A job that Slurm has not ended.

    Attributes:
        job_id: Slurm's number, such as ``17`` or, of an array, ``17_3``.
        is_running: Whether it is at work; otherwise it waits.
        reason: Slurm's reason why it waits.
    """

    job_id: str
    is_running: bool
    reason: str


class SlurmExecutor:
    """Workers in Slurm jobs.

    Args:
        directory: The experiment, on a file system that the nodes share.
        settings: What each job asks for.
        config: File of the settings, for messages.
        options: Further options of ``run_worker``.
    """

    name = "slurm"

    def __init__(
        self,
        directory: ExperimentDir,
        settings: SlurmSettings,
        config: Path,
        options: Sequence[str] = (),
    ):
        self._directory = directory
        self._settings = settings
        self._config = config
        self._job_name = job_name(directory.root)
        self._job = WorkerJob(
            (
                *("--exp", str(directory.root.resolve())),
                *("--ngpu", str(settings.gpus)),
                *options,
            ),
            settings.workers,
        )
        given = {**settings.sbatch, "partition": settings.partition}
        self._slurm = Slurm({**given, "account": settings.account})
        self._workers = WorkerCounts(0)
        self._jobs: list[QueuedJob] = []
        self._next_look = float("-inf")
        self._n_ended = -1
        self._n_submissions = 0

    def start(self, n_left: int) -> None:
        """Find the experiment's jobs; submit those that are missing.

        Raises:
            UserError: Slurm does not answer or rejects the jobs.
        """
        try:
            self._directory.slurm.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self._directory.slurm, error) from error
        with self._alone():
            found = self._slurm.jobs(self._job_name)
            if found:
                print(
                    f"{counted(len(found), 'job')} of this experiment in Slurm: "
                    f"{_ids(found)}.",
                    file=sys.stderr,
                )
            self._submit(self._wanted(n_left) - len(found))
        # A squeue that fails later must not end the runner.
        self._look()

    def look_after(self, counts: RunCounts) -> WorkerCounts:
        """Ask Slurm for the jobs, not too often, and replace those that have ended.

        Raises:
            UserError: Slurm rejects new jobs.
        """
        if counts.left == 0:
            return WorkerCounts(0)
        if time.monotonic() < self._next_look:
            return self._workers
        try:
            self._look()
            if len(self._jobs) < self._wanted(counts.left):
                self._replace(counts)
        except _RejectedError:
            raise
        except UserError:
            # Slurm's controller restarts now and then; the jobs live on.
            self._workers = WorkerCounts(
                self._workers.running,
                max(self._workers.queued, 1 - self._workers.running),
                "Slurm does not answer",
            )
        self._next_look = time.monotonic() + self._settings.poll_seconds
        return self._workers

    def why_ended(self) -> str:
        """Return the last words of the job that ended last."""
        logs = sorted(
            self._directory.slurm.glob("*_log.out"), key=lambda p: p.stat().st_mtime
        )
        if not logs:
            return f"and no job has left a log in {self._directory.slurm}."
        lines = log_lines(logs[-1])
        errors = [line for line in lines if line.startswith("run_worker.py: error:")]
        return f"{logs[-1]} tells why: {last_words(errors or lines)}"

    def stop(self, is_over: bool) -> None:
        """End jobs that would find nothing to do; leave others at work."""
        if not self._jobs:
            return
        if not is_over:
            print(
                f"Jobs go on in Slurm ({_ids(self._jobs)}): the same command finds "
                f"them, scancel --name={shlex.quote(self._job_name)} ends them.",
                file=sys.stderr,
            )
            return
        try:
            self._slurm.call("scancel", f"--name={self._job_name}", "--state=PENDING")
        except UserError as error:
            print(f"Jobs may be left in Slurm: {error}", file=sys.stderr)

    def _wanted(self, n_left: int) -> int:
        return min(self._settings.jobs, -(-n_left // self._settings.workers))

    def _look(self) -> None:
        self._jobs = self._slurm.jobs(self._job_name)
        n_running = sum(job.is_running for job in self._jobs)
        waiting = [job for job in self._jobs if not job.is_running]
        note = counted(n_running, "job")
        if waiting:
            note += f", {len(waiting)} waiting ({waiting[0].reason})"
        self._workers = WorkerCounts(n_running, len(waiting), note)

    def _replace(self, counts: RunCounts) -> None:
        """Submit jobs in place of those that ended, unless that has brought nothing."""
        n_ended = counts.done + counts.failed
        if n_ended > self._n_ended:
            self._n_ended, self._n_submissions = n_ended, 0
        if self._n_submissions == self._settings.max_submissions:
            return
        with self._alone():
            # Another runner of this experiment may have done it meanwhile.
            n_jobs = len(self._slurm.jobs(self._job_name))
            missing = self._wanted(counts.left) - n_jobs
            self._submit(missing)
            self._n_submissions += missing > 0
        self._look()

    def _submit(self, n_jobs: int) -> None:
        if n_jobs <= 0:
            return
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
            with (
                self._slurm.environment_alone(),
                contextlib.redirect_stderr(io.StringIO()),
                executor.batch(),
            ):
                jobs = [executor.submit(self._job) for _ in range(n_jobs)]
        except (FailedJobError, FailedSubmissionError) as error:
            raise _RejectedError(self._why_rejected(str(error))) from error
        array = jobs[0].job_id.split("_")[0]
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        record = self._directory.slurm / "jobs.txt"
        try:
            with record.open("a") as lines:
                lines.write(f"{now} {array} {n_jobs} jobs\n")
        except OSError as error:
            raise cannot_write(record, error) from error
        print(f"{counted(n_jobs, 'job')} submitted to Slurm: {array}.", file=sys.stderr)

    def _why_rejected(self, message: str) -> str:
        if "invalid partition" in message.lower():
            partitions = self._slurm.call("sinfo", "--noheader", "--format=%R")
            names = [x for x in partitions.splitlines() if not x.startswith("CLUSTER")]
            return (
                f"{self._config}: Slurm has no partition {self._settings.partition}: "
                f"give one of these: {' '.join(map(str.strip, names))}."
            )
        lines = [
            line.removeprefix("sbatch: error: ").strip()
            for line in message.splitlines()
            if line.startswith("sbatch: ")
        ] or message.strip().splitlines()[-1:]
        reason = "; ".join(lines).rstrip(".") or "no reason given"
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


def job_name(root: Path) -> str:
    """Return the name of an experiment's jobs, which no other experiment has."""
    place = str(root.resolve())
    digest = hashlib.blake2b(place.encode(), digest_size=5).hexdigest()
    # A comma would separate names in squeue's option.
    return f"cltm-{root.resolve().name.replace(',', '_')}-{digest}"


class Slurm:
    """Slurm's commands: those of the clusters that jobs go to, for this user's jobs.

    Without their names, squeue lists one cluster only, and jobs that wait on another
    would be submitted again. The caller's own settings of Slurm's commands, such as
    SQUEUE_STATES or SBATCH_JOB_NAME, would lead to the same and are left out.

    Args:
        given: Options that sbatch is given, by name; None where they are left open.
    """

    def __init__(self, given: Mapping[str, str | None]):
        kept = {name for name, option in KEPT.items() if not given.get(option)}
        prefixes = ("SBATCH_", "SQUEUE_", "SCANCEL_", "SINFO_", "SLURM_")
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if name in kept or not name.startswith(prefixes)
        }
        self._clusters = (
            given.get("clusters")
            or given.get("M")
            or self._environment.get("SBATCH_CLUSTERS")
            or self._environment.get("SLURM_CLUSTERS")
        )

    def jobs(self, name: str) -> list[QueuedJob]:
        """Return the jobs of a name that wait or run.

        Raises:
            UserError: Slurm does not answer.
        """
        answer = self.call(
            *("squeue", "--noheader", "--array", f"--name={name}"), "--format=%i|%T|%r"
        )
        jobs, cluster = {}, ""
        for line in map(str.strip, answer.splitlines()):
            if line.startswith("CLUSTER:"):
                cluster = line.partition(":")[2].strip()
                continue
            job_id, _, rest = line.partition("|")
            state, separator, reason = rest.partition("|")
            if not separator or not re.match(r"\d", job_id):
                raise UserError(f"squeue gives an odd answer ('{line}'): try again.")
            job_id = f"{job_id}@{cluster}" if cluster else job_id
            jobs[job_id] = QueuedJob(job_id, state == "RUNNING", reason)
        return list(jobs.values())

    def call(self, command: str, *options: str) -> str:
        """Return what one of Slurm's commands prints.

        Raises:
            UserError: Slurm does not answer.
        """
        words = [command, *options]
        if command != "sinfo":
            words.insert(1, f"--user={_user()}")
        if self._clusters:
            words.insert(1, f"--clusters={self._clusters}")
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
                env=self._environment,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(
                f"{command} cannot be used ({error}): try again when Slurm answers."
            ) from error
        # One cluster of several that is down is told on standard error alone.
        if done.returncode or "error:" in done.stderr:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            reason = lines[-1].rstrip(".")
            raise UserError(
                f"{command} fails ({reason}): try again when Slurm answers."
            )
        return done.stdout

    @contextlib.contextmanager
    def environment_alone(self) -> Iterator[None]:
        """Have other code within the block call Slurm as :meth:`call` does."""
        before = dict(os.environ)
        for name in before.keys() - self._environment.keys():
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(before)


def _user() -> str:
    # Not by LOGNAME, which a change of user may leave.
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _ids(jobs: Sequence[QueuedJob]) -> str:
    return " ".join(sorted({job.job_id.split("_")[0] for job in jobs}))


def _exports(names: Sequence[str]) -> list[str]:
    """Return the commands that hand the environment over, whatever sbatch passes on."""
    lines = [
        f"export {name}={shlex.quote(os.environ[name])}"
        for name in dict.fromkeys((*PASSED, *names))
        if name in os.environ
    ]
    return [*lines, "export SLURM_EXPORT_ENV=ALL"]
