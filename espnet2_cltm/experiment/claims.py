"""Claims: no two processes make the same run, and none waits for a dead one.

A claim is a POSIX lock on one byte of the experiment's ``claims`` file, at an offset
that follows from the run's name. The kernel gives it back when its process ends,
however that ends. On a shared file system the lock holds across machines (NFS; Lustre
when mounted with ``flock``, not with ``localflock``), and the file server gives back
what a machine held that has crashed.
"""

import errno
import fcntl
import hashlib
import os
import struct
from pathlib import Path

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import cannot_write


class Claims:
    """The claims of this process on one experiment.

    A process must have one instance only: closing any descriptor of the file gives
    all of the process's locks back.

    Args:
        path: The experiment's ``claims`` file.

    Raises:
        UserError: The file can't be opened for writing.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise cannot_write(path, error) from error

    def take(self, name: str) -> bool:
        """Claim a run.

        Returns:
            False where another living process has it.

        Raises:
            UserError: The file system knows no locks.
        """
        try:
            fcntl.lockf(
                self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(name)
            )
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise UserError(
                f"{self.path} cannot be locked ({error.strerror}): put --expdir on a "
                "file system that supports POSIX locks, or have its lock service "
                "started."
            ) from error
        return True

    def is_taken(self, name: str) -> bool:
        """Tell whether another living process has claimed a run, claiming nothing."""
        # Linux's struct flock: type, whence, start, length, process (and padding).
        layout = "hhqqi0q"
        asked = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, _offset(name), 1, 0)
        answer = fcntl.fcntl(self._descriptor, fcntl.F_GETLK, asked)
        return struct.unpack(layout, answer)[0] != fcntl.F_UNLCK

    def give_back(self, name: str) -> None:
        """Give a claim back."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _offset(name))

    def close(self) -> None:
        """Give all claims back."""
        os.close(self._descriptor)


def _offset(name: str) -> int:
    # 62 bits fit a file offset; two runs on one byte would only wait for each other.
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2
