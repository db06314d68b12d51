"""Imports run one way, and what reads tables does not load torch."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.matrix.results_files import perf_rows, write_results

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


# What trains nothing; the rest of what is loaded is checked once these have worked.
NO_TORCH = (
    *("abx", "build_matrix", "compare", "find_regime", "make_plan", "multilingual_gap"),
    *("recipe", "recommend", "run_plan", "speaker_score"),
)
LOAD = """
import importlib, sys
for name in sys.argv[1].split():
    importlib.import_module(f"espnet2_cltm.bin.{name}")
    assert "torch" not in sys.modules, name
from espnet2_cltm.bin import build_matrix, compare, recommend
recommend.main(["--matrix", "asr_mhubert", "--target", "es"])
assert "sklearn" not in sys.modules
compare.main(["asr_mhubert", "gender_mhubert", "--outdir", "compared"])
build_matrix.main(["--results", "results.tsv", "--outdir", "built"])
loaded = {"torch", "espnet2", "librosa", "transformers"} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.mark.slow
def test_what_trains_nothing_loads_no_torch(tmp_path):
    worth = {"single": 0.5, "double": 0.8, "pair": 0.6}

    def perf(kind, tested, donor, seed):
        return worth[kind] + seed / 100

    rows = perf_rows(["ca", "es"], [1, 2, 3], perf)
    write_results(tmp_path / "results.tsv", rows)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, " ".join(NO_TORCH)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "built" / "summary.json").exists()
