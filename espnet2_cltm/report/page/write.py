"""Writing the page: one HTML file that needs nothing beside it, and no network.

The plotting library and the data are compressed; the page's scripts unpack them. The
same contents give the same bytes.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from espnet2_cltm.files import write_text
from espnet2_cltm.report.page.contents import Page
from espnet2_cltm.report.page.signs import with_minus_signs

PARTS = files("espnet2_cltm.report.page")
# Linked where they lie beside the page.
FIGURES = tuple(
    f"{name}.{ending}"
    for name in ("heatmap", "rankings", "zero_shot")
    for ending in ("png", "pdf")
)
SCRIPTS = (
    "state.js",
    "matrix_view.js",
    "heatmap.js",
    "cell.js",
    "charts.js",
    "regime.js",
    "main.js",
)


def write_page(path: Path | str, page: Page, data: Mapping[str, Any]) -> None:
    """Write the page.

    Args:
        path: File to write.
        page: Words and tables.
        data: What the scripts draw.

    Raises:
        UserError: The file system refuses.
    """
    environment = Environment(
        loader=FunctionLoader(_part),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["minus"] = with_minus_signs
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    html = environment.get_template("report.html.jinja").render(
        page=page,
        figures=[name for name in FIGURES if (Path(path).parent / name).exists()],
        style=_part("style.css"),
        scripts="\n".join(map(_part, SCRIPTS)),
        library=_library(),
        data=_packed(text),
    )
    write_text(path, html)


def _part(name: str) -> str:
    return PARTS.joinpath(name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    compressed = gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)
    return base64.b64encode(compressed).decode("ascii")
