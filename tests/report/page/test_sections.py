import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.matrix.prediction import predict_missing
from espnet2_cltm.matrix.results import read_every_metric
from espnet2_cltm.report.findings import cell_verdicts, gains_line, headline
from espnet2_cltm.report.page.section import bullets, paragraphs, table
from espnet2_cltm.report.page.sections import NONE_IDENTIFIED, NONE_MEASURED, SECTIONS
from espnet2_cltm.report.page.write import page_data
from espnet2_cltm.report.provenance import Provenance
from espnet2_cltm.results_format import CONFUSION_COLUMNS
from tests.matrix.results_files import perf_rows, write_results
from tests.report.page.html_parts import Parts, cells, section
from tests.report.reports import (
    NINE,
    NOT_IDENTIFIED,
    NOT_MEASURED,
    SEEDS,
    make_report,
    nine_languages,
    simulated,
)

MINUS = "\N{MINUS SIGN}"


def report_of(tmp_path, rows, **parts):
    path = write_results(tmp_path / "results.tsv", rows)
    return make_report(read_every_metric(path), **parts)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("sections")
    first = report_of(path, nine_languages(("macro_f1", "accuracy")))
    missing = predict_missing(first.main.matrix, language_distances(NINE))
    return replace(first, missing=missing, files={"cltm.csv": "a,b\n"})


@pytest.fixture(scope="module")
def data(report):
    return page_data(report, SECTIONS)


@pytest.fixture(scope="module")
def names(report):
    return {code: language.name for code, language in report.languages.items()}


def shown(report) -> set[str]:
    return {one.id for one in SECTIONS if one.html(report) is not None}


def test_ids_and_titles_are_unique():
    for attribute in ("id", "title"):
        values = [getattr(one, attribute) for one in SECTIONS]
        assert len(set(values)) == len(values)


def test_sections_with_nothing_to_say_are_left_out(report):
    silent = {"regime", "confusion", "corpus", "training", "scores"}
    silent |= {"strategies", "calibration", "layers", "pools"}
    assert {one.id for one in SECTIONS} - shown(report) == silent


def test_orders_are_permutations_of_all_languages(data):
    for order in data["orders"].values():
        assert order is None or sorted(order) == list(range(len(NINE)))
    assert data["orders"]["clusters"] is not None


def test_cells_of_the_matrix_stand_under_their_donor_in_the_order_of_display(
    report, names
):
    found = section(report, "the-matrix").tables[-1]
    written = cells(found)
    assert [row[0] for row in found.rows[1:]] == [
        language.name for language in report.display_languages
    ]
    matrix = report.main.matrix
    for i, target in enumerate(matrix.languages):
        for j, donor in enumerate(matrix.languages):
            text = written[names[target], donor].strip("()*").replace(MINUS, "-")
            value = matrix.raw_cltm[i, j]
            assert text == (f"{value:.2f}" if np.isfinite(value) else "")


def test_brackets_stars_and_empty_cells(report, names):
    found = section(report, "the-matrix").tables[-1]
    written = cells(found)
    assert written[names[NOT_IDENTIFIED], "tr"].startswith("(")
    assert written[names["ca"], "uz"] == ""
    assert written[names["ca"], "ca"] == "1.00"
    assert written[names["ca"], "es"].endswith("*")
    stars = sum("*" in text for text in written.values())
    told = report.main.uncertainty.q_gain < 0.05
    assert stars == int(told[~np.eye(len(NINE), dtype=bool)].sum())
    assert "brackets" in found.caption and "*" in found.caption


def test_rankings_are_of_identified_targets_best_first(report, names):
    donors, targets = section(report, "rankings").tables
    values = [float(row[1]) for row in donors.rows[1:]]
    assert values == sorted(values, reverse=True)
    assert len(values) == len(NINE)
    assert names[NOT_IDENTIFIED] not in [row[0] for row in targets.rows]
    cltm = report.main.matrix.cltm.copy()
    np.fill_diagonal(cltm, np.nan)
    assert max(np.nanmean(cltm, axis=0)) == pytest.approx(values[0], abs=6e-4)


def test_clearest_pairs_are_ranked_by_evidence_and_only_those_told_from_zero(
    report, names
):
    found = section(report, "pairs")
    helps, *harms = found.tables
    matrix, uncertainty = report.main.matrix, report.main.uncertainty
    itself = np.eye(len(NINE), dtype=bool)
    told = (uncertainty.q_gain < 0.05) & ~itself
    p = np.where(told & (matrix.cross_gain > 0), uncertainty.p_gain, np.nan)
    i, j = np.unravel_index(np.nanargmin(p), p.shape)
    target, donor, gain, _, value, interval = helps.rows[1]
    clearest = names[matrix.languages[i]], names[matrix.languages[j]]
    assert (target, donor) == clearest
    assert gain.startswith(f"+{matrix.cross_gain[i, j]:.3f}")
    low, high = map(float, interval.strip("[]").split(", "))
    assert low < float(value) < high
    assert len(helps.rows) == 11
    n_harms = int((told & (matrix.cross_gain < 0)).sum())
    assert sum(len(one.rows) - 1 for one in harms) == n_harms
    assert bool(n_harms) != ("No donor clearly harms" in found.text)


def test_a_donor_helps_a_target_that_is_not_identified(report):
    cells = cell_verdicts(report.matrix, report.uncertainty)[NINE.index(NOT_IDENTIFIED)]
    assert (cells == "helps").sum() > 1
    assert "unclear" in section(report, "in-short").text


def test_without_a_difference_nothing_is_said_to_help_or_harm(tmp_path):
    generator = np.random.default_rng(1)
    rows = perf_rows(
        ("ca", "es", "tr"), SEEDS, lambda *run: generator.normal(0.7, 0.02)
    )
    report = report_of(tmp_path, rows)
    found = section(report, "pairs")
    assert not found.tables
    assert "No donor clearly helps or harms a target, in 6 pairs." in headline(report)


def test_all_metrics_are_there_and_predictions_of_the_first(data):
    assert [metric["name"] for metric in data["metrics"]] == ["macro_f1", "accuracy"]
    predicted = data["metrics"][0]["predicted"]
    found = {
        (NINE[i], NINE[j])
        for i, row in enumerate(predicted)
        for j, cell in enumerate(row)
        if cell is not None
    }
    both_ways = {*NOT_MEASURED, *((b, a) for a, b in NOT_MEASURED)}
    assert found == {(a, b) for a, b in both_ways if a != NOT_IDENTIFIED}
    assert all(cell[1] < cell[0] < cell[2] for row in predicted for cell in row if cell)
    assert data["metrics"][1]["predicted"] is None


def test_gaps_name_what_is_not_identified_not_measured_and_predicted(report):
    gaps = section(report, "gaps").text
    assert f"1 of 9 targets: {NOT_IDENTIFIED}" in gaps
    assert "no pair run" in gaps
    assert "predicted" in gaps


def test_comparison_with_the_published_matrix_counts_the_cells_of_both(report, data):
    found = section(report, "comparison")
    of_both = data["sections"]["comparison"][0]
    assert "mHuBERT-147" in found.text
    assert f"{sum(cell[4] for cell in of_both)} cells" in found.text
    assert re.search(r"Pearson r [\d.]+ \(p = [\d.]+\)", found.text)


def test_numbers_are_of_identified_targets_and_need_three_seeds(report):
    rows = dict(section(report, "numbers").tables[0].rows)
    cells = report.numbers.identified.layout.off_diagonal.sum()
    assert rows["cells off the diagonal"] == str(cells)
    assert "[" in rows["mean"]
    two_seeds = dict(
        section(make_report([simulated(4, 2, run_sd=0.01)]), "numbers").tables[0].rows
    )
    assert "[" not in two_seeds["mean"]


def test_every_target_has_its_single_double_and_self_gain(report, names):
    (found,) = section(report, "own-data").tables
    rows = cells(found)
    assert len(found.rows) == 1 + len(NINE)
    gain = report.matrix.self_gain[0, 0]
    assert rows[names[NINE[0]], "self-gain"] == f"+{gain:.3f}"
    assert rows[names[NINE[0]], "own data"] == "helps"
    assert "not clearly positive" in rows[names[NOT_IDENTIFIED], "why not identified"]


def test_zero_shot_has_rows_tested_on(report, names):
    (found,) = section(report, "zero-shot").tables
    codes = report.main.matrix.languages
    values = report.main.scores.zero_shot[codes.index("tr"), codes.index("ca")]
    assert cells(found)[names["ca"], "tr"] == f"{values.mean():.3f}"


def test_data_is_json(data):
    json.dumps(data, allow_nan=False)


def test_no_identified_target_leaves_no_ranking_and_says_so(tmp_path):
    rows = perf_rows(
        ("ca", "es", "tr"),
        SEEDS,
        lambda kind, *run: 0.6 if kind == "double" else 0.7 + run[-1] % 3 * 0.01,
    )
    report = report_of(tmp_path, rows)
    assert NONE_IDENTIFIED in section(report, "in-short").items
    assert not shown(report) & {"rankings", "numbers", "comparison"}
    assert page_data(report, SECTIONS)["orders"]["clusters"] is None


def report_without_doubles(tmp_path, languages: str):
    rows = perf_rows(
        ("ca", "es", "tr"),
        SEEDS,
        lambda kind, *run: (
            {"single": 0.6, "pair": 0.65, "double": 0.7}[kind] + run[-1] % 3 * 0.001
        ),
    )
    rows = [r for r in rows if not (r[2] == "double" and r[6] in languages.split())]
    return report_of(tmp_path, rows)


def test_targets_without_doubles_are_not_said_to_gain_nothing(tmp_path):
    report = report_without_doubles(tmp_path, "ca es tr")
    said = section(report, "in-short").items
    assert NONE_MEASURED in said
    assert NONE_IDENTIFIED not in said
    assert any("of 3 targets (without single or double runs: 3)" in one for one in said)
    assert section(report, "numbers") is None
    assert re.search(r"average: 0\.60\d on N of", gains_line(report))


def test_one_pair_that_is_unclear_is_one(tmp_path):
    rows = perf_rows(
        ("ca", "es"),
        SEEDS,
        lambda kind, tested, donor, seed: (
            0.6 + (kind == "pair") * (0.1 if tested == "ca" else (-1) ** seed * 0.1)
        ),
    )
    assert "1 of 2 pairs; the other is unclear" in headline(report_of(tmp_path, rows))


def test_one_target_without_doubles_does_not_count_as_identified(tmp_path):
    report = report_without_doubles(tmp_path, "es")
    said = section(report, "in-short").items
    assert any("2 of 3 targets (without single or double runs: 1)" in x for x in said)
    assert not {NONE_MEASURED, NONE_IDENTIFIED} & set(said)


def test_without_zero_shot_runs_there_is_no_such_section(tmp_path):
    rows = [r for r in nine_languages() if r[2] != "single" or r[3] == r[6]]
    report = report_of(tmp_path, rows)
    assert not page_data(report, SECTIONS)["has_zero_shot"]
    assert section(report, "zero-shot") is None


def test_one_seed_makes_a_page():
    report = make_report([simulated(3, 1)])
    json.dumps(page_data(report, SECTIONS), allow_nan=False)
    assert {"in-short", "the-matrix", "numbers", "methods"} <= shown(report)


def test_confusion_is_shown_where_it_is_known():
    rows = [("ca", "3", "ca", "a", "b", 1), ("ca", "3", "ca", "a", "a", 3)]
    counts = pd.DataFrame(
        [("gender", "single", *row) for row in rows], columns=list(CONFUSION_COLUMNS)
    )
    report = make_report([simulated(2, 3)], confusion=counts)
    (found,) = section(report, "confusion").tables
    assert found.rows == [
        ["reference \\ predicted", "a", "b", "items"],
        ["a", "75.0% (3)", "25.0% (1)", "4"],
        ["b", "0.0% (0)", "0.0% (0)", "0"],
    ]


def test_results_from_elsewhere_say_how_the_matrix_was_built():
    report = make_report([simulated(2, 3)], provenance=Provenance(""))
    assert report.build_command in section(report, "reproduce").text
    made_here = make_report([simulated(2, 3)])
    assert "./run.sh --corpus demo" in section(made_here, "reproduce").text
    assert report.build_command not in section(made_here, "reproduce").text


def test_downloads_are_files_inside_and_figures_beside():
    report = make_report(
        [simulated(2, 3)], files={"cltm.csv": ""}, figures=("heatmap.png",)
    )
    found = section(report, "downloads")
    assert found.attributes("data-file") == ["cltm.csv"]
    assert found.attributes("href") == ["heatmap.png"]


def test_pieces_of_html_escape_text_and_write_minus_signs():
    made = (
        paragraphs(["1 < 2"], "note")
        + bullets(["-1"])
        + table("a & b", ("name-1", "value"), [("<i>-2", "-2")])
    )
    found = Parts(made)
    assert ("p", {"class": "note"}) in found.tags
    assert "i" not in {tag for tag, _ in found.tags}
    assert "1 < 2" in found.text
    assert found.items == [f"{MINUS}1"]
    # Names stay as they are, numbers have their sign.
    rows = [["name-1", "value"], ["<i>-2", f"{MINUS}2"]]
    assert found.tables == [("a & b", rows)]
    assert Parts(table("", (), [("a", "b")])).tables[0].rows == [["a", "b"]]
