"""What the HTML of a page or a section holds."""

from html.parser import HTMLParser
from typing import NamedTuple

from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.page.sections import SECTIONS


class Table(NamedTuple):
    """A table's caption, and its rows as text, the head first where there is one."""

    caption: str
    rows: list[list[str]]


class Parts(HTMLParser):
    """Collects tags with their attributes, text, list items and tables."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.closed: list[str] = []
        self.texts: list[str] = []
        self.items: list[str] = []
        self.tables: list[Table] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("li", "caption", "th", "td"):
            self._open.append("")
        elif tag == "table":
            self.tables.append(Table("", []))
        elif tag == "tr":
            self.tables[-1].rows.append([])

    def handle_endtag(self, tag):
        self.closed.append(tag)
        if tag == "li":
            self.items.append(self._open.pop())
        elif tag == "caption":
            self.tables[-1] = self.tables[-1]._replace(caption=self._open.pop())
        elif tag in ("th", "td"):
            self.tables[-1].rows[-1].append(self._open.pop())

    def handle_data(self, data):
        self.texts.append(data)
        if self._open:
            self._open[-1] += data

    @property
    def text(self) -> str:
        """All text."""
        return "".join(self.texts)

    def attributes(self, name: str) -> list[str]:
        """All values of an attribute."""
        return [found[name] for _, found in self.tags if name in found]


def section(report: Report, id: str) -> Parts | None:
    """What a section of the page holds; None where it is left out."""
    (found,) = (one for one in SECTIONS if one.id == id)
    html = found.html(report)
    return None if html is None else Parts(html)


def cells(table: Table) -> dict[tuple[str, str], str]:
    """Text of every cell by the names of its row and column."""
    head, *rows = table.rows
    return {
        (row[0], name): text
        for row in rows
        for name, text in zip(head[1:], row[1:], strict=True)
    }
