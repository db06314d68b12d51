"""``conf/slurm.yaml``: what each Slurm job asks for.

Every key has a default but ``time``; the file in ``conf/`` says what each means.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from espnet2_cltm.errors import UserError


@dataclass(frozen=True)
class SlurmSettings:
    """What each job asks for, and how the runner looks after the jobs.

    Attributes:
        time: Minutes after which Slurm ends a job; it is queued again before.
        jobs: Number of jobs, the size of the array.
        workers: Processes that make runs in each job.
        partition: Slurm's partition, None for the cluster's default.
        account: Account that is charged, None for the user's default.
        gpus: GPUs of a job, 0 or 1.
        cpus: Cores of a job.
        memory: Memory of a job, such as ``8G``; None for the cluster's default.
        signal_seconds: How long before its time is over a job is queued again.
        poll_seconds: How often Slurm is asked for the jobs.
        max_submissions: Submissions in a row that bring no run before the runner
            gives up.
        environment: Environment variables that are handed to the jobs.
        setup: Commands that a job's script begins with.
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


_LEAST = {"gpus": 0}


def read_slurm_settings(path: Path) -> SlurmSettings:
    """Read and check ``conf/slurm.yaml``.

    Raises:
        UserError: The file cannot be read, or a key or its value is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        given = yaml.safe_load(text)
        # What YAML takes 4:00:00 for is no number of minutes.
        written = yaml.load(text, yaml.BaseLoader)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): correct slurm_config in cmd.sh."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is no YAML ({reason}): correct it.") from error
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
    if ":" in written["time"]:
        raise UserError(
            f"{path}: time takes minutes, a whole number, not {written['time']}."
        )
    given = {
        key: value
        for key, value in given.items()
        if value is not None or key in ("partition", "account", "memory")
    }
    for key, value in given.items():
        _check(path, key, value, known[key])
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


def _check(path: Path, key: str, value: Any, kind: Any) -> None:
    if kind is int:
        least = _LEAST.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(
                f"{path}: {key} takes a whole number from {least} on, not {value!r}."
            )
    elif kind == list[str]:
        if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
            raise UserError(f"{path}: {key} takes a list of texts, not {value!r}.")
    elif kind == dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(x, str) for x in value):
            raise UserError(f"{path}: {key} takes options and values, not {value!r}.")
    elif value is not None and not isinstance(value, str):
        raise UserError(
            f"{path}: {key} takes a text, not {value!r}: put it between quotes."
        )
