"""One way to show progress, on a terminal and in a log file."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    description: str,
    total: int | None = None,
    initial: int = 0,
    unit: str = "it",
) -> tqdm:
    """Wrap ``iterable`` in a progress bar on standard error.

    On a terminal the bar moves; in a log file it adds a line every ten seconds. What is
    done within a second shows none.

    Args:
        iterable: Items to iterate over, or None to call ``update`` directly.
        description: A few words on what is being done.
        total: Number of items, where ``iterable`` has no length.
        initial: Number of items done before.
        unit: Name of one item.
    """
    is_terminal = sys.stderr.isatty()
    return tqdm(
        iterable,
        desc=description,
        total=total,
        initial=initial,
        unit=unit,
        file=sys.stderr if is_terminal else _LogFile(),
        mininterval=0.2 if is_terminal else 10,
        delay=1,
        dynamic_ncols=is_terminal,
    )


class _LogFile:
    """Standard error, with each state of a bar on a line of its own."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()
