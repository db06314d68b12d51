#!/usr/bin/env python3
"""List what an existing environment lacks of cltm's dependencies, one a line.

Used for the environment of an ESPnet installation, where nothing present may be
changed. The dependencies are those of pyproject.toml (minimum versions), and with
--with_tests those of requirements-test.txt. A package that is there but too old is a
mistake only its owner can put right: one sentence, status 1.
"""

import argparse
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

try:
    from packaging.requirements import Requirement
except ModuleNotFoundError:
    from pip._vendor.packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def dependencies(with_tests: bool) -> list[Requirement]:
    """Read the requirements that hold on this Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = list(project["project"]["dependencies"])
    if with_tests:
        text = (ROOT / "tools/requirements-test.txt").read_text(encoding="utf-8")
        lines += [line for line in text.splitlines() if line and line[0] != "#"]
    found = [Requirement(line) for line in lines]
    return [one for one in found if one.marker is None or one.marker.evaluate()]


def get_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--with_tests", choices=("true", "false"), default="false")
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Print the missing requirements."""
    args = get_parser().parse_args(cmd)
    for requirement in dependencies(args.with_tests == "true"):
        try:
            present = version(requirement.name)
        except PackageNotFoundError:
            print(requirement)
            continue
        if not requirement.specifier.contains(present, prereleases=True):
            sys.exit(
                f"ESPnet's environment has {requirement.name} {present}, cltm needs "
                f"{requirement}: change it there, or unset ESPNET_ROOT to use cltm's "
                "own environment."
            )


if __name__ == "__main__":
    main()
