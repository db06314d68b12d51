import os
import subprocess
import sys
from pathlib import Path

import matplotlib.figure
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.report.drawing import (
    DPI,
    MARGIN,
    Figure,
    frame,
    new_figure,
    text_width,
    wrap,
    write_figures,
)
from espnet2_cltm.report.figures import MATRIX_FIGURES
from tests.report.figure_texts import lie_inside, texts
from tests.report.reports import make_report, simulated

ROOT = Path(__file__).parents[2]

WORDS = st.lists(
    st.text(
        st.characters(max_codepoint=0x17F, categories=("Lu", "Ll", "Nd")),
        min_size=1,
        max_size=12,
    ),
    min_size=1,
    max_size=25,
)


@given(WORDS, st.floats(0.5, 6.0))
@settings(deadline=None)
def test_lines_fit_the_width_and_keep_every_word(words, width):
    lines = wrap(" ".join(words), width, 8.0)
    assert " ".join(lines).split() == words
    for line in lines:
        assert text_width(line, 8.0) <= width or " " not in line


def test_bold_text_is_wider_and_width_grows_with_size():
    plain = text_width("Cross-lingual", 10.0)
    assert text_width("Cross-lingual", 10.0, bold=True) > plain > 0
    assert abs(text_width("Cross-lingual", 20.0) / plain - 2) < 0.02


def test_lines_are_not_broken_at_no_break_spaces():
    words = "N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}8"
    assert wrap(f"a {words}", 0.01, 8.0) == ["a", words]


def plot(size, title="Title", notes=()) -> tuple[matplotlib.figure.Figure, np.ndarray]:
    """A framed figure, and the size in inches that its axes have once drawn."""
    figure = new_figure()
    axes = figure.add_subplot(xlabel="x", ylabel="y")
    frame(figure, axes, size, title, "Subtitle", notes)
    figure.canvas.draw()
    return figure, axes.get_position().size * figure.get_size_inches()


def test_the_figure_becomes_as_large_as_its_plot_and_captions_need():
    figure, size = plot((4.0, 3.0), notes=("A long note. " * 30,))
    np.testing.assert_allclose(size, (4.0, 3.0), atol=0.01)
    assert lie_inside(figure)
    small, _ = plot((1.0, 1.0), title="A title that is wide " * 5)
    wide = text_width("A title that is wide " * 5, 13.0, bold=True)
    assert small.get_figwidth() == pytest.approx(wide + 2 * MARGIN, abs=0.1)


def test_a_figure_of_fixed_width_wraps_its_captions():
    figure, size = plot((None, 2.0), title="A title that is wide " * 9)
    assert figure.get_figwidth() == 6.4
    assert size[1] == pytest.approx(2.0, abs=0.01)
    assert lie_inside(figure)
    assert any("\n" in text for text in texts(figure))


@pytest.mark.slow
def test_a_figure_is_added_by_one_object(tmp_path):
    """As a person's own module does it: one function, and one entry in the list."""

    def draw(report):
        figure = new_figure(5.0)
        axes = figure.add_subplot()
        axes.hist(report.main.matrix.cltm.ravel())
        frame(figure, axes, (None, 2.0), "All cells", "a histogram")
        return figure

    report = make_report([simulated(3, 3)])
    figures = [*MATRIX_FIGURES, Figure("spread", draw)]
    written = write_figures(tmp_path, figures, report)
    assert written == [
        f"{name}.{ending}"
        for name in ("heatmap", "gains", "rankings", "zero_shot", "spread")
        for ending in ("png", "pdf")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written)
    assert matplotlib.image.imread(tmp_path / "spread.png").shape[1] == 5 * DPI
    pdf = (tmp_path / "spread.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # TrueType outlines are inside
    assert b"/CreationDate" not in pdf
    assert b"/Title (All cells)" in pdf


def test_files_of_a_figure_with_nothing_to_show_are_removed(tmp_path):
    old = [tmp_path / "gains.png", tmp_path / "gains.pdf"]
    for path in old:
        path.write_text("old")
    assert write_figures(tmp_path, [Figure("gains", lambda _: None)], None) == []
    assert not any(path.exists() for path in old)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "dir").write_text("a file where a directory is needed")
    with pytest.raises(UserError, match=r"dir"):
        write_figures(tmp_path / "dir", [Figure("a", lambda _: new_figure())], None)


DRAW = """
import sys
from pathlib import Path

import matplotlib
matplotlib.rcParams["font.size"] = float(sys.argv[2])

from espnet2_cltm.report.drawing import write_figures
from espnet2_cltm.report.figures import *
from tests.report.reports import make_report, simulated
from tests.report.test_regime_figure import found
from tests.report.test_scatter import pair

outdir = Path(sys.argv[1])
write_figures(outdir, MATRIX_FIGURES, make_report([simulated(3, 3)]))
write_figures(outdir, REGIME_FIGURES, found(4))
write_figures(outdir, COMPARISON_FIGURES, pair(4))
"""


@pytest.mark.slow
def test_same_contents_give_the_same_bytes_whatever_the_settings(tmp_path):
    for name, hash_seed, size in (("a", "1", "10"), ("b", "2", "17")):
        subprocess.run(
            [sys.executable, "-c", DRAW, str(tmp_path / name), size],
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        )
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 12
    for name in names:
        one, other = (tmp_path / folder / name for folder in "ab")
        assert one.read_bytes() == other.read_bytes(), name
