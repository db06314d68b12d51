"""Failed runs: forgotten so that they are made again, and named at the end.

A failed run's ``failed.txt`` holds the reason in its first line and the details below.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.files import remove_if_there

SHOWN = 5
LOG_LINES = 3


def forget_failures(directory: ExperimentDir, plan: Iterable[PlannedRun]) -> None:
    """Remove the failures of a plan's runs, which makes them runs that are left.

    Raises:
        UserError: The file system refuses.
    """
    remove_if_there(*(directory.failure(planned.run.name) for planned in plan))


def describe_failures(directory: ExperimentDir, failed: Sequence[str]) -> str:
    """Tell of a handful of failed runs: reason, end of the log, and where the rest is.

    Args:
        directory: The experiment.
        failed: Names of the failed runs.

    Returns:
        Lines without a line feed at the end.
    """
    lines = []
    for name in failed[:SHOWN]:
        reason = _lines(directory.failure(name))[:1] or ["the reason was not written"]
        lines.append(f"{name} failed: {reason[0]}")
        log = directory.run(name) / "train.log"
        lines += [f"    {line}" for line in _lines(log)[-LOG_LINES:]]
        lines.append(
            f"    (more in {directory.failure(name)} and {log.name} beside it)"
        )
    if len(failed) > SHOWN:
        lines.append(
            f"{len(failed) - SHOWN} more failed; the reason of each is the first line "
            f"of its file {directory.runs}/<run>/failed.txt."
        )
    return "\n".join(lines)


def print_failures(directory: ExperimentDir, failed: Sequence[str]) -> None:
    """Print :func:`describe_failures` on standard error."""
    print(describe_failures(directory, failed), file=sys.stderr)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line[:200] for line in text.strip().splitlines()]
