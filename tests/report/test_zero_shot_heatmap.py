import itertools
from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.scores import AggregatedScores, ResultsSource
from espnet2_cltm.report.zero_shot_heatmap import (
    ZeroShotHeatmap,
    draw_zero_shot_heatmap,
    write_zero_shot_heatmap,
    zero_shot_heatmap,
)
from tests.matrix.simulator import Simulation, draw_scores, draw_truth


def heatmap(tested: int, trained: int, **changes) -> ZeroShotHeatmap:
    languages = tuple(
        Language(f"l{i:02d}", f"Language {i}", f"Family {i // 3}")
        for i in range(max(tested, trained))
    )
    values = np.random.default_rng(tested).uniform(0.5, 0.95, (tested, trained))
    fields = {
        "tested": languages[:tested],
        "trained": languages[:trained],
        "values": values,
        "label": "macro F1",
        "title": "Zero-shot performance, gender identification",
        "subtitle": "macro F1, N = 60 utterances per class, 10 seeds",
    } | changes
    return ZeroShotHeatmap(**fields)


def texts(figure) -> list[str]:
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
    return found


def frames(figure) -> list[tuple[int, int]]:
    """Give row and column of the outlined cells."""
    found = {
        (round(box.get_y() + box.get_height() / 2), round(box.get_x() + 0.5))
        for box in figure.axes[0].patches
        if not box.get_fill()
    }
    return sorted(found)


@pytest.mark.parametrize(("tested", "trained"), [(2, 2), (5, 3), (9, 9), (54, 50)])
@pytest.mark.parametrize("label", ["macro F1", "1 - minDCF (p_target 0.01)"])
def test_all_text_lies_inside_the_picture_and_titles_do_not_overlap(
    tested, trained, label
):
    figure = draw_zero_shot_heatmap(heatmap(tested, trained, label=label))
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    cells, bar = figure.axes
    for text in (*figure.texts, *cells.texts, *bar.texts):
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1 and box.y0 >= -1, text.get_text()
        assert box.x1 <= width + 1 and box.y1 <= height + 1, text.get_text()
    name = bar.texts[-1]
    assert name.get_text().split() == label.replace("-", "\N{MINUS SIGN}").split()
    boxes = [t.get_window_extent(renderer) for t in (*figure.texts, *bar.texts)]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_a_language_on_both_axes_is_outlined_wherever_it_stands():
    made = heatmap(3, 3)
    a, b, c = made.tested
    d = Language("zz", "Zulu", "Other")
    moved = replace(made, tested=(b, c, d, a), values=np.full((4, 3), 0.7))
    assert frames(draw_zero_shot_heatmap(moved)) == [(0, 1), (1, 2), (3, 0)]


def test_a_missing_cell_is_hatched_not_outlined():
    values = heatmap(3, 3).values
    values[1, 1] = np.nan
    figure = draw_zero_shot_heatmap(heatmap(3, 3, values=values))
    assert frames(figure) == [(0, 0), (2, 2)]
    assert sum(bool(box.get_hatch()) for box in figure.axes[0].patches) == 1
    assert "Hatched: not available." in texts(figure)


def test_values_have_three_decimals_among_few_languages_and_two_among_more():
    few, middling, many = (
        texts(
            draw_zero_shot_heatmap(
                heatmap(n, n, values=np.full((n, n), 0.8765), subtitle="")
            )
        )
        for n in (4, 12, 30)
    )
    assert few.count("0.876") + few.count("0.877") == 16
    assert middling.count("0.88") >= 144
    assert not any(text.startswith("0.87") for text in many if len(text) == 5)


def test_colours_run_from_the_lowest_value_to_the_highest():
    made = heatmap(9, 9)
    cells = draw_zero_shot_heatmap(made).axes[0].collections[0]
    assert cells.norm.vmin == made.values.min()
    assert cells.norm.vmax == made.values.max()
    assert cells.cmap.name == "cividis"
    note = f"{made.values.min():.3f}, to the highest, {made.values.max():.3f}."
    assert any(text.endswith(note) for text in texts(draw_zero_shot_heatmap(made)))


def test_matrices_of_one_value_or_none_can_be_drawn():
    draw_zero_shot_heatmap(heatmap(3, 3, values=np.full((3, 3), 0.5)))
    draw_zero_shot_heatmap(heatmap(3, 3, values=np.full((3, 3), np.nan)))


def test_rows_are_tested_on_and_columns_trained_on():
    generator = np.random.default_rng(0)
    simulation = Simulation(n_languages=3)
    scores = draw_scores(draw_truth(simulation, generator), simulation, generator)
    zero_shot = generator.uniform(0.5, 0.9, (3, 4, len(scores.seeds)))
    zero_shot[0, 3, 0] = np.nan  # one seed less, no less a mean
    scores = replace(
        scores, test_languages=(*scores.languages, "zz"), zero_shot=zero_shot
    )
    known = {
        "l00": Language("l00", "Zhuang", "Kra-Dai"),
        "l01": Language("l01", "Arabic", "Afro-Asiatic"),
        "l02": Language("l02", "Lao", "Kra-Dai"),
    }
    made = zero_shot_heatmap(scores, known, "title", "subtitle")
    assert [language.code for language in made.tested] == ["l01", "l02", "l00", "zz"]
    assert [language.code for language in made.trained] == ["l01", "l02", "l00"]
    assert made.label == "macro F1"
    assert made.values[1, 0] == pytest.approx(zero_shot[1, 2].mean())
    assert made.values[3, 2] == pytest.approx(zero_shot[0, 3, 1:].mean())


def test_there_is_none_where_runs_were_tested_on_their_own_language_only():
    generator = np.random.default_rng(0)
    simulation = Simulation(n_languages=3)
    simulated = draw_scores(draw_truth(simulation, generator), simulation, generator)
    assert zero_shot_heatmap(simulated, {}, "title", "subtitle") is None
    aggregated = AggregatedScores(
        source=ResultsSource("means.csv", "", "speaker", "roc_auc"),
        languages=("ca", "es"),
        mean={"single": np.array([0.8, 0.7])},
        variance={},
        count={},
    )
    assert zero_shot_heatmap(aggregated, {}, "title", "subtitle") is None


def test_same_values_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_zero_shot_heatmap(
            heatmap(5, 4), png=tmp_path / f"{name}.png", pdf=tmp_path / f"{name}.pdf"
        )
    for suffix in ("png", "pdf"):
        one, other = (tmp_path / f"{name}.{suffix}" for name in "ab")
        assert one.read_bytes() == other.read_bytes()
