import itertools
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.uncertainty import RatioSets, fieller_sets
from espnet2_cltm.report.figure_files import DPI
from espnet2_cltm.report.heatmap import draw_heatmap, write_heatmap
from espnet2_cltm.report.heatmap_contents import Heatmap, format_limit, format_value

ROOT = Path(__file__).parents[2]


def heatmap(n: int, **changes) -> Heatmap:
    languages = tuple(
        Language(f"l{i:02d}", f"Language {i}", f"Family {i // 3}") for i in range(n)
    )
    values = np.random.default_rng(n).normal(0.7, 0.3, (n, n))
    np.fill_diagonal(values, 1.0)
    fields = {
        "languages": languages,
        "values": values,
        "title": "Cross-lingual transfer matrix",
        "subtitle": "macro F1",
    } | changes
    return Heatmap(**fields)


def texts(figure) -> list[str]:
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
    return found


@pytest.mark.parametrize("n", [2, 4, 9, 54])
def test_all_text_lies_inside_the_picture(n):
    figure = draw_heatmap(heatmap(n))
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    everything = list(figure.texts)
    for axes in figure.axes:
        everything += axes.texts
    for text in everything:
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1 and box.y0 >= -1, text.get_text()
        assert box.x1 <= width + 1 and box.y1 <= height + 1, text.get_text()


@pytest.mark.parametrize("n", [2, 4, 9, 54])
def test_language_labels_do_not_overlap(n):
    figure = draw_heatmap(heatmap(n))
    renderer = figure.canvas.get_renderer()
    names = {language.name for language in heatmap(n).languages} | {
        language.code for language in heatmap(n).languages
    }
    labels = [text for text in figure.axes[0].texts if text.get_text() in names]
    assert len(labels) == 2 * n
    boxes = [text.get_window_extent(renderer) for text in labels]
    for group in (boxes[:n], boxes[n:]):
        for one, other in itertools.pairwise(group):
            assert not one.overlaps(other)


def intervals(n: int, low: float = 0.69, high: float = 1.41, **kinds) -> RatioSets:
    """Bounded sets everywhere but on the diagonal and where ``kinds`` tells."""
    kind = np.full((n, n), "bounded", dtype=object)
    kind[np.eye(n, dtype=bool)] = ""
    for name, cell in kinds.items():
        kind[cell] = name
    return RatioSets(kind, np.full((n, n), low), np.full((n, n), high))


def rings(figure) -> int:
    """Count the hollow markers on the matrix."""
    return sum(
        len(marks.get_offsets())
        for marks in figure.axes[0].collections
        if len(marks.get_offsets()) and not len(marks.get_facecolor())
    )


def test_values_are_written_for_few_languages_and_intervals_for_very_few():
    few = texts(draw_heatmap(heatmap(4, intervals=intervals(4))))
    assert few.count("[0.69, 1.41]") == 12
    assert few.count("1.00") == 4
    assert "In brackets: 95% interval (Fieller)." in few
    middling = texts(draw_heatmap(heatmap(9, intervals=intervals(9))))
    assert middling.count("1.00") >= 9
    assert "[0.69, 1.41]" not in middling
    assert not any(text.startswith("In brackets") for text in middling)
    assert "1.00" not in texts(draw_heatmap(heatmap(54)))


def test_every_kind_of_unbounded_interval_says_so():
    # Self-gains of 0 to 2 standard errors, with every sign of what the donor adds.
    gain, added = np.meshgrid([0.0, 0.5, 1.0, 2.0], [-3.0, 0.0, 0.1, 4.0])
    one = np.ones((4, 4))
    sets = fieller_sets(added, gain, one, one, 0 * one, 2.2 * one)
    assert {"outside", "whole line"} <= set(sets.kind.flat)
    written = texts(draw_heatmap(heatmap(4, intervals=sets)))
    assert written.count("unbounded") == (sets.kind != "bounded").sum()
    half_line = intervals(3, **{"half-line": (0, 1)})
    written = texts(draw_heatmap(heatmap(3, intervals=half_line, confidence=0.9)))
    assert written.count("unbounded") == 1
    (note,) = (text for text in written if "unbounded:" in text)
    assert note.startswith("In brackets: 90% interval (Fieller); ")


def test_cells_without_a_value_show_no_interval():
    values = heatmap(4).values
    values[2] = np.nan
    written = texts(draw_heatmap(heatmap(4, values=values, intervals=intervals(4))))
    assert written.count("[0.69, 1.41]") == 9


@pytest.mark.parametrize("reach", [1.0, 12.0, 345.0, 1e5])
def test_an_interval_never_leaves_its_cell(reach):
    sets = intervals(5, low=-reach, high=reach)
    figure = draw_heatmap(heatmap(5, intervals=sets))
    axes = figure.axes[0]
    renderer = figure.canvas.get_renderer()
    found = [text for text in axes.texts if text.get_text().startswith("[")]
    assert len(found) == 20
    for text in found:
        column = text.get_position()[0]
        left, right = axes.transData.transform([(column - 0.5, 0), (column + 0.5, 0)])
        box = text.get_window_extent(renderer)
        assert left[0] <= box.x0 and box.x1 <= right[0]


@pytest.mark.parametrize("n", [2, 4, 9, 20, 54])
def test_cells_that_do_not_differ_from_zero_have_a_ring(n):
    q = np.full((n, n), 0.001)
    np.fill_diagonal(q, np.nan)
    q[0, 1] = 0.05  # is not below 0.05
    q[1, 0] = 0.9
    figure = draw_heatmap(heatmap(n, q_zero=q))
    assert rings(figure) == 2
    (note,) = (text for text in texts(figure) if text.startswith("○"))
    assert note.endswith(f"2 of {n * (n - 1):,} cells.")


def test_no_ring_where_there_is_no_test_or_no_value():
    values = heatmap(4).values
    values[0] = np.nan
    q = np.full((4, 4), 0.9)
    q[1] = np.nan
    assert rings(draw_heatmap(heatmap(4, values=values, q_zero=q))) == 8
    untested = draw_heatmap(heatmap(4, q_zero=np.full((4, 4), np.nan)))
    assert rings(untested) == 0
    assert not any(text.startswith("○") for text in texts(untested))


def test_full_names_label_few_languages_and_codes_label_many():
    assert "Language 3" in texts(draw_heatmap(heatmap(9)))
    many = texts(draw_heatmap(heatmap(54)))
    assert "Language 3" not in many
    assert many.count("l03") == 2


def test_missing_cells_are_hatched_and_rows_not_identified_are_grey_and_marked():
    values = heatmap(4).values
    values[0, 2] = np.nan
    values[3] = np.nan
    grey = np.array([False, False, False, True])
    figure = draw_heatmap(heatmap(4, values=values, not_identified=grey))
    patches = figure.axes[0].patches
    assert sum(patch.get_hatch() is not None for patch in patches) == 1
    assert sum(patch.get_hatch() is None for patch in patches) == 4
    written = texts(figure)
    assert "Language 3 †" in written
    assert any(text.startswith("† grey row: target not identified") for text in written)
    assert "Hatched: not available." in written


def test_values_beyond_the_colours_are_marked_and_counted():
    values = heatmap(30).values.clip(0, 1.2)
    values[0, 1], values[2, 3] = -12.0, 9.0
    written = texts(draw_heatmap(heatmap(30, values=values)))
    note = next(text for text in written if text.startswith("Triangles: 2 value(s)"))
    assert "12.00" in note and "9.00" in note


def test_numbers_have_a_real_minus_and_no_negative_zero():
    assert format_value(-0.001) == "0.00"
    assert format_value(-0.254) == "\N{MINUS SIGN}0.25"


def test_large_limits_have_fewer_decimals():
    written = [format_limit(x) for x in (9.99, -9.996, 12.34, 99.96, -1234.5)]
    minus = "\N{MINUS SIGN}"
    assert written == ["9.99", f"{minus}10.0", "12.3", "100", f"{minus}1234"]


def test_matrix_without_any_value_can_be_drawn():
    draw_heatmap(heatmap(3, values=np.full((3, 3), np.nan)))


def test_picture_of_54_languages_is_sharp_and_small(tmp_path):
    write_heatmap(heatmap(54), tmp_path / "h.png", tmp_path / "h.pdf")
    assert (tmp_path / "h.png").stat().st_size < 2_000_000
    height, width, _ = matplotlib.image.imread(tmp_path / "h.png").shape
    assert min(height, width) > 9 * DPI
    pdf = (tmp_path / "h.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # TrueType outlines are inside
    assert b"/CreationDate" not in pdf


DRAW = """
import sys
import matplotlib
matplotlib.rcParams["font.size"] = float(sys.argv[2])

from tests.report.test_heatmap import heatmap, intervals, np, write_heatmap
picture = heatmap(5, intervals=intervals(5), q_zero=np.full((5, 5), 0.5))
write_heatmap(picture, sys.argv[1] + ".png", sys.argv[1] + ".pdf")
"""


def test_same_matrix_gives_the_same_bytes_whatever_the_settings(tmp_path):
    for name, hash_seed, size in (("a", "1", "10"), ("b", "2", "17")):
        subprocess.run(
            [sys.executable, "-c", DRAW, str(tmp_path / name), size],
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        )
    for suffix in (".png", ".pdf"):
        one, other = (tmp_path / f"{name}{suffix}" for name in "ab")
        assert one.read_bytes() == other.read_bytes()
