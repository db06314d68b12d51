"""Reading and writing files: errors in one sentence, files complete or not at all.

Text, YAML, JSON and tables are read here; a missing or damaged file raises a
:class:`.UserError` that names the file, the line where there is one, and what to do.

A file that marks completion must never be half-written, whatever kills the writer.
Everything here writes to a temporary name in the same directory and renames it.
"""

import fcntl
import json
import math
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from espnet2_cltm.errors import UserError, foreign

YAML_ENDINGS = (".yaml", ".yml")

_MOST_NODES = 1_000_000
"""Values in a YAML file, aliases counted with all that they stand for."""


def shipped(path: Path | str) -> Path:
    """Return a file of ``conf/``: below the working directory, or the package's own.

    Args:
        path: Path such as ``conf/languages.yaml``; others are returned as they are.
    """
    own = Path(__file__).parent / path
    is_ours = Path(path).parts[:1] == ("conf",) and own.exists()
    return own if is_ours and not Path(path).exists() else Path(path)


def read_text(path: Path | str, remedy: str) -> str:
    """Read a text file.

    Args:
        path: UTF-8 file, with or without a byte order mark.
        remedy: What to do if the file cannot be read, such as "run stage 3 first".

    Raises:
        UserError: The file cannot be read, or is not UTF-8.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A device or a pipe may have no end.
            raise UserError(f"{path} is not a file, but a device or a pipe: {remedy}.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): {remedy}."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): convert "
            "the file to UTF-8."
        ) from error


def file_version(path: Path | str) -> tuple[int, ...]:
    """Return what changes whenever a file does, or nothing if the file is missing."""
    path = Path(path)
    if not path.is_file():
        return ()
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


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
    for name in content:
        # YAML reads a bare no, on or off as a truth value.
        if not isinstance(name, str):
            raise UserError(
                f"{path} must be {what}, and {name!r} cannot be a name in it: write "
                "it in quotes, or correct it."
            )
    return content


def parse_yaml(text: str, path: Path | str) -> Any:
    """Parse YAML of plain values.

    Dates stay the texts that they are written as.

    Args:
        text: Content of the file.
        path: Name of the file, for the message.

    Raises:
        UserError: The text is not YAML, has a name twice, refers to itself, or grows
            without bounds where its aliases are filled in.
    """
    try:
        with foreign(f"{path} is not valid YAML", "correct it"):
            loader = _PlainLoader(text)
            node = loader.get_single_node()
            if node is None:
                return None
            _count_nodes(node, {})
            return loader.construct_document(node)
    except UserError as error:
        mark = getattr(error.__cause__, "problem_mark", None)
        if mark is None:
            raise
        why = getattr(error.__cause__, "problem", None) or "unreadable"
        raise UserError(
            f"{path}, line {mark.line + 1}, is not valid YAML ({why}): correct it."
        ) from error.__cause__


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader without dates, which no configuration has."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's interface)
        first: [entry for entry in entries if not entry[0].endswith(":timestamp")]
        for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _count_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values below a node, aliases as often as they are used.

    Raises:
        yaml.MarkedYAMLError: A name is there twice, an alias contains itself, or there
            are too many values.
    """

    def refuse(problem: str, where: yaml.Node = node) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)

    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if known[id(node)] == 0:
            raise refuse("it contains itself")
        return known[id(node)]
    known[id(node)] = 0
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        names = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if name in names:
                raise refuse(f"{key.value} is there twice", key)
            names.add(name)
        parts = [part for pair in node.value for part in pair]
    total = 1 + sum(_count_nodes(part, known) for part in parts)
    if total > _MOST_NODES:
        raise refuse(f"it holds more than {_MOST_NODES} values")
    known[id(node)] = total
    return total


def finite(value: float) -> float | None:
    """Return a number for JSON, which has no NaN and no infinity; None for these."""
    return float(value) if math.isfinite(value) else None


def for_json(value: Any) -> Any:
    """Return what may hold NaN and infinity, None in their place, however nested."""
    if isinstance(value, Mapping):
        return {key: for_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [for_json(one) for one in value]
    return finite(value) if isinstance(value, float) else value


def is_git_lfs_pointer(path: Path) -> bool:
    """Return whether a file stands for one that Git LFS has not fetched."""
    prefix = b"version https://git-lfs.github.com/spec/"
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(prefix)) == prefix


def read_json(path: Path | str, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        remedy: What to do if the file cannot be read or is damaged.

    Raises:
        UserError: The file cannot be read, or is not JSON.
    """
    text = read_text(path, remedy)
    with foreign(f"{path} is damaged", remedy):
        return json.loads(text)


def read_rows(
    path: Path | str,
    header: Sequence[str],
    what: str,
    remedy: str,
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[list[str]]:
    """Read the rows of a tab-separated table.

    Args:
        path: The file.
        header: Names of its columns, in order.
        what: What it should be, such as "a list of utterances".
        remedy: What to do if the file cannot be read or is something else.
        defaults: Columns that an older file may lack, and the value of their fields.

    Yields:
        The fields of each line after the header, in the order of ``header``.

    Raises:
        UserError: The file cannot be read or has another header, or a line has a wrong
            number of fields.
    """
    lines = read_text(path, remedy).split("\n")
    found = lines[0].split("\t")
    lacking = {name for name in defaults if name not in found}
    if found != [name for name in header if name not in lacking]:
        why = "unknown header" if lines[0] else "it is empty"
        raise UserError(f"{path} is not {what} ({why}): {remedy}.")
    for number, line in enumerate(lines[1:], start=2):
        if not line and number == len(lines):
            return
        fields = line.split("\t")
        if len(fields) != len(found):
            raise UserError(
                f"{path}, line {number}, has {len(fields)} fields instead of "
                f"{len(found)}: {remedy}."
            )
        row = {**defaults, **dict(zip(found, fields, strict=True))}
        yield [row[name] for name in header]


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
    place = f"{os.uname().nodename}.{os.getpid()}"
    temporary = path.with_name(
        f".{path.name}.{place}.{secrets.token_hex(4)}.tmp{path.suffix}"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        # With the permissions that any new file gets.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _remove_abandoned(path: Path) -> None:
    """Remove what killed processes left of writing ``path``.

    That is told by the process's number on this machine; what another machine's process
    writes is left alone, since it may live.
    """
    ours = f".{path.name}.{os.uname().nodename}."
    for name in os.listdir(path.parent):
        if name.startswith(ours) and name.endswith(f".tmp{path.suffix}"):
            process = name.removeprefix(ours).partition(".")[0]
            if process.isdecimal() and not Path("/proc", process).exists():
                remove_if_there(path.with_name(name))


def write_text(path: Path | str, text: str | Iterable[str]) -> None:
    """Write ``text``, or the parts of one, as UTF-8, completely or not at all.

    Raises:
        UserError: The file system refuses, for instance because it is full.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines([text] if isinstance(text, str) else text)


def write_rows(path: Path | str, rows: Iterable[Iterable[object]]) -> None:
    """Write a tab-separated table, the names of its columns as the first row.

    Raises:
        UserError: The file system refuses.
    """
    write_text(path, ("\t".join(map(str, row)) + "\n" for row in rows))


def write_rows_if_any(
    path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]
) -> None:
    """Write a table that has rows; without any, remove one of an earlier call.

    Raises:
        UserError: The file system refuses.
    """
    rows = list(rows)
    if rows:
        write_rows(path, [columns, *rows])
    else:
        remove_if_there(path)


def write_json(path: Path | str, content: Any, allow_nan: bool = False) -> None:
    """Write a JSON file, in UTF-8, that people can read as well.

    Raises:
        UserError: The file system refuses.
        ValueError: There is NaN or infinity, which ``allow_nan`` does not allow.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=allow_nan)
    write_text(path, f"{text}\n")


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


def claim(settings: Mapping[str, Any], outdir: Path, what: str) -> None:
    """Mark a directory as that of these settings, by ``settings.json``.

    Args:
        settings: Settings that what is there was made with, of values for JSON.
        outdir: Directory.
        what: What it holds, in the plural.

    Raises:
        UserError: It is that of other settings, or ``settings.json`` is damaged.
    """
    path = outdir / "settings.json"
    wanted = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, wanted)
        return
    there = read_json(path, f"delete {outdir} and start again")
    different = [name for name in wanted if there.get(name) != wanted[name]]
    if different:
        name = different[0]
        raise UserError(
            f"{outdir} holds {what} of another setting ({name}: {there.get(name)}, "
            f"now {wanted[name]}): give another directory, or delete it."
        )
