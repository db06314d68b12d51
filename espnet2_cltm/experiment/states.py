"""The state of each run of a plan: done, failed, being made, or left.

A run is done when its ``metrics.json`` has all that the plan wants, has failed when it
has a ``failed.txt`` instead, and is being made while a living process claims it. That
is decided here alone. The first line of ``failed.txt`` is the reason, the details stand
below it.
"""

import errno
import fcntl
import hashlib
import os
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.results import read_metrics
from espnet2_cltm.files import cannot_write, remove_if_there
from espnet2_cltm.progress import progress

SHOWN_FAILURES = 5
SHOWN_LOG_LINES = 3


class Claims:
    """The claims of this process on one experiment's runs.

    A claim is a POSIX lock on one byte of the experiment's ``claims`` file, at an
    offset that follows from the run's name. The kernel releases it when its process
    ends, however that ends: no two processes make the same run, and none waits for a
    dead one. On a shared file system the lock holds across machines (NFS; Lustre
    mounted with ``flock``, not with ``localflock``), and the file server releases what
    a crashed machine held.

    A process must have one instance only: closing any descriptor of the file releases
    all locks of the process.

    Args:
        path: The experiment's ``claims`` file.

    Raises:
        UserError: The file cannot be opened for writing.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise cannot_write(path, error) from error

    def take(self, name: str) -> bool:
        """Claim a run.

        Returns:
            False where another living process has claimed it.

        Raises:
            UserError: The file system does not support locks.
        """
        try:
            fcntl.lockf(
                self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(name)
            )
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise UserError(
                f"{self.path} cannot be locked ({error.strerror}): put --expdir on a "
                "file system that supports POSIX locks, or have its lock service "
                "started."
            ) from error
        return True

    def holder(self, name: str) -> int | None:
        """Return the living process that has claimed a run, claiming nothing.

        Returns:
            Its number on its machine, which a file server may not tell; None where no
            other process has.
        """
        # Linux's struct flock: type, whence, start, length, process (and padding).
        layout = "hhqqi0q"
        asked = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, _offset(name), 1, 0)
        answer = fcntl.fcntl(self._descriptor, fcntl.F_GETLK, asked)
        state, *_, process = struct.unpack(layout, answer)
        return None if state == fcntl.F_UNLCK else process

    def give_back(self, name: str) -> None:
        """Release a claim."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _offset(name))

    def close(self) -> None:
        """Release all claims."""
        os.close(self._descriptor)


def _offset(name: str) -> int:
    # 62 bits fit a file offset; two runs on one byte would only wait for each other.
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def is_done(
    directory: ExperimentDir, planned: PlannedRun, layers: bool = False
) -> bool:
    """Return whether a run has all the results that are wanted of it.

    A single run that was made before a language was added lacks that language's
    zero-shot result: its model is tested on it where it was kept, otherwise the run is
    made again. One that was made before its layers were asked for is done all the same
    where its model was not kept. One that other runs go on with has its model until
    these are done.

    Args:
        directory: The experiment.
        planned: The run, and what it is tested on.
        layers: Whether its layers are to be measured (``--layers``).

    Raises:
        UserError: The run's ``metrics.json`` is damaged.
    """
    name = planned.run.name
    metrics = read_metrics(directory.metrics(name))
    if metrics is None or not set(planned.test_languages) <= metrics["test"].keys():
        return False
    if lacks_model(directory, planned):
        return False
    return not layers or "layers" in metrics or not directory.model(name).exists()


def lacks_model(directory: ExperimentDir, planned: PlannedRun) -> bool:
    """Return whether other runs wait for a run's model, which is not there."""
    if directory.model(planned.run.name).exists():
        return False
    return not all(directory.metrics(name).exists() for name in planned.needed_by)


def runs_left(
    directory: ExperimentDir, plan: Iterable[PlannedRun], layers: bool = False
) -> list[PlannedRun]:
    """Return the runs of a plan that are not done, see :func:`is_done`."""
    looked_at = progress(plan, description="Looking at runs", unit="run")
    return [planned for planned in looked_at if not is_done(directory, planned, layers)]


def without_layers(directory: ExperimentDir, plan: Iterable[PlannedRun]) -> str | None:
    """Tell how to have the layers of runs that were made before they were asked for.

    Returns:
        A sentence about the runs that are done, were not measured and whose models were
        not kept; None where there are none.

    Raises:
        UserError: A run's ``metrics.json`` is damaged.
    """
    lacking = 0
    for planned in plan:
        name = planned.run.name
        if is_done(directory, planned, layers=True):
            metrics = read_metrics(directory.metrics(name))
            lacking += metrics is not None and "layers" not in metrics
    if not lacking:
        return None
    return (
        f"{lacking} runs were made without --layers true and their models were not "
        f"kept: to have their layers, delete their directories in {directory.runs} and "
        "run stage 4 again with --layers true."
    )


@dataclass(frozen=True)
class RunCounts:
    """Progress of an experiment.

    Attributes:
        planned: Number of runs of the plan.
        done: Number of runs that have all their results.
        failed: Number of runs that were tried and failed.
        running: Number of runs that a living process is making.
    """

    planned: int
    done: int
    failed: int
    running: int

    @property
    def left(self) -> int:
        """Number of runs that are neither done nor failed, running ones included."""
        return self.planned - self.done - self.failed


class RunStates:
    """States of a plan's runs, followed while others make them.

    A look costs one listing of ``runs/`` and a few file accesses for each run that is
    being made, not for each run of the plan.

    Args:
        directory: The experiment.
        plan: Its runs.
        layers: Whether their layers are to be measured.
    """

    def __init__(
        self, directory: ExperimentDir, plan: Sequence[PlannedRun], layers: bool = False
    ):
        self._directory = directory
        self._plan = plan
        self._layers = layers
        self._open = {planned.run.name: planned for planned in plan}
        self._failed: dict[str, PlannedRun] = {}
        self._running: dict[str, int] = {}

    def look(self, claims: Claims, is_first: bool = False) -> RunCounts:
        """Return the counts after what has happened since the last look.

        Args:
            claims: The experiment's claims, of a process that holds none.
            is_first: Whether to show progress, as there may be much to read.

        Raises:
            UserError: A run's ``metrics.json`` is damaged.
        """
        self._running = {}
        names = self._begun()
        if is_first:
            names = progress(names, description="Looking at runs", unit="run")
        for name in names:
            planned = self._open[name]
            if is_done(self._directory, planned, self._layers):
                del self._open[name]
            elif self._directory.failure(name).exists():
                self._failed[name] = self._open.pop(name)
            elif (process := claims.holder(name)) is not None:
                self._running[name] = process
        return self.counts

    def look_again_at_failed(self, claims: Claims) -> RunCounts:
        """Look, at failed runs as well: another runner may have made them since."""
        self._open.update(self._failed)
        self._failed.clear()
        return self.look(claims)

    @property
    def counts(self) -> RunCounts:
        """Counts of the last look."""
        n_ended = len(self._plan) - len(self._open)
        n_failed = len(self._failed)
        n_running = len(self._running)
        return RunCounts(len(self._plan), n_ended - n_failed, n_failed, n_running)

    @property
    def running(self) -> Mapping[str, int]:
        """Processes at the last look, by the run that each was making."""
        return self._running

    @property
    def failed(self) -> list[str]:
        """Names of the failed runs, in the plan's order."""
        return [p.run.name for p in self._plan if p.run.name in self._failed]

    def _begun(self) -> Iterable[str]:
        try:
            with os.scandir(self._directory.runs) as entries:
                return [entry.name for entry in entries if entry.name in self._open]
        except FileNotFoundError:
            return []


def forget_failures(directory: ExperimentDir, plan: Iterable[PlannedRun]) -> None:
    """Remove the failures of a plan's runs, so that these are left to be made.

    Raises:
        UserError: The file system refuses.
    """
    remove_if_there(*(directory.failure(planned.run.name) for planned in plan))


def print_failures(directory: ExperimentDir, failed: Sequence[str]) -> None:
    """Print reason and end of the log of a few failed runs, on standard error.

    Args:
        directory: The experiment.
        failed: Names of all failed runs.
    """
    for name in failed[:SHOWN_FAILURES]:
        path, log = directory.failure(name), directory.run(name) / "train.log"
        reason = log_lines(path)[:1] or ["the reason was not written"]
        lines = [f"{name} failed: {reason[0]}"]
        lines += [f"    {line}" for line in log_lines(log)[-SHOWN_LOG_LINES:]]
        lines.append(f"    (more in {path} and {log.name} beside it)")
        print("\n".join(lines), file=sys.stderr)
    if len(failed) > SHOWN_FAILURES:
        print(
            f"{len(failed) - SHOWN_FAILURES} more failed; the reason of each is the "
            f"first line of its file {directory.runs}/<run>/failed.txt.",
            file=sys.stderr,
        )


def log_lines(path: Path) -> list[str]:
    """Return the lines of a log, cut to 200 characters; none where it is missing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line[:200] for line in text.strip().splitlines()]
