"""Writing the report page: one HTML file that needs nothing beside it, and no network.

The page goes through its sections; what it holds besides is the frame around them. The
plotting library and the data are compressed; the page's scripts unpack them. The same
contents give the same bytes. A page of more than :data:`.LARGEST` bytes does without
parts that stand elsewhere (:data:`.LEAVABLE`), and says so.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from espnet2_cltm import __version__
from espnet2_cltm.files import write_text
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.findings import headline
from espnet2_cltm.report.page.matrix_data import matrix_data
from espnet2_cltm.report.page.section import LARGEST, LEAVABLE, Section, part, render
from espnet2_cltm.report.page.sections import SECTIONS

# What sections have in common, and the frame around them.
SCRIPTS = (
    *("state.js", "matrix_view.js", "chart.js", "hover.js", "heatmap.js"),
    *("address.js", "fold.js"),
)
SECTION_SCRIPT = "cltm.sections[{name}] = function (element, data) {{\n{script}\n}};"


def write_page(
    path: Path | str, report: Report, sections: Sequence[Section] = SECTIONS
) -> None:
    """Write the page of a report.

    Args:
        path: File to write.
        report: Everything that the page may show.
        sections: Sections in their order; one with nothing to say is left out.

    Raises:
        UserError: The file cannot be written.
    """
    page = _page(report, sections)
    for one in LEAVABLE:
        if len(page.encode("utf-8")) <= LARGEST:
            break
        slimmer = replace(report, left_out=(*report.left_out, one))
        found = _page(slimmer, sections)
        if len(found) < len(page):  # else it had no such part
            report, page = slimmer, found
    write_text(path, page)


def _page(report: Report, sections: Sequence[Section]) -> str:
    written = [(section, section.html(report)) for section in sections]
    shown = [(one, Markup(html)) for one, html in written if html is not None]
    data = page_data(report, [section for section, _ in shown])
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    scripts = [
        SECTION_SCRIPT.format(name=json.dumps(section.id), script=section.script)
        for section, _ in shown
        if section.script
    ]
    return render(
        "report.html.jinja",
        version=__version__,
        title=report.title,
        subtitle=report.subtitle,
        headline=headline(report),
        sections=shown,
        style=Markup(part("style.css")),
        theme=Markup(part("theme.js")),
        scripts=Markup("\n".join([*map(part, SCRIPTS), *scripts, part("main.js")])),
        library=Markup(_library()),
        data=Markup(_packed(text)),
    )


def page_data(report: Report, sections: Sequence[Section]) -> dict[str, Any]:
    """Return what the page's scripts draw: of the matrix, and by section."""
    by_section = {
        section.id: section.data(report) for section in sections if section.data
    }
    return {**matrix_data(report), "sections": by_section}


@cache
def _library() -> str:
    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    compressed = gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)
    return base64.b64encode(compressed).decode("ascii")
