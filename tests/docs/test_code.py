"""Code of the documentation does what the page says."""

import ast
import os
import subprocess
import sys

import pytest

from tests.docs.markdown import ROOT, blocks, documents
from tests.docs.run_page import is_run

PAGES = [
    page
    for page in documents()
    if any(
        is_run(block.language, block.directive)
        for block in blocks(page.read_text(encoding="utf-8"))
    )
]


def parameters() -> list:
    """Return the pages with code to run; those that import torch are slow."""
    return [
        pytest.param(
            page,
            id=page.stem,
            marks=[pytest.mark.slow] if "import torch" in page.read_text() else [],
        )
        for page in PAGES
    ]


@pytest.mark.parametrize("page", parameters())
def test_python_of_a_page_runs(page, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.run_page", page],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CLTM_ROOT": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.stem)
def test_python_that_is_not_run_says_why_and_is_python(page):
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            ast.parse(block.code)
            if block.title is None and not is_run(block.language, block.directive):
                assert (block.directive or "").startswith("not run: ")


@pytest.mark.slow
def test_imports_of_python_that_is_not_run_are_there():
    imports = {
        ast.unparse(node)
        for page in documents()
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language == "python" and block.title is None
        if not is_run(block.language, block.directive)
        for node in ast.parse(block.code).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    exec("\n".join(sorted(imports)), {})
