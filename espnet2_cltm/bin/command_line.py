"""What every entry point shares: messages instead of traces, log format.

Imports nothing of ESPnet: stages that need no training work without it.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from espnet2_cltm.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser whose refusal is one sentence, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message}; --help lists the options.\n")


def run_command(command: Callable[[], None]) -> None:
    """Run an entry point's work and turn a user's mistake into one sentence.

    Exits with status 1 on :class:`UserError` and 130 when interrupted; any other
    exception is a defect of the program and keeps its trace.
    """
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # what a shell gives for SIGPIPE
    except UserError as error:
        sys.stdout.flush()  # the message is the last line of a log of both
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(
            f"{Path(sys.argv[0]).name}: interrupted; what is finished is kept, "
            "the same command goes on from here.",
            file=sys.stderr,
        )
        sys.exit(130)


def configure_logging(level: str = "INFO") -> None:
    """Set ESPnet's log line format for the process."""
    logging.basicConfig(
        level=level,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
