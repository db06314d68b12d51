#!/usr/bin/env python3
"""Import what a run imports, and name the versions; fail with one sentence.

The last step of an installation: it is complete only when this passes.
"""

import importlib
import logging
import sys
from importlib.metadata import PackageNotFoundError, version

MODULES = (
    "torch",
    "torchaudio",
    "transformers",
    "espnet2.tasks.abs_task",
    "kaldiio",
    "soundfile",
    "soxr",
    "espeakng_loader",
    "matplotlib",
    "pandas",
)
NAMED = ("torch", "torchaudio", "transformers", "espnet", "numpy")


def installed_version(name: str) -> str:
    """Return the version of a distribution, or that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed as a package)"


def main() -> None:
    """Import every module in turn."""
    logging.disable(logging.CRITICAL)  # ESPnet's notes on optional packages
    for module in MODULES:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever an extension raises while loading
            sys.exit(f"{module} cannot be imported: {type(error).__name__}: {error}")
    python = ".".join(map(str, sys.version_info[:3]))
    packages = ", ".join(f"{name} {installed_version(name)}" for name in NAMED)
    print(f"      Python {python}, {packages}")


if __name__ == "__main__":
    main()
