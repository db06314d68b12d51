"""Slurm's commands: which jobs of an experiment there are, and ending them.

Jobs are found by their name, which follows from the experiment's place: none is lost
when a runner is killed right after it has submitted some. squeue is asked, not sacct,
which needs an accounting database that many clusters lack.
"""

import getpass
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.errors import UserError

COMMANDS = ("sbatch", "squeue", "scancel", "srun", "scontrol")
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class QueuedJob:
    """A job that Slurm has not ended.

    Attributes:
        job_id: Such as ``17`` or, of an array, ``17_3``.
        is_running: Whether it is at work, else it waits.
        reason: Slurm's reason why it waits.
    """

    job_id: str
    is_running: bool
    reason: str


def require_slurm() -> None:
    """Check that Slurm's commands are there.

    Raises:
        UserError: One is missing.
    """
    for command in COMMANDS:
        if shutil.which(command) is None:
            raise UserError(
                f"Slurm's command {command} is not to be found: run this on a machine "
                "from which jobs are submitted, or set cmd_backend=local in cmd.sh."
            )


def job_name(root: Path) -> str:
    """Give the name of an experiment's jobs, that no other experiment has."""
    place = str(root.resolve())
    digest = hashlib.blake2b(place.encode(), digest_size=5).hexdigest()
    # A comma would separate names in squeue's option.
    return f"cltm-{root.resolve().name.replace(',', '_')}-{digest}"


def queued_jobs(name: str) -> list[QueuedJob]:
    """List the jobs of a name that wait or run.

    Raises:
        UserError: Slurm does not answer.
    """
    answer = _call(
        "squeue",
        "--noheader",
        "--array",
        f"--user={getpass.getuser()}",
        f"--name={name}",
        "--format=%i|%T|%r",
    )
    jobs = []
    for line in answer.splitlines():
        job_id, state, reason = line.strip().split("|", 2)
        jobs.append(QueuedJob(job_id, state == "RUNNING", reason))
    return jobs


def cancel_waiting(name: str) -> None:
    """End the jobs of a name that have not begun.

    Raises:
        UserError: Slurm does not answer.
    """
    user = f"--user={getpass.getuser()}"
    _call("scancel", user, f"--name={name}", "--state=PENDING")


def partitions() -> str:
    """List the partitions, separated by blanks.

    Raises:
        UserError: Slurm does not answer.
    """
    return " ".join(_call("sinfo", "--noheader", "--format=%R").split())


def _call(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(
            f"{command[0]} cannot be used ({error}): try again when Slurm answers."
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        reason = lines[-1].rstrip(".")
        raise UserError(f"{command[0]} fails ({reason}): try again when Slurm answers.")
    return done.stdout
