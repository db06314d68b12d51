"""``conf/slurm.yaml``: what each Slurm job asks for.

Every key but ``time`` has a default; the file in ``conf/`` says what each means. This
module does without submitit, so that a dry run can read the file anywhere.
"""

import shutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import parse_yaml, read_text

COMMANDS = ("sbatch", "squeue", "scancel", "srun", "scontrol")


@dataclass(frozen=True)
class SlurmSettings:
    """What each job asks for, and how the runner looks after the jobs.

    Attributes:
        time: Minutes after which Slurm ends a job; it is queued again before.
        jobs: Number of jobs, the size of the array.
        workers: Number of processes that make runs in each job.
        partition: Slurm's partition, None for the cluster's default.
        account: Account that is charged, None for the user's default.
        gpus: Number of GPUs of a job, 0 or 1.
        cpus: Number of cores of a job.
        memory: Memory of a job, such as ``8G``; None for the cluster's default.
        signal_seconds: Seconds before its time is over at which a job is queued again.
        poll_seconds: Seconds between two questions to Slurm about the jobs.
        max_submissions: Number of submissions in a row that bring no run before the
            runner gives up.
        environment: Names of environment variables that are handed to the jobs.
        setup: Commands at the beginning of a job's script.
        sbatch: Further options of sbatch, without dashes, and their values.
    """

    time: int
    jobs: int = 16
    workers: int = 1
    partition: str | None = None
    account: str | None = None
    gpus: int = 0
    cpus: int = 1
    memory: str | None = None
    signal_seconds: int = 60
    poll_seconds: int = 10
    max_submissions: int = 3
    environment: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    sbatch: dict[str, Any] = field(default_factory=dict)


def read_slurm_settings(path: Path) -> SlurmSettings:
    """Read and check ``conf/slurm.yaml``.

    Raises:
        UserError: The file cannot be read, or a key or its value is wrong.
    """
    text = read_text(path, "correct --slurm_config, or slurm_config in cmd.sh")
    given = parse_yaml(text, path)
    if not isinstance(given, dict):
        raise UserError(f"{path} holds no keys: copy conf/slurm.yaml and adapt it.")
    known = {f.name: f.type for f in fields(SlurmSettings)}
    for key in given:
        if key not in known:
            raise UserError(
                f"{path} has the unknown key {key}: give {', '.join(known)}; further "
                "options of sbatch belong under sbatch."
            )
    if "time" not in given:
        raise UserError(f"{path} lacks time: give the minutes that a job may take.")
    # YAML takes 4:00:00 for 14400.
    written = str(yaml.load(text, yaml.BaseLoader)["time"])
    if ":" in written:
        raise UserError(f"{path}: time takes minutes, a whole number, not {written}.")
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        if wanted := _what_is_wanted(key, value, known[key]):
            raise UserError(f"{path}: {key} takes {wanted}, not {value!r}.")
    settings = SlurmSettings(**given)
    if settings.gpus > 1:
        raise UserError(
            f"{path}: gpus is {settings.gpus}, but a run uses one GPU at most: give 0 "
            "or 1, and more jobs."
        )
    if settings.signal_seconds >= 60 * settings.time:
        raise UserError(
            f"{path}: signal_seconds ({settings.signal_seconds}) is not less than time "
            f"({settings.time} minutes): give less."
        )
    return settings


def _what_is_wanted(key: str, value: Any, kind: Any) -> str:
    """Return what a key takes where its value is something else, otherwise ""."""
    if kind is int:
        least = 0 if key == "gpus" else 1
        is_right = type(value) is int and value >= least
        wanted = f"a whole number from {least} on"
    elif kind == list[str]:
        is_right = isinstance(value, list) and all(isinstance(x, str) for x in value)
        wanted = "a list of texts"
    elif kind == dict[str, Any]:
        is_right = isinstance(value, dict) and all(isinstance(x, str) for x in value)
        wanted = "options with their values"
    else:
        is_right, wanted = isinstance(value, str), "a text (put it between quotes)"
    return "" if is_right else wanted


def check_slurm(path: Path, ngpu: int) -> SlurmSettings:
    """Read ``conf/slurm.yaml``, and check that jobs can be submitted from here.

    Args:
        path: The file.
        ngpu: ``--ngpu``.

    Raises:
        UserError: The file is wrong, contradicts ``--ngpu``, or Slurm is missing.
    """
    settings = read_slurm_settings(path)
    if ngpu > 0 and settings.gpus == 0:
        raise UserError(
            f"--ngpu {ngpu} was given, but the jobs of {path} have no GPU: set gpus "
            "there to 1, or leave --ngpu out."
        )
    for command in COMMANDS:
        if shutil.which(command) is None:
            raise UserError(
                f"Slurm's command {command} is not on the PATH: run this on a machine "
                "from which jobs are submitted, or make runs here (--executor local, "
                "or cmd_backend=local in cmd.sh)."
            )
    return settings
