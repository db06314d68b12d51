"""Documents of the repository, their code blocks, links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<info>.*)$")
_DIRECTIVE = re.compile(r"^<!-- (?P<directive>not run: .+) -->$")
_TITLE = re.compile(r'title="(?P<title>[^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        line: Number of its first line of code, from 1.
        language: Word after the fence, such as ``python``; may be empty.
        title: File that the block is the content of; None where it is not one.
        directive: Comment above it, such as ``not run: needs a network``, or None.
        code: Its lines, without the fences' indentation.
    """

    line: int
    language: str
    title: str | None
    directive: str | None
    code: str


def documents() -> list[Path]:
    """Return README.md, CONTRIBUTING.md and the pages of docs/, sorted."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *pages]


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a document, in order."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        match = _FENCE.match(lines[number])
        number += 1
        if not match:
            continue
        indent, first = len(match["indent"]), number
        while lines[number].strip() != match["fence"]:
            number += 1
        code = "\n".join(line[indent:] for line in lines[first:number]) + "\n"
        number += 1
        above = _DIRECTIVE.match(lines[first - 2].strip()) if first > 1 else None
        title = _TITLE.search(match["info"])
        yield Block(
            line=first + 1,
            language=match["info"].split(" ")[0],
            title=title["title"] if title else None,
            directive=above["directive"] if above else None,
            code=code,
        )


def without_blocks(text: str) -> str:
    """Return a document's text with its fenced blocks made empty, lines kept."""
    kept, inside = [], None
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if inside is None and match:
            inside = match["fence"]
        elif inside is not None:
            if line.strip() == inside:
                inside = None
        else:
            kept.append(line)
            continue
        kept.append("")
    return "\n".join(kept)
