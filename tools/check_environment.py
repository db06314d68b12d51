#!/usr/bin/env python3
"""Import what a run imports, and name the versions; fail with one sentence.

The last step of an installation: it is complete only when this passes.
"""

import contextlib
import importlib
import io
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MODULES = (
    "espnet2_cltm",  # with which a torchaudio is imported that does not fit torch
    "torch",
    "torchaudio",
    "transformers",
    "espnet2.tasks.abs_task",
    "espnet2_cltm.bin.gender_train",
    "espnet2_cltm.bin.speaker_train",
    "kaldiio",
    "soundfile",
    "soxr",
    "espeakng_loader",
    "matplotlib",
    "pandas",
)
ROOT = Path(__file__).resolve().parent.parent
NAMED = ("torch", "torchaudio", "transformers", "espnet", "numpy")


def installed_version(name: str) -> str:
    """Return a distribution's version, of torch the build as well."""
    if name == "torch":
        return sys.modules["torch"].__version__
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed as a package)"


def main() -> None:
    """Import every module in turn."""
    sys.path.insert(0, str(ROOT))
    notes = io.StringIO()  # on optional packages: nobody's concern here
    for module in MODULES:
        try:
            with contextlib.redirect_stdout(notes), contextlib.redirect_stderr(notes):
                importlib.import_module(module)
        except Exception as error:  # whatever an extension raises while loading
            sys.exit(f"{module} cannot be imported: {type(error).__name__}: {error}")
    python = ".".join(map(str, sys.version_info[:3]))
    packages = ", ".join(f"{name} {installed_version(name)}" for name in NAMED)
    print(f"      Python {python}, {packages}")


if __name__ == "__main__":
    main()
