"""Docstrings for the site: what reStructuredText has and Markdown has not.

A role such as ``:class:`SeedScores``` becomes code, linked where the name is that of an
object of the package; brackets after brackets, which Markdown would take for a link,
stay what they are.
"""

import re

from griffe import Docstring, Extension, Object

_ROLE_CODE_OR_BRACKETS = re.compile(
    r":(?:class|func|meth|mod|data|attr|exc):`(?P<short>[~.]?)(?P<name>[^`]+)`"
    r"|`[^`]*`|(?P<brackets>\]\[)"
)
_LITERAL_BLOCK = re.compile(r"::(?=\n\n)")


class MarkdownDocstrings(Extension):
    """Translate the docstring of every object that is read."""

    def on_instance(self, *, obj: Object, **kwargs: object) -> None:
        """Translate one docstring, in place."""
        if isinstance(obj.docstring, Docstring):
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Return a docstring whose roles and brackets are those of Markdown."""
    text = _ROLE_CODE_OR_BRACKETS.sub(_translate, text)
    return _LITERAL_BLOCK.sub(":", text)


def _translate(match: re.Match[str]) -> str:
    if match["brackets"]:
        return r"]\["
    name = match["name"]
    if name is None:
        return match[0]
    shown = name.rpartition(".")[2] if match["short"] else name
    if not name.startswith("espnet2_cltm."):
        return f"`{shown}`"
    # Optional: constants without a docstring, and commands, are not listed.
    return f'<autoref identifier="{name}" optional><code>{shown}</code></autoref>'
