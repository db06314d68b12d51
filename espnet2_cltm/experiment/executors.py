"""What every executor can do: have workers make an experiment's runs, somewhere.

An executor starts workers (:mod:`espnet2_cltm.experiment.worker`), which share the
runs out among themselves by claims, and looks after them. Where they are processes of
this machine or jobs of a cluster, and what that takes, is known to the executor alone;
:mod:`espnet2_cltm.experiment.runner` watches the runs.
"""

from dataclasses import dataclass
from typing import Protocol

from espnet2_cltm.experiment.completion import RunCounts


@dataclass(frozen=True)
class Workers:
    """The workers of an executor.

    Attributes:
        running: Those at work.
        queued: Those that wait for a place.
        note: What a person should know meanwhile, such as why none is at work.
    """

    running: int
    queued: int = 0
    note: str = ""


class Executor(Protocol):
    """Where and how workers run."""

    name: str
    """As it is chosen in cmd.sh."""

    def start(self, n_left: int) -> None:
        """Start workers, at most one a run, or find those that are still at work.

        Args:
            n_left: Number of runs to be made.

        Raises:
            UserError: They can't be started.
        """

    def look_after(self, counts: RunCounts) -> Workers:
        """Say which workers there are, and replace dead ones where that is possible.

        Args:
            counts: How far the experiment is.

        Raises:
            UserError: Workers can't be replaced.
        """

    def why_ended(self) -> str:
        """Say where the workers' logs are, and what the last lines of one are."""

    def stop(self, is_over: bool) -> None:
        """Leave the workers.

        Args:
            is_over: Nothing is left to be made; False when the runner was interrupted
                or the workers are gone.
        """


def last_line(text: str) -> str:
    """Give the last line of a worker's log as the end of a sentence."""
    lines = text.strip().splitlines()
    last = lines[-1] if lines else "it is empty"
    return f"{last.removeprefix('run_worker.py: error: ').rstrip('.')}."
