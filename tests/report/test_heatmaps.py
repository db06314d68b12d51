from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.scores import AggregatedScores, ResultsSource, SeedScores
from espnet2_cltm.matrix.uncertainty import RatioSets, fieller_sets
from espnet2_cltm.report import heatmaps
from espnet2_cltm.report.drawing import Figure, write_figures
from espnet2_cltm.report.grid import NO_VALUE
from espnet2_cltm.report.heatmaps import draw_transfer, draw_zero_shot
from tests.report.figure_texts import boxes, lie_inside, overlap, texts
from tests.report.reports import make_report, simulated

SIZES = (2, 4, 9, 54)


def languages(n: int) -> tuple[Language, ...]:
    return tuple(
        Language(f"l{i:02d}", f"Language {i}", f"Family {i // 3}") for i in range(n)
    )


def values(n: int) -> np.ndarray:
    drawn = np.random.default_rng(n).normal(0.7, 0.3, (n, n))
    np.fill_diagonal(drawn, 1.0)
    return drawn


def transfer(
    n: int,
    cltm: np.ndarray | None = None,
    q: np.ndarray | None = None,
    sets: RatioSets | None = None,
    not_identified: np.ndarray | None = None,
    level: str = "95%",
):
    """Draw cells of which no scores are known."""
    nothing = np.full((n, n), np.nan)
    grey = np.zeros(n, dtype=bool) if not_identified is None else not_identified
    report = SimpleNamespace(
        matrix=SimpleNamespace(
            cltm=values(n) if cltm is None else cltm,
            target_identified=~grey,
            self_gain=np.ones((n, n)),
        ),
        uncertainty=SimpleNamespace(
            fieller=sets or RatioSets(np.full((n, n), ""), nothing, nothing),
            q_gain=nothing if q is None else q,
        ),
        source=SimpleNamespace(items="utterances"),
        display_languages=languages(n),
        display_index=list(range(n)),
        title="Title",
        subtitle="macro F1",
        level=level,
    )
    return draw_transfer(report)


def zero_shot(
    perf: np.ndarray, metric: str = "macro_f1", task: str = "gender", more=()
):
    """Draw scores of runs, (tested, trained), the former and more languages."""
    tested, trained = map(languages, perf.shape)
    tested = (*tested[: len(tested) - len(more)], *more)
    scores = SeedScores(
        source=ResultsSource("results.tsv", "", task, metric),
        languages=tuple(one.code for one in trained),
        test_languages=tuple(one.code for one in tested),
        seeds=(0,),
        zero_shot=perf.T[..., None],
        double=np.full((len(trained), 1), np.nan),
        pair=np.full((len(trained), len(trained), 1), np.nan),
    )
    report = SimpleNamespace(
        scores=scores,
        languages={one.code: one for one in tested},
        display_languages=trained,
        display_index=list(range(len(trained))),
        subtitle="N = 60, 10 seeds",
    )
    return draw_zero_shot(report)


def uniform(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape[0]).uniform(0.5, 0.95, shape)


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


def frames(figure) -> list[tuple[int, int]]:
    """Give row and column of the outlined cells."""
    found = {
        (round(box.get_y() + box.get_height() / 2), round(box.get_x() + 0.5))
        for box in figure.axes[0].patches
        if not box.get_fill()
    }
    return sorted(found)


def notes(figure) -> str:
    """What stands beneath the picture, on one line."""
    return figure.texts[-1].get_text().replace("\n", " ")


@pytest.mark.parametrize("n", SIZES)
def test_no_text_of_a_transfer_matrix_is_cut_and_no_labels_overlap(n):
    q = np.full((n, n), 0.5)
    figure = transfer(n, q=q, sets=intervals(n))
    assert lie_inside(figure)
    assert not overlap(boxes(figure, list(figure.texts)))
    for axes in figure.axes:
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            assert not overlap(boxes(figure, labels))


@pytest.mark.parametrize("shape", [(2, 2), (5, 3), (9, 9), (54, 50)])
@pytest.mark.parametrize(
    ("task", "metric", "name"),
    [
        ("gender", "macro_f1", "macro F1"),
        ("speaker", "min_dcf_p0.01", "1 - minDCF (p_target 0.01)"),
    ],
)
def test_no_text_of_a_zero_shot_matrix_is_cut_and_no_titles_overlap(
    shape, task, metric, name
):
    figure = zero_shot(uniform(*shape), metric, task)
    assert lie_inside(figure)
    cells = figure.axes[0]
    (bar,) = cells.child_axes
    title = bar.get_title(loc="left")
    assert title.split() == name.replace("-", "\N{MINUS SIGN}").split()
    shown = [*figure.texts, bar._left_title, *bar.get_yticklabels()]
    assert not overlap(boxes(figure, shown))


@pytest.mark.parametrize("n", SIZES)
def test_cells_are_squares_of_the_size_that_their_text_needs(n):
    figure = transfer(n)
    figure.canvas.draw()
    side = figure.axes[0].get_position().size * figure.get_size_inches() / n
    assert side[0] == pytest.approx(side[1], abs=0.004)
    assert side[0] > 0.16


def test_values_are_written_for_few_languages_and_intervals_for_very_few():
    few = texts(transfer(4, sets=intervals(4)))
    assert few.count("[0.69, 1.41]") == 12
    assert few.count("1.00") == 4
    assert any("95% interval (Fieller)." in text for text in few)
    middling = texts(transfer(9, sets=intervals(9)))
    assert middling.count("1.00") >= 9
    assert "[0.69, 1.41]" not in middling
    assert not any("Fieller" in text for text in middling)
    assert "1.00" not in texts(transfer(21))


def test_every_kind_of_unbounded_interval_says_so():
    # Self-gains of 0 to 2 standard errors, with every sign of what the donor adds.
    gain, added = np.meshgrid([0.0, 0.5, 1.0, 2.0], [-3.0, 0.0, 0.1, 4.0])
    one = np.ones((4, 4))
    sets = fieller_sets(added, gain, one, one, 0 * one, 2.2 * one)
    assert {"outside", "whole line"} <= set(sets.kind.flat)
    written = texts(transfer(4, sets=sets))
    assert written.count("unbounded") == (sets.kind != "bounded").sum()
    half_line = intervals(3, **{"half-line": (0, 1)})
    figure = transfer(3, sets=half_line, level="90%")
    assert texts(figure).count("unbounded") == 1
    assert "90% interval (Fieller); unbounded:" in notes(figure)


def test_cells_without_a_value_show_no_interval():
    shown = values(4)
    shown[2] = np.nan
    written = texts(transfer(4, shown, sets=intervals(4)))
    assert written.count("[0.69, 1.41]") == 9


@pytest.mark.parametrize("reach", [1.0, 12.0, 345.0, 1e5])
def test_an_interval_never_leaves_its_cell(reach):
    figure = transfer(5, sets=intervals(5, low=-reach, high=reach))
    axes = figure.axes[0]
    found = [text for text in axes.texts if text.get_text().startswith("[")]
    assert len(found) == 20
    for text, box in zip(found, boxes(figure, found), strict=True):
        column = text.get_position()[0]
        left, right = axes.transData.transform([(column - 0.5, 0), (column + 0.5, 0)])
        assert left[0] <= box.x0 and box.x1 <= right[0]


@pytest.mark.parametrize("n", [2, 4, 9, 20, 54])
def test_cells_that_do_not_differ_from_zero_have_a_ring(n):
    q = np.full((n, n), 0.001)
    np.fill_diagonal(q, np.nan)
    q[0, 1] = 0.05  # is not below 0.05
    q[1, 0] = 0.9
    figure = transfer(n, q=q)
    assert rings(figure) == 2
    assert "○" in notes(figure)
    assert f"2 of {n * (n - 1):,} cells." in notes(figure)


def test_no_ring_where_there_is_no_test_or_no_value():
    shown = values(4)
    shown[0] = np.nan
    q = np.full((4, 4), 0.9)
    q[1] = np.nan
    assert rings(transfer(4, shown, q=q)) == 6
    untested = transfer(4, q=np.full((4, 4), np.nan))
    assert rings(untested) == 0
    assert "○" not in notes(untested)


def test_full_names_label_few_languages_and_codes_label_many():
    assert texts(transfer(9)).count("Language 3") == 2
    many = texts(transfer(25))
    assert "Language 3" not in many
    assert many.count("l03") == 2


def test_families_stand_beside_the_rows_and_beneath_the_columns():
    cells, left, below = transfer(4).axes
    assert [label.get_text() for label in left.get_yticklabels()] == [
        "Family 0",
        "Family 1",
    ]
    assert left.get_yticks().tolist() == below.get_xticks().tolist() == [1, 3]
    assert left.get_ylim() == cells.get_ylim()
    assert below.get_xlim() == cells.get_xlim()


def test_missing_cells_are_hatched_and_rows_not_identified_are_grey_and_marked():
    shown = values(4)
    shown[0, 2] = np.nan
    shown[3] = np.nan
    grey = np.array([False, False, False, True])
    figure = transfer(4, shown, not_identified=grey)
    patches = figure.axes[0].patches
    assert sum(patch.get_hatch() is not None for patch in patches) == 1
    assert sum(patch.get_hatch() is None for patch in patches) == 4
    assert "Language 3 †" in texts(figure)
    assert "† grey row" in notes(figure)
    assert "Hatched" in notes(figure)


def test_values_beyond_the_colours_are_marked_and_counted():
    shown = values(30).clip(0, 1.2)
    shown[0, 1], shown[2, 3] = -12.0, 9.0
    said = notes(transfer(30, shown))
    assert "Triangles: 2 values" in said
    assert "12.00" in said and "9.00" in said


def test_many_languages_are_colours_alone_and_the_notes_say_how_many_are_what():
    n = 120
    shown = values(n)
    shown[0] = shown[1, 5] = np.nan
    shown[2, 3] = 9.0
    grey = np.arange(n) == 0
    figure = transfer(n, shown, q=np.full((n, n), 0.9), not_identified=grey)
    axes = figure.axes[0]
    assert not axes.collections and not axes.patches
    (picture,) = axes.images
    drawn = picture.get_array()
    assert drawn[1, 5].tolist() == [1, 1, 1, 1]
    assert drawn[0, 7].tolist() == pytest.approx(to_rgba(NO_VALUE))
    tested = n * (n - 1) - n
    assert f"{tested:,} of {tested:,} cells, unmarked" in notes(figure)
    assert "White: not available" in notes(figure)
    assert "beyond the ends" in notes(figure) and "Triangles" not in notes(figure)
    assert texts(figure).count("l100") == 2
    assert lie_inside(figure) and max(figure.get_size_inches()) < 18


@pytest.mark.parametrize("cell", [0.5, np.nan])
def test_matrices_of_one_value_or_none_can_be_drawn(cell):
    transfer(3, np.full((3, 3), cell))
    zero_shot(np.full((3, 3), cell))


def test_values_mean_something_on_the_colour_bar():
    (bar,) = transfer(4).axes[0].child_axes
    labels = [label.get_text().split() for label in bar.get_yticklabels()]
    assert ["0.0", "worth", "nothing"] in labels
    assert ["1.0", "as", "good", "as", "target", "data"] in labels


def test_picture_of_54_languages_is_sharp_and_small(tmp_path):
    figure = transfer(54)
    write_figures(tmp_path, [Figure("h", lambda _: figure)], None)
    assert (tmp_path / "h.png").stat().st_size < 2_000_000
    assert min(figure.get_size_inches()) > 9


def test_a_language_on_both_axes_is_outlined_wherever_it_stands():
    other = Language("zz", "Zulu", "Another")
    figure = zero_shot(np.full((4, 3), 0.7), more=[other])
    assert frames(figure) == [(1, 0), (2, 1), (3, 2)]


def test_a_missing_cell_is_hatched_not_outlined():
    perf = uniform(3, 3)
    perf[1, 1] = np.nan
    figure = zero_shot(perf)
    assert frames(figure) == [(0, 0), (2, 2)]
    assert sum(bool(box.get_hatch()) for box in figure.axes[0].patches) == 1
    assert "Hatched" in notes(figure)


def test_perf_has_three_decimals_among_few_languages_and_two_among_more():
    few, middling, many = (
        texts(zero_shot(np.full((n, n), 0.8765))) for n in (4, 12, 21)
    )
    assert few.count("0.876") + few.count("0.877") == 16
    assert middling.count("0.88") >= 144
    assert many.count("0.88") < 30  # on the colour bar alone


def test_colours_of_perf_run_from_the_lowest_value_to_the_highest():
    perf = uniform(9, 9)
    figure = zero_shot(perf)
    cells = figure.axes[0].collections[0]
    assert (cells.norm.vmin, cells.norm.vmax) == (perf.min(), perf.max())
    assert cells.cmap.name == "cividis"
    assert f"{perf.min():.3f}" in notes(figure)
    assert f"{perf.max():.3f}" in notes(figure)


@pytest.fixture
def drawn(monkeypatch):
    """The grids that are asked for, which are not drawn."""
    grids = []
    monkeypatch.setattr(heatmaps, "draw_grid", grids.append)
    return grids


def test_a_report_s_matrix_is_drawn_by_family_with_its_marks(drawn):
    report = make_report([simulated(9, 4, run_sd=0.05)])
    draw_transfer(report)
    (grid,) = drawn
    order = report.display_index
    matrix = report.main.matrix
    assert [one.code for one in grid.rows] == [matrix.languages[i] for i in order]
    np.testing.assert_array_equal(grid.values, matrix.cltm[np.ix_(order, order)])
    grey = ~matrix.target_identified & np.isfinite(np.diagonal(matrix.self_gain))
    assert grid.faded.tolist() == grey[order].tolist()
    shown = np.isfinite(matrix.cltm) & ~np.eye(9, dtype=bool)
    tested = (report.main.uncertainty.q_gain >= 0.05) & shown
    assert grid.dotted.tolist() == tested[np.ix_(order, order)].tolist()
    assert "gender identification" in grid.title
    assert "N = 60 utterances per class, 4 seeds, 9 languages" in grid.subtitle


def test_zero_shot_has_rows_tested_on_and_columns_trained_on(drawn):
    scores = simulated(3)
    codes = scores.languages
    perf = np.random.default_rng(0).uniform(0.5, 0.9, (3, 4, len(scores.seeds)))
    perf[0, 3, 0] = np.nan  # one seed less, no less a mean
    scores = replace(scores, test_languages=(*codes, "zz"), zero_shot=perf)
    families = ("Kra-Dai", "Afro-Asiatic", "Kra-Dai")
    known = {
        code: Language(code, name, family)
        for code, name, family in zip(
            codes, ("Zhuang", "Arabic", "Lao"), families, strict=True
        )
    }
    draw_zero_shot(make_report([scores], known))
    (grid,) = drawn
    a, b, c = codes
    assert [language.code for language in grid.rows] == [b, c, a, "zz"]
    assert [language.code for language in grid.columns] == [b, c, a]
    assert grid.scale.name == "macro F1"
    assert grid.values[1, 0] == pytest.approx(perf[1, 2].mean())
    assert grid.values[3, 2] == pytest.approx(perf[0, 3, 1:].mean())


def test_there_is_none_where_runs_were_tested_on_their_own_language_only():
    scores = simulated(3)
    only_own = np.where(np.eye(3)[..., None] == 1, scores.zero_shot, np.nan)
    assert draw_zero_shot(make_report([replace(scores, zero_shot=only_own)])) is None
    means = {"single": np.array([0.7, 0.7]), "double": np.array([0.8, 0.8])}
    means["pair"] = np.full((2, 2), 0.78)
    aggregated = AggregatedScores(
        source=ResultsSource("means.csv", "", "speaker", "roc_auc"),
        languages=("ca", "es"),
        mean=means,
        variance={kind: 0 * mean + 1e-4 for kind, mean in means.items()},
        count={kind: 0 * mean + 10 for kind, mean in means.items()},
    )
    assert draw_zero_shot(make_report([aggregated])) is None
