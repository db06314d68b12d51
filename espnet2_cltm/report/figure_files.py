"""A figure as PNG and PDF for papers.

Nothing in the files depends on time or on the user's matplotlib settings: the same
contents give the same bytes.
"""

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
        with replacing(png) as temporary:
            figure.savefig(
                temporary, format="png", dpi=DPI, metadata={"Software": None}
            )
        with replacing(pdf) as temporary:
            figure.savefig(
                temporary,
                format="pdf",
                metadata={"CreationDate": None, "Title": title},
            )
