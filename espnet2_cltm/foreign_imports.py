"""Imports of other packages, changed on their way.

Where an installation is not what it should be, and so that ESPnet's own tasks offer the
frontend. Imports next to nothing itself: a command has not put its packages first yet.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
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
        return _find(fullname, path, target, _load_what_fits)


class FrontendOffer:
    """Has ESPnet's tasks offer HubertFrontend: ``frontend: ssl`` in their YAML."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find the module of a task."""
        if not fullname.startswith(_TASKS):
            return None
        return _find(fullname, path, target, _load_and_offer)


_TASKS = "espnet2.tasks."


def offer_frontend() -> None:
    """Have the tasks that are imported already offer it, too."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_TASKS):
            _offer(module)


def _find(
    fullname: str,
    path: Sequence[str] | None,
    target: ModuleType | None,
    load: Callable[[Callable[[ModuleType], None], ModuleType], None],
) -> ModuleSpec | None:
    """Find a module that ``load`` will load, given how it would be and the module."""
    spec = PathFinder.find_spec(fullname, path, target)
    if spec is not None and spec.loader is not None:
        usual = spec.loader.exec_module
        spec.loader.exec_module = lambda module: load(usual, module)  # type: ignore[method-assign]
    return spec


def _load_what_fits(usual: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        usual(module)
    except (ImportError, OSError, RuntimeError):
        # The module itself allows for libraries that are absent.
        utils = sys.modules[f"{module.__name__}.utils"]
        utils._load_lib = lambda library: False  # type: ignore[attr-defined]
        try:
            usual(module)
        except Exception as error:
            raise _unfit(error) from error


def _load_and_offer(usual: Callable[[ModuleType], None], module: ModuleType) -> None:
    usual(module)
    _offer(module)


def _offer(module: ModuleType) -> None:
    choices = getattr(module, "frontend_choices", None)
    if choices is not None:
        hubert = import_module("espnet2_cltm.frontend.hubert")
        families = import_module("espnet2_cltm.frontend.families")
        for name in families.NAMES:
            choices.classes.setdefault(name, hubert.HubertFrontend)


def _unfit(error: Exception) -> UnusablePackageError:
    from importlib.metadata import version

    torch, torchaudio = version("torch"), version("torchaudio")
    wanted = torchaudio.partition("+")[0]
    return UnusablePackageError(
        f"torchaudio {torchaudio} does not work with torch {torch} ({error}): run pip "
        f"install torch=={wanted} torchaudio=={wanted}"
    )
