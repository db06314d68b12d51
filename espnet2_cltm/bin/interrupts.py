"""Signals that end a command, at any instant, with one sentence.

Until a command works, the process ends at once: an exception would surface as a trace
from the middle of an import. While it works, the first signal raises KeyboardInterrupt,
so that what is half-written is removed. The second one ends the process at once, and so
does one that falls where Python would only print the exception.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

STATUS = 130  # of every interrupted command, as a shell's for Ctrl-C

_works = False
_received = False
_said = False


def install() -> None:
    """Handle the signals, but for those that the process was started to ignore."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable


@contextmanager
def at_work() -> Iterator[None]:
    """Have the first signal within the block raise KeyboardInterrupt."""
    global _works
    _works = True
    sys.excepthook = sys.__excepthook__  # from here on a trace tells of a defect
    try:
        yield
    finally:
        _works = False


def was_interrupted() -> bool:
    """Return whether a signal has come."""
    return _received


def say() -> int:
    """Say, once, that the command was interrupted, and return its exit status.

    A recipe says it for its steps (tools/signals.sh).
    """
    global _said
    if _said or os.environ.get("CLTM_INTERRUPT_TOLD_BY"):
        return STATUS
    _said = True
    name = os.path.basename(sys.argv[0])
    said = (
        f"{'cltm' if name == '-m' else name}: interrupted; what is finished is kept, "
        "and the same command continues from here.\n"
    )
    os.write(2, said.encode())  # sys.stderr may be what was interrupted
    return STATUS


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _received
    is_first, _received = not _received, True
    if _works and is_first:
        raise KeyboardInterrupt
    os._exit(say())


def _on_unraisable(unraisable: Any) -> None:
    if _received and isinstance(unraisable.exc_value, KeyboardInterrupt):
        os._exit(say())
    sys.__unraisablehook__(unraisable)
