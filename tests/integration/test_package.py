"""The source distribution and the wheel: what is in them."""

import os
import tarfile
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
# Of the recipe's tools, the one that it sources.
TOOLS = "espnet2_cltm/recipe/tools/"
pytestmark = pytest.mark.slow


def files_of_the_package() -> set[str]:
    """The files of the checkout's package, what its links lead to included."""
    found = {
        os.path.relpath(os.path.join(place, name), ROOT)
        for place, _, names in os.walk(ROOT / "espnet2_cltm", followlinks=True)
        for name in names
        if "__pycache__" not in place
    }
    return {name for name in found if not name.startswith(TOOLS)} | {
        f"{TOOLS}{name}" for name in ("recipe.sh", "signals.sh")
    }


def test_a_wheel_holds_all_of_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with ZipFile(wheel) as archive:
        described = {name for name in archive.namelist() if ".dist-info/" in name}
        assert set(archive.namelist()) - described == files_of_the_package()
        # As they are, and none of them a link to what is not there.
        for name in ("run.sh", "local/score.py", "tools/recipe.sh"):
            held = archive.read(f"espnet2_cltm/recipe/{name}")
            assert held == (ROOT / name).read_bytes()


def test_a_wheel_is_licensed_as_the_repository_and_has_the_command(built):
    (wheel,) = built.glob("*.whl")
    with ZipFile(wheel) as archive:
        by_end = {name.partition("/")[2]: name for name in archive.namelist()}
        metadata = Parser().parsestr(archive.read(by_end["METADATA"]).decode())
        assert metadata["License-Expression"] == "Apache-2.0"
        licence = archive.read(by_end["licenses/LICENSE"])
        assert licence == (ROOT / "LICENSE").read_bytes()
        entry_points = archive.read(by_end["entry_points.txt"]).decode()
        assert "cltm = espnet2_cltm.bin.cltm:main" in entry_points


def test_a_source_distribution_has_no_tests(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith(("tests", "docs", "egs2"))]
