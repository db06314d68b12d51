"""A figure as PNG and PDF for papers.

Nothing in the files depends on time or on the user's matplotlib settings: the same
contents give the same bytes.
"""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from espnet2_cltm.files import replacing

DPI = 200

SETTINGS = {
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,  # embed TrueType outlines: text stays text, as journals ask
    "hatch.linewidth": 0.5,
    "axes.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def write_figure(
    draw: Callable[[], Figure], title: str, png: Path | str, pdf: Path | str
) -> None:
    """Draw a figure into two files.

    Args:
        draw: Gives the figure; called under the project's settings.
        title: The PDF's.
        png: File to write.
        pdf: File to write.

    Raises:
        UserError: A file cannot be written.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        figure = draw()
        _write(png, figure, dpi=DPI, metadata={"Software": None})
        _write(pdf, figure, metadata={"CreationDate": None, "Title": title})


def _write(path: Path | str, figure: Figure, **options: object) -> None:
    # Through memory: on a full disk matplotlib raises more than one error.
    drawn = io.BytesIO()
    figure.savefig(drawn, format=Path(path).suffix[1:], **options)
    with replacing(path) as temporary:
        temporary.write_bytes(drawn.getvalue())
