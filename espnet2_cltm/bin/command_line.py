"""What all entry points share: messages instead of traces, and the log format.

Imports nothing from ESPnet, so that stages without training work without it.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from espnet2_cltm.bin import interrupts
from espnet2_cltm.errors import UserError


class Parser(argparse.ArgumentParser):
    """Parser that refuses arguments in one sentence, without listing all options."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message}; --help lists the options.\n")


def run_command(command: Callable[[], None]) -> None:
    """Run an entry point's work, and print a user's mistake as one sentence.

    Exits with status 1 on :class:`UserError` and 130 on an interrupt; any other
    exception is a defect of the program and keeps its trace.
    """
    try:
        with interrupts.at_work():
            command()
        sys.stdout.flush()
    except BaseException as error:
        # Libraries turn an interrupt in the middle of their work into other errors.
        if interrupts.was_interrupted() or isinstance(error, KeyboardInterrupt):
            sys.stdout.flush()
            sys.exit(interrupts.say())
        if isinstance(error, BrokenPipeError):  # the reader, such as head, has stopped
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)  # a shell's status for SIGPIPE
        if not isinstance(error, UserError):
            raise
        sys.stdout.flush()  # so that the message ends a log of both streams
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        sys.exit(1)


def configure_logging(level: str = "INFO") -> None:
    """Set ESPnet's log line format for the process."""
    logging.basicConfig(
        level=level,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
