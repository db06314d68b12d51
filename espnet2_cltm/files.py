"""Reading and writing files: errors in one sentence, files complete or not at all.

Text, YAML, JSON and tables are read here; a missing or damaged file raises a
:class:`.UserError` that names the file, the line where there is one, and what to do.

A file that marks completion must never be half-written, whatever kills the writer.
Everything here writes to a temporary name in the same directory and renames it.
"""

import fcntl
import json
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from espnet2_cltm.errors import UserError


def read_text(path: Path | str, remedy: str) -> str:
    """Read a text file.

    Args:
        path: UTF-8 file.
        remedy: What to do if the file cannot be read, such as "run stage 3 first".

    Raises:
        UserError: The file cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): {remedy}."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): convert "
            "the file to UTF-8."
        ) from error


def read_mapping(
    path: Path | str, what: str, remedy: str = "correct its path"
) -> dict[str, Any]:
    """Read a YAML file of ``name: value`` lines.

    Args:
        path: The file.
        what: What it should be, such as "a training configuration of ESPnet".
        remedy: What to do if the file cannot be read.

    Raises:
        UserError: The file cannot be read, is not YAML, or holds something else.
    """
    content = parse_yaml(read_text(path, remedy), path)
    if not isinstance(content, dict):
        raise UserError(f"{path} must be {what}: write 'name: value' lines.")
    return content


def parse_yaml(text: str, path: Path | str) -> Any:
    """Parse YAML.

    Args:
        text: Content of the file.
        path: Name of the file, for the message.

    Raises:
        UserError: The text is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}," if mark else ""
        why = getattr(error, "problem", None) or "unreadable"
        raise UserError(f"{path}{where} is not valid YAML ({why}): correct it.") from (
            error
        )


def read_json(path: Path | str, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        remedy: What to do if the file cannot be read or is damaged.

    Raises:
        UserError: The file cannot be read, or is not JSON.
    """
    try:
        return json.loads(read_text(path, remedy))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}.") from error


def read_rows(
    path: Path | str, header: Sequence[str], what: str, remedy: str
) -> Iterator[list[str]]:
    """Read the rows of a tab-separated table.

    Args:
        path: The file.
        header: Names of its columns, in order.
        what: What it should be, such as "a list of utterances".
        remedy: What to do if the file cannot be read or is something else.

    Yields:
        The fields of each line after the header.

    Raises:
        UserError: The file cannot be read or has another header, or a line has a wrong
            number of fields.
    """
    lines = read_text(path, remedy).split("\n")
    if lines[0].split("\t") != list(header):
        why = "unknown header" if lines[0] else "it is empty"
        raise UserError(f"{path} is not {what} ({why}): {remedy}.")
    for number, line in enumerate(lines[1:], start=2):
        if not line and number == len(lines):
            return
        fields = line.split("\t")
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {number}, has {len(fields)} fields instead of "
                f"{len(header)}: {remedy}."
            )
        yield fields


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that is renamed to ``path`` when the block succeeds.

    On an exception the temporary file is removed and ``path`` stays as it was.

    Args:
        path: File to write; missing parent directories are made.

    Yields:
        The temporary path, in the same directory and with the same suffix.

    Raises:
        UserError: The file system refuses, for instance because it is full.
    """
    path = Path(path)
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp{path.suffix}"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # With the permissions that any new file gets.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, completely or not at all.

    Raises:
        UserError: The file system refuses, for instance because it is full.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_if_there(*paths: Path) -> None:
    """Remove files, such as those left from an earlier call.

    Raises:
        UserError: The file system refuses.
    """
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error


def cannot_write(path: Path | str, error: OSError) -> UserError:
    """Return the error for a file system that refuses to write ``path``."""
    reason = error.strerror or str(error)
    return UserError(
        f"{path} cannot be written ({reason}): free some space or choose a "
        "directory that you may write to."
    )


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Wait until no other process works in a directory, then hold its lock.

    The lock is released when the process ends, however it ends.

    Args:
        directory: Directory, made if it is missing.

    Raises:
        UserError: The file system refuses.
    """
    path = directory / ".lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise cannot_write(path, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{directory}: another process is at work; waiting.", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            # Some cluster file systems have no locks; renaming still keeps every
            # file complete.
            print(
                f"{directory} cannot be locked ({error.strerror}); do not start a "
                "second process on it.",
                file=sys.stderr,
            )
        yield
