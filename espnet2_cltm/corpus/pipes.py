"""Commands that give audio, as Kaldi allows them in ``wav.scp``: ``command |``.

A command has bounds of time and size, is told apart from its audio where it fails, and
ends with whoever started it. What it does once says nothing about the next time:
nothing of it is remembered but the bytes it gave.
"""

import hashlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator

from espnet2_cltm.errors import UserError

MAX_SECONDS = 600
"""The longest time, in seconds, that a command may take for one recording."""

_BLOCK = 1 << 20
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127  # by POSIX, the shell's status
# Signals that say nothing about a recording: Ctrl-C, scancel, no memory left.
_FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)

_running: set[subprocess.Popen[bytes]] = set()


class CommandFailed(Exception):
    """A command that ended with another status than 0; the message says how."""


def is_pipe(location: str) -> bool:
    """Return whether a value of ``wav.scp`` is a command, as Kaldi's readers see it."""
    return location.rstrip().endswith("|") or location.lstrip().startswith("|")


def read_pipe(location: str) -> Iterator[bytes]:
    """Run a command, and yield what it writes.

    Args:
        location: What ``wav.scp`` holds: a shell command and ``|``.

    Raises:
        CommandFailed: Its status is not 0, or it writes nothing.
        UserError: A program is not found, it was killed, or it takes too long.
    """
    command = location.strip().strip("|").strip()
    with subprocess.Popen(
        command,
        shell=True,  # a pipe in wav.scp is a shell command, by Kaldi's definition
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that all of it can be ended
    ) as process:
        _running.add(process)
        said = bytearray()
        is_empty = True
        try:
            for block in _communicate(process, said, command):
                is_empty = False
                yield block
            status = process.wait()
        finally:
            _end(process, signal.SIGKILL)
            _running.discard(process)
    _check_end(status, is_empty, command, said.decode(errors="replace"))


def pipe_state(location: str) -> str:
    """Run a command, and return a hash of what it gives, or ``failed``.

    Raises:
        UserError: Its program is not found, it was killed, or it takes too long.
    """
    digest = hashlib.sha256()
    try:
        for block in read_pipe(location):
            digest.update(block)
    except CommandFailed:
        return "failed"
    return digest.hexdigest()


def end_running() -> None:
    """End the commands that run, as Ctrl-C would."""
    for process in list(_running):
        _end(process, signal.SIGINT)


def _end(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    # The group may outlive the shell that began it.
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _communicate(
    process: "subprocess.Popen[bytes]", said: bytearray, command: str
) -> Iterator[bytes]:
    assert process.stdout is not None and process.stderr is not None
    deadline = time.monotonic() + MAX_SECONDS
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready or time.monotonic() > deadline:
                raise UserError(
                    f"The command '{_short(command)}' in wav.scp has not finished "
                    f"within {MAX_SECONDS} seconds and was ended: correct it, or take "
                    "the utterance out."
                )
            for key, _ in ready:
                block = os.read(key.fd, _BLOCK)
                if not block:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    yield block
                else:
                    said += block
                    del said[:-2000]


def _check_end(status: int, is_empty: bool, command: str, said: str) -> None:
    """Refuse a command that failed or gave nothing.

    Raises:
        CommandFailed: It ended with another status than 0, or without output.
        UserError: It was killed, or a program that it calls cannot be run.
    """
    if status == 0 and not is_empty:
        return
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = f": {_short(lines[-1])}" if lines else ""
    # The shell reports a program that was killed as 128 + the signal.
    killed_by = -status if status < 0 else status - 128
    if killed_by in _FROM_OUTSIDE:
        raise UserError(
            f"The command '{_short(command)}' was killed by signal {killed_by}: run "
            "the same command again, with a smaller --nj if memory ran out."
        )
    # The last program of a pipeline gives the status, whatever the others miss.
    missing = re.search(r"(\S+): (?:command )?not found$", said, re.MULTILINE)
    if status in (_NOT_FOUND, _NOT_EXECUTABLE) or missing:
        program = missing[1] if missing else command.split(maxsplit=1)[0]
        problem = "cannot be run" if status == _NOT_EXECUTABLE else "is not found"
        raise UserError(
            f"The program {program} {problem}; wav.scp calls it in '{_short(command)}' "
            f"(exit status {status}{last}): install it or correct PATH, and run the "
            "same command again."
        )
    how = f"signal {killed_by}" if killed_by > 0 else f"exit status {status}"
    raise CommandFailed((how if status else "no output") + last)


def _short(text: str) -> str:
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    return text if len(text) <= 200 else f"{text[:197]}..."
