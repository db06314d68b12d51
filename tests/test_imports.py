"""Imports run one way, and what reads tables does not load torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "espnet2_cltm"
BASE = "base"  # modules beside the packages
# What a package may import, itself apart.
BELOW = {
    "corpus": {BASE},
    "frontend": {BASE, "corpus"},
    "pooling": {BASE},
    "strategies": {BASE, "corpus", "frontend"},
    "tasks": {BASE, "corpus", "frontend", "pooling", "strategies"},
    "asr": {BASE, "corpus", "frontend", "tasks"},
    "label": {BASE, "corpus", "frontend", "tasks"},
    "speaker": {BASE, "corpus", "frontend", "tasks"},
    "pretraining": {BASE, "corpus", "frontend", "tasks"},
    "profiles": {BASE, "corpus", "frontend", "pretraining"},
    "abx": {BASE, "corpus", "frontend"},
    "gap": {BASE, "abx", "corpus", "pretraining", "report"},
    "experiment": {BASE, "corpus", "frontend", "pooling", "tasks"},
    "matrix": {BASE},
    "report": {BASE, "matrix"},
}
# The objects that describe tasks, corpora and strategies are found by name.
BASE_MAY = {"registry": {"corpus", "label", "strategies"}, "task": {"corpus"}}


def imported(path: Path) -> set[str]:
    """Name the packages of espnet2_cltm that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == "espnet2_cltm" and len(parts) > 1:
            found.add(parts[1] if (PACKAGE / parts[1]).is_dir() else BASE)
    return found


@pytest.mark.parametrize("package", sorted(BELOW))
def test_a_package_imports_only_what_lies_below_it(package):
    for path in sorted((PACKAGE / package).rglob("*.py")):
        above = imported(path) - BELOW[package] - {package}
        assert not above, f"{path.relative_to(ROOT)} imports {sorted(above)}"


def test_the_base_imports_nothing_but_what_describes():
    for path in sorted(PACKAGE.glob("*.py")):
        above = imported(path) - {BASE} - BASE_MAY.get(path.stem, set())
        assert not above, f"{path.name} imports {sorted(above)}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        "bin.abx",
        "bin.build_matrix",
        "bin.recipe",
        "bin.make_plan",
        "bin.multilingual_gap",
        "bin.run_plan",
        "bin.recommend",
    ],
)
def test_what_trains_nothing_loads_no_torch(module):
    code = f"import sys, espnet2_cltm.{module}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
