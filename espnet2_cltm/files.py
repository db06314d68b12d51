"""Writing files so that a reader sees the whole of one or nothing of it.

A file that marks completion must never exist half-written, whatever kills the
writer. Everything here writes to a temporary name in the same directory and
renames it into place.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from espnet2_cltm.errors import UserError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` when the block ends well.

    On an exception the temporary file is removed and ``path`` stays as it was.

    Args:
        path: The file to be written; missing parent directories are made.

    Yields:
        The temporary path, in the same directory, ending like ``path``.

    Raises:
        UserError: The file system refuses, for instance because it is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=f".tmp{path.suffix}"
        )
    except OSError as error:
        raise cannot_write(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all.

    Raises:
        UserError: The file system refuses, for instance because it is full.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_if_there(*paths: Path) -> None:
    """Remove files that would otherwise be those of earlier contents.

    Raises:
        UserError: The file system refuses.
    """
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error


def cannot_write(path: Path | str, error: OSError) -> UserError:
    """Make the sentence for a file system that refuses ``path``."""
    reason = error.strerror or str(error)
    return UserError(
        f"{path} cannot be written ({reason}): free some space or give a "
        "directory where you may write."
    )


def _current_umask() -> int:
    # The mask can only be read by setting it; done once, at import, before threads.
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _current_umask()
