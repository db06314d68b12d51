"""Files of the repository that are pages of the site as well, and links between all.

README.md is the home page; the READMEs of recipes, measurements and data come along, so
that a fact stands in one file and is read in both places. Links are written as GitHub
wants them, from file to file; here each becomes one from page to page.
"""

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.repository_pages")

# Pages, by the files they are made of.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "measurements.md",
    "egs2/cltm/asr1/README.md": "recipes/asr1.md",
    "egs2/cltm/gap1/README.md": "recipes/gap1.md",
    "egs2/cltm/gender1/README.md": "recipes/gender1.md",
    "egs2/cltm/spk1/README.md": "recipes/spk1.md",
    "egs2/cltm/ssl1/README.md": "recipes/ssl1.md",
    "espnet2_cltm/data/emoji/README.md": "data/emoji.md",
    "espnet2_cltm/data/hubert-small/README.md": "data/hubert-small.md",
    "espnet2_cltm/data/languages/README.md": "data/distances.md",
    "espnet2_cltm/data/published/README.md": "data/published.md",
}
_FILES = {page: file for file, page in PAGES.items()}

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
# Fenced code, which has no links, or the target of a link or image.
_CODE_OR_LINK = re.compile(
    r"^(?P<fence>```+|~~~+).*?^(?P=fence)[ \t]*$|\]\((?P<target>[^)\s]+)\)",
    re.DOTALL | re.MULTILINE,
)
_ELSEWHERE = re.compile(r"[a-z]+:|#|/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of files outside docs/."""
    root = Path(config.config_file_path).parent
    for file, page in PAGES.items():
        text = (root / file).read_text(encoding="utf-8")
        content = _FRONT_MATTER.sub("", text)
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Turn links from file to file into links from page to page."""
    place = page.file.src_uri
    file = _FILES.get(place, posixpath.join("docs", place))

    def translate(match: re.Match[str]) -> str:
        target = match["target"]
        if target is None or _ELSEWHERE.match(target):
            return match[0]
        path, hash_sign, anchor = target.partition("#")
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        wanted = PAGES.get(linked, linked.removeprefix("docs/"))
        if files.get_file_from_path(wanted) is None:
            log.warning("%s links to %s, which is not a page of the site", file, target)
        relative = posixpath.relpath(wanted, posixpath.dirname(place) or ".")
        return f"]({relative}{hash_sign}{anchor})"

    return _CODE_OR_LINK.sub(translate, markdown)
