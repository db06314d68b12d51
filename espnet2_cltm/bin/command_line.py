"""What all entry points share: messages instead of traces, and the log format.

Imports nothing from ESPnet, so that stages without training work without it.
"""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from espnet2_cltm.bin import interrupts
from espnet2_cltm.errors import UserError
from espnet2_cltm.options import Option, add_options


class Parser(argparse.ArgumentParser):
    """Parser that refuses arguments in one sentence, without listing all options."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message}; --help lists the options.\n")

    def add_path(self, name: str, help: str) -> None:
        """Add an option that takes a path and has to be given."""
        self.add_argument(f"--{name}", type=Path, required=True, help=help)


def parser_of(
    description: str, options: Iterable[Option] = (), **paths: str
) -> Callable[[], argparse.ArgumentParser]:
    """Return a command's ``get_parser``, which defines its options.

    Args:
        description: What the command does, for its help.
        options: Declared options.
        **paths: What each path is that has to be given, by its option's name.
    """

    def get_parser() -> argparse.ArgumentParser:
        parser = Parser(description=description)
        for name, text in paths.items():
            parser.add_path(name, text)
        add_options(parser, options)
        return parser

    return get_parser


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
            _drop_output()
            sys.exit(141)  # a shell's status for SIGPIPE
        said = str(error) if isinstance(error, UserError) else _refusal(error)
        if not said:
            raise
        try:
            sys.stdout.flush()  # so that the message ends a log of both streams
        except OSError:
            _drop_output()
        print(f"{Path(sys.argv[0]).name}: error: {said}", file=sys.stderr)
        sys.exit(1)


def entry_point(work: Callable[[list[str]], None]) -> Callable[..., None]:
    """Return a command's ``main``.

    Args:
        work: What is done with the arguments.

    Returns:
        Function of the arguments; given none, it takes those of the command line.
    """

    def main(cmd: Sequence[str] | None = None) -> None:
        """Run the command with the arguments given, or those of the command line."""
        run_command(lambda: work(list(sys.argv[1:] if cmd is None else cmd)))

    return main


def command(
    get_parser: Callable[[], argparse.ArgumentParser],
    work: Callable[[argparse.Namespace], None],
    log_level: str | None = None,
) -> Callable[..., None]:
    """Return the ``main`` of a command that has a parser.

    Args:
        get_parser: Function that returns the parser of its options.
        work: What is done with their values.
        log_level: Least level that is logged; by default that of ``--log_level``, or
            else logging stays as it is.
    """

    def parse_and_work(arguments: list[str]) -> None:
        args = get_parser().parse_args(arguments)
        if level := log_level or getattr(args, "log_level", None):
            configure_logging(level)
        work(args)

    return entry_point(parse_and_work)


def _drop_output() -> None:
    """Keep Python from trying again, at its end, what cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space of your quota there",
    errno.EROFS: "choose directories that can be written",
    errno.EACCES: "choose files and directories that are open to you",
    errno.EPERM: "choose files and directories that are open to you",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "have more open files allowed on this machine",
    errno.EAGAIN: "allow more processes (ulimit -u), or lower --nj",
    errno.ENOMEM: "lower --nj, or use a machine with more memory",
    errno.EIO: "check the disk or the file server",
    errno.ESTALE: "check the file server",
    errno.ENOLCK: "have the file server's lock service started",
    errno.ENAMETOOLONG: "shorten the name",
}


def _refusal(error: BaseException) -> str:
    """Return a sentence where the system refused something; empty for other errors."""
    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    elif isinstance(error, RuntimeError) and "start new thread" in str(error):
        error = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    if not isinstance(error, OSError) or error.errno not in _REMEDIES:
        return ""
    where = f" for {error.filename}" if error.filename else ""
    return (
        f"the system refuses{where} ({error.strerror}): {_REMEDIES[error.errno]}, and "
        "run the same command again."
    )


def configure_logging(level: str = "INFO") -> None:
    """Set ESPnet's log line format for the process."""
    logging.basicConfig(
        level=level,
        format="%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s",
    )
