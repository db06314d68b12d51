"""The site is built without a warning, whole, and fetches nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from espnet2_cltm.experiment.recipe_options import recipe_options
from tests.docs.markdown import ROOT, documents

pytestmark = pytest.mark.slow

_FETCHED = re.compile(
    r'<(?:script|img|iframe)\b[^>]*\bsrc="(https?:)?//'
    r'|<link\b[^>]*\brel="(?:stylesheet|preconnect|icon)"[^>]*\bhref="(https?:)?//'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Return the directory of the site, built strictly."""
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", directory],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return directory


def test_every_document_is_a_page_of_the_navigation(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    for document in documents():
        if document.is_relative_to(ROOT / "docs"):
            page = document.relative_to(ROOT / "docs").with_suffix(".html")
            assert (site / page).exists()
    assert 'href="contributing.html"' in home


def test_nothing_is_fetched_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert not _FETCHED.search(page.read_text(encoding="utf-8")), page.name
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(https?:)?//", styles)


def test_every_command_is_in_the_reference(site):
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for path in (ROOT / "espnet2_cltm" / "bin").glob("*.py"):
        if re.search(r"^(def )?get_parser\b", path.read_text(encoding="utf-8"), re.M):
            assert f'<h2 id="{path.stem}">' in page


def test_every_option_of_run_sh_is_in_the_reference(site):
    page = (site / "reference" / "options.html").read_text(encoding="utf-8")
    options = set(re.findall(r"<code>--(&lt;task&gt;_)?(\w+)</code>", page))
    for name in recipe_options():
        assert ("", name) in options or (
            "&lt;task&gt;_",
            name.split("_")[-1],
        ) in options


def test_every_module_is_in_the_reference(site):
    for path in (ROOT / "espnet2_cltm" / "matrix").glob("*.py"):
        page = site / "reference" / "api" / "matrix" / f"{path.stem}.html"
        assert path.stem == "__init__" or f"espnet2_cltm.matrix.{path.stem}" in (
            page.read_text(encoding="utf-8")
        )
