"""Run a page's Python blocks in order, in one namespace: ``run_page.py PAGE``.

A block with ``title="FILE"`` is written to that file in the directory one runs in,
whatever its language; a block of language ``text`` right after a Python block is what
that block prints. Files are importable, and a ``pyproject.toml`` among them is as good
as installed: its entry points are found.
"""

import contextlib
import io
import re
import sys
from pathlib import Path

from tests.docs.markdown import ROOT, blocks


def main(page: Path) -> None:
    """Run the blocks of a page; the traceback names the page's lines."""
    sys.path.insert(0, str(Path.cwd()))
    Path("conf").mkdir()  # as where one runs a recipe
    Path("conf/languages.yaml").symlink_to(ROOT / "conf" / "languages.yaml")
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = None
    for block in blocks(page.read_text(encoding="utf-8")):
        expected, printed = printed, None
        if block.title is not None:
            write_file(Path(block.title), block.code)
        elif block.language == "text" and expected is not None:
            where = f"{page}:{block.line}"
            assert expected == block.code, f"{where}: printed was\n{expected}"
        elif is_run(block.language, block.directive):
            printed = run(page, block.line, block.code, namespace)


def is_run(language: str, directive: str | None) -> bool:
    """Return whether a block is Python to be run."""
    return language == "python" and directive is None


def run(page: Path, line: int, code: str, namespace: dict[str, object]) -> str:
    """Run one block and return what it prints."""
    compiled = compile("\n" * (line - 1) + code, str(page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compiled, namespace)
    return output.getvalue()


def write_file(path: Path, content: str) -> None:
    """Write a file of the page, and make the entry points it may declare known."""
    assert not path.is_absolute() and ".." not in path.parts, path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    if path.name == "pyproject.toml":
        declare_entry_points(path.parent, content)


def declare_entry_points(directory: Path, pyproject: str) -> None:
    """Do what ``pip install --editable`` does of a project with entry points."""
    (name,) = re.findall(r'^name = "(.+)"$', pyproject, re.MULTILINE)
    info = directory / f"{name.replace('-', '_')}-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
    groups = re.findall(
        r'^\[project\.entry-points\."(.+)"\]\n((?:.+ = ".+"\n)+)',
        pyproject,
        re.MULTILINE,
    )
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n{entries.replace(chr(34), '')}" for group, entries in groups
        )
    )
    sys.path.insert(0, str(directory.resolve()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
