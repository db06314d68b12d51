"""Imports of other packages, where an installation is not what it should be.

Imports next to nothing itself: a command has not put its packages first yet.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from espnet2_cltm.errors import UserError

_ESPNET = (
    '"espnet==202611"'
    if sys.version_info >= (3, 12)
    else '"espnet==202511" "espnet_tts_frontend==0.0.4"'
)
"""As in tools/requirements-espnet.txt, which a package does not have."""


class UnusablePackageError(UserError, ImportError):
    """Another package is missing, or is not usable in this environment."""


class MissingESPnet:
    """The last finder, which is asked for what no other one has found."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> None:
        """Raise an error for ESPnet, and find nothing else.

        Raises:
            UnusablePackageError: The module is ESPnet.
        """
        if fullname in ("espnet", "espnet2"):
            raise UnusablePackageError(
                "ESPnet is not installed in this environment: run pip install "
                f"--no-deps {_ESPNET}, or use ./run.sh, which makes an environment of "
                "its own."
            )


class TorchaudioFitting:
    """Has torchaudio imported without its compiled part where that does not fit torch.

    pip combines torchaudio with a newer torch, and one that was built for CUDA with a
    torch for CPUs; loading the compiled part then fails, and torchaudio with it. What
    ESPnet's parts and transformers use of torchaudio here is written in Python.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find the module that loads torchaudio's compiled part."""
        if fullname != "torchaudio._extension":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_what_fits(module: ModuleType) -> None:
            try:
                load(module)
            except (ImportError, OSError, RuntimeError):
                # The module itself allows for libraries that are absent.
                utils = sys.modules[f"{fullname}.utils"]
                utils._load_lib = lambda library: False  # type: ignore[attr-defined]
                try:
                    load(module)
                except Exception as error:
                    raise _unfit(error) from error

        spec.loader.exec_module = load_what_fits  # type: ignore[method-assign]
        return spec


def _unfit(error: Exception) -> UnusablePackageError:
    from importlib.metadata import version

    torch, torchaudio = version("torch"), version("torchaudio")
    wanted = torchaudio.partition("+")[0]
    return UnusablePackageError(
        f"torchaudio {torchaudio} does not work with torch {torch} ({error}): run pip "
        f"install torch=={wanted} torchaudio=={wanted}"
    )
