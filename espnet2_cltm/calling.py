"""What the recipe and the other commands are called as, where this one was called."""

import os
from collections.abc import Mapping


def recipe_call(environment: Mapping[str, str] = os.environ) -> str:
    """Return what the recipe is called as."""
    return "cltm run" if _is_installed(environment) else "./run.sh"


def command_call(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return what a command of :mod:`espnet2_cltm.bin` is called as."""
    is_installed = _is_installed(environment)
    return f"cltm {name}" if is_installed else f"python3 -m espnet2_cltm.bin.{name}"


def _is_installed(environment: Mapping[str, str]) -> bool:
    """Return whether the installed package runs; path.sh says what CLTM_PYTHON is."""
    return bool(environment.get("CLTM_PYTHON"))
