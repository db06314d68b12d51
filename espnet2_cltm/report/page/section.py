"""A section of the report page: one object, and the pieces of HTML it is made of.

To add a section, append one :class:`Section` to
:data:`espnet2_cltm.report.page.sections.SECTIONS`, or insert it where it shall stand::

    def _spread(report: Report) -> str | None:
        gains = report.main.matrix.relative_gain
        if not np.isfinite(gains).any():
            return None
        text = f"The largest gain is {np.nanmax(gains):.3f}."
        return paragraphs([text]) + chart("spread-chart", "Histogram of all gains")

    def _spread_data(report: Report) -> list[float]:
        gains = report.main.matrix.relative_gain
        return gains[np.isfinite(gains)].tolist()

    SECTIONS.append(
        Section(
            id="spread",
            title="Spread of the gains",
            html=_spread,
            data=_spread_data,
            script='cltm.plot("spread-chart", [{type: "histogram", x: data}], {});',
        )
    )

Heading and entry in the contents follow from ``id`` and ``title``. Whatever the page
shows by a script has to be there without one too, as text or a table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.wording import with_minus_signs

PARTS = files("espnet2_cltm.report.page")


@dataclass(frozen=True)
class Section:
    """A section of the report page.

    Attributes:
        id: Id of its HTML element, unique on the page.
        title: Heading, and entry in the contents.
        html: Function that returns what stands beneath the heading, as HTML; None where
            the report has nothing to say there, and the section is left out.
        data: Function that returns what the script draws, ready for JSON.
        script: Body of a JavaScript function of ``element``, the section's HTML
            element, and ``data``. It runs once the page's data are there, with
            ``Plotly`` and ``cltm`` at hand (``state.js``: data of the matrix, formats
            of numbers; ``chart.js``: charts in the page's colours), and the section
            is open.
        fold: ``closed`` or ``open``, as it is at first; ``never`` for one that has no
            heading to click and always shows.
    """

    id: str
    title: str
    html: Callable[[Report], str | None]
    data: Callable[[Report], Any] | None = None
    script: str = ""
    fold: Literal["closed", "open", "never"] = "closed"


LARGEST = 6 * 2**20
"""Bytes that a page is to have at most."""

COPY, OTHER_SEEDS, OTHER_METRICS, SEEDS, TABLES = LEAVABLE = (
    "the copy of cells.tsv",
    "the seeds of other metrics and strategies (see the results)",
    "the matrices of other metrics (build them with --metric)",
    "the seeds of each cell (see the results)",
    "the matrices as tables (see cltm.csv and zero_shot.csv)",
)
"""What a page does without, one after the other, until it is small enough."""


def part(name: str) -> str:
    """Return the text of one of the page's own files, such as a script."""
    return PARTS.joinpath(name).read_text(encoding="utf-8")


def render(template: str, **values: object) -> Markup:
    """Fill in one of the page's templates; values that are not markup are escaped."""
    environment = Environment(
        loader=FunctionLoader(part),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["minus"] = with_minus_signs
    return Markup(environment.get_template(template).render(**values))


def paragraphs(lines: Iterable[str], css: str = "") -> Markup:
    """Return a paragraph for each line of text."""
    kind = Markup(' class="{}"').format(css) if css else ""
    return Markup("").join(
        Markup("<p{}>{}</p>\n").format(kind, _text(line)) for line in lines
    )


def bullets(lines: Iterable[str]) -> Markup:
    """Return a list with an item for each line of text."""
    items = (Markup("<li>{}</li>\n").format(_text(line)) for line in lines)
    return Markup("<ul>\n{}</ul>\n").format(Markup("").join(items))


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], css: str = ""
) -> Markup:
    """Return a table that scrolls sideways where it is too wide.

    Args:
        caption: Text above it.
        columns: Names of all columns; empty for a table without a head.
        rows: The first cell of each is its name; a cell may be a whole ``<td>``.
        css: Classes, such as ``matrix`` for many narrow columns of numbers.
    """
    names = Markup("").join(
        Markup('<th scope="col">{}</th>').format(c) for c in columns
    )
    head = Markup("<thead><tr>{}</tr></thead>\n").format(names) if columns else ""
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>\n').format(
            name, Markup("").join(map(_cell, cells))
        )
        for name, *cells in rows
    )
    return Markup(
        '<div class="scroll"><table class="{}">\n<caption>{}</caption>\n{}'
        "<tbody>\n{}</tbody>\n</table></div>\n"
    ).format(css, _text(caption), head, body)


def table_of(caption: str, rows: Iterable[Mapping[str, str]], css: str = "") -> Markup:
    """Return a table of rows that all have the same cells, by name of their column."""
    rows = [*rows]
    cells = (tuple(row.values()) for row in rows)
    return table(caption, [*rows[0]] if rows else [], cells, css)


def _cell(content: str) -> Markup:
    if isinstance(content, Markup) and content.startswith("<td"):
        return content
    return Markup("<td>{}</td>").format(_text(content))


def _text(text: str) -> str:
    return text if isinstance(text, Markup) else with_minus_signs(text)


def folded(summary: str, content: Markup) -> Markup:
    """Return what a figure shows too: folded up where scripts draw the figure."""
    return Markup(
        '<details class="table-alternative" open>\n'
        "<summary>{}</summary>\n{}</details>\n"
    ).format(summary, content)


def chart(id: str, label: str, css: str = "chart") -> Markup:
    """Return an empty element for a script to draw in, shown only where scripts run.

    Args:
        id: Id of the element.
        label: Description for those who do not see the figure.
        css: Classes: ``chart``, ``wide chart``, or ``scroll`` for a large figure.
    """
    return Markup(
        '<div data-interactive hidden><div id="{}" class="{}" role="img" '
        'aria-label="{}"></div></div>\n'
    ).format(id, css, label)


def side_by_side(parts: Iterable[tuple[str, Markup]]) -> Markup:
    """Return parts with a heading each, side by side where there is room."""
    figures = (
        Markup("<figure>\n<h3>{}</h3>\n{}</figure>\n").format(heading, content)
        for heading, content in parts
    )
    return Markup('<div class="side-by-side">\n{}</div>\n').format(
        Markup("").join(figures)
    )
