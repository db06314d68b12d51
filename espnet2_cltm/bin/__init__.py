"""The commands: ``cltm <command>``, ``python -m espnet2_cltm.bin.<command>``, local/.

Importing what a command needs takes seconds. A process that runs one is prepared for
that here, before anything else is imported; a program that imports a command's
functions is left as it is.
"""

import os
import sys
from types import TracebackType

from espnet2_cltm.errors import UserError


def _runs_a_command() -> bool:
    """Return whether this process runs a command, and is not one of its helpers."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        return False
    script = os.path.abspath(sys.argv[0]) if sys.argv else ""
    directory, name = os.path.split(script)
    return name in ("-m", "cltm") or directory.endswith("/local")


def _put_own_packages_first() -> None:
    """Let the environment's packages win over PYTHONPATH and the working directory.

    Otherwise a ``yaml.py`` where a command is called, or the numpy of another
    environment that PYTHONPATH names, would be imported in their place.
    """
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    given = {os.path.abspath(place) for place in places if place}
    if sys.argv[0] == "-m":
        given.add(os.getcwd())
    sys.path.sort(key=lambda place: os.path.abspath(place) in given)


def _place_caches() -> None:
    """Set private caches for numba and matplotlib where HOME is not writable.

    numba, which ESPnet and librosa import, fails where it can write neither beside
    their files nor below HOME, as with a shared installation on a cluster's nodes.
    """
    caches = {
        "NUMBA_CACHE_DIR": os.environ.get("XDG_CACHE_HOME") or "~/.cache",
        "MPLCONFIGDIR": os.environ.get("XDG_CONFIG_HOME") or "~/.config",
    }
    wanted = [
        name
        for name, place in caches.items()
        if not os.environ.get(name) and not _is_writable(os.path.expanduser(place))
    ]
    if not wanted:
        return
    import tempfile

    # Whatever lies in a cache is run: nobody else may write there.
    place = os.path.join(tempfile.gettempdir(), f"cltm-{os.getuid()}")
    os.makedirs(place, mode=0o700, exist_ok=True)
    owner = os.lstat(place)
    if owner.st_uid != os.getuid() or owner.st_mode & 0o022:
        place = tempfile.mkdtemp(prefix="cltm-")
    os.environ.update({name: os.path.join(place, name.lower()) for name in wanted})


def _on_failed_import(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print one sentence where a package cannot be imported, and other traces."""
    if not isinstance(error, UserError | ImportError | OSError):
        sys.__excepthook__(kind, error, trace)
        return
    said = str(error)
    if not isinstance(error, UserError):
        said = (
            f"a package cannot be imported here ({kind.__name__}: {said}): "
            "install it again, or let ./run.sh do so after rm -rf .venv."
        )
    name = os.path.basename(sys.argv[0])
    print(f"{'cltm' if name == '-m' else name}: error: {said}", file=sys.stderr)


def _is_writable(place: str) -> bool:
    while not os.path.exists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    return os.access(place, os.W_OK)


if _runs_a_command():
    _put_own_packages_first()
    from espnet2_cltm.bin import interrupts

    interrupts.install()
    sys.excepthook = _on_failed_import
    _place_caches()
