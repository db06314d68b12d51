"""The package as others get it: built once for all tests that install it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What lies at the top of a checkout beside its own files.
MADE = ("build", "data", "downloads", "dump", "exp")
BUILD = """
import sys, tarfile
from setuptools import build_meta
out = sys.argv[1]
sdist = build_meta.build_sdist(out)
tarfile.open(f"{out}/{sdist}").extractall(out)
import os
os.chdir(f"{out}/{sdist.removesuffix('.tar.gz')}")
build_meta.build_wheel(out)
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A directory with the source distribution, and the wheel that is made of it."""
    checkout = tmp_path_factory.mktemp("checkout") / "cltm"
    checkout.mkdir()
    for path in ROOT.iterdir():
        if path.is_dir() and path.name not in MADE and path.name[0] != ".":
            unmade = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, checkout / path.name, symlinks=True, ignore=unmade)
        elif path.is_file():
            shutil.copy(path, checkout)
    out = tmp_path_factory.mktemp("built")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out
