"""Links and images of every document lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, documents, without_blocks

OTHERS = sorted(
    path
    for place in ("benchmarks", "egs2", "espnet2_cltm/data")
    for path in (ROOT / place).rglob("README.md")
)
DOCUMENTS = [*documents(), *OTHERS]

_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+?) *$", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    text = without_blocks(document.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", title.lower())).replace(
            " ", "-"
        )
        for title in _HEADING.findall(text)
    }


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_relative_links_resolve(document):
    text = without_blocks(document.read_text(encoding="utf-8"))
    broken = []
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        is_there = linked.exists() and (not anchor or anchor in anchors(linked))
        if not is_there:
            broken.append(target)
    assert not broken


def test_every_page_can_be_reached_from_the_readme():
    reached, left = set(), [ROOT / "README.md"]
    while left:
        document = left.pop()
        if document in reached:
            continue
        reached.add(document)
        text = without_blocks(document.read_text(encoding="utf-8"))
        for target in _LINK.findall(text):
            path = target.partition("#")[0]
            linked = (document.parent / path).resolve()
            if linked.suffix == ".md" and linked.exists():
                left.append(linked)
    assert set(documents()) <= reached


def test_every_picture_is_shown():
    shown = {
        (document.parent / target).resolve()
        for document in documents()
        for target in _LINK.findall(document.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", target)
    }
    pictures = set((ROOT / "docs" / "images").iterdir())
    assert pictures <= shown
