import json

import numpy as np
import pytest

from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.matrix.prediction import predict_missing
from espnet2_cltm.matrix.results import read_every_metric
from espnet2_cltm.report.page.build import (
    NONE_IDENTIFIED,
    NONE_MEASURED,
    NOTE_BOTH,
    NOTE_IDENTIFIED,
    build_page,
)
from tests.matrix.results_files import perf_rows, write_results
from tests.report.page.reports import (
    NINE,
    NOT_IDENTIFIED,
    NOT_MEASURED,
    SEEDS,
    make_report,
    nine_languages,
    simulated,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("build") / "results.tsv"
    write_results(path, nine_languages(("macro_f1", "accuracy")))
    scores = read_every_metric(path)
    first = make_report(scores)
    missing = predict_missing(first.main.matrix, language_distances(NINE))
    return make_report(scores, missing=missing, files={"cltm.csv": "a,b\n"})


@pytest.fixture(scope="module")
def built(report):
    return build_page(report)


@pytest.fixture(scope="module")
def page(built):
    return built[0]


@pytest.fixture(scope="module")
def data(built):
    return built[1]


def test_orders_are_permutations_of_all_languages(data):
    for order in data["orders"].values():
        assert order is None or sorted(order) == list(range(len(NINE)))
    assert data["orders"]["clusters"] is not None


def test_rankings_are_of_identified_targets_best_first(page, report):
    donors, targets = page.rankings
    values = [float(row.value) for row in donors.rows]
    assert values == sorted(values, reverse=True)
    assert len(donors.rows) == len(NINE)
    name = report.languages[NOT_IDENTIFIED].name
    assert name not in [row.name for row in targets.rows]
    cltm = report.main.matrix.cltm.copy()
    np.fill_diagonal(cltm, np.nan)
    assert max(np.nanmean(cltm, axis=0)) == pytest.approx(values[0], abs=6e-4)


def test_strongest_pairs_are_the_ends_of_the_matrix(page, report):
    helps, hurts = page.strongest
    matrix = report.main.matrix
    cltm = np.where(np.eye(len(NINE)) == 1, np.nan, matrix.cltm)
    i, j = np.unravel_index(np.nanargmax(cltm), cltm.shape)
    names = [report.languages[code].name for code in matrix.languages]
    target, donor, value, interval = helps.rows[0]
    assert (target, donor, value) == (names[i], names[j], f"{cltm[i, j]:.2f}")
    low, high = map(float, interval.strip("[]").split(", "))
    assert low < cltm[i, j] < high
    assert len(helps.rows) == 10
    assert len(hurts.rows) == int((cltm < 0).sum())


def test_all_metrics_are_there_and_predictions_of_the_first(data):
    assert [metric["name"] for metric in data["metrics"]] == ["macro_f1", "accuracy"]
    predicted = data["metrics"][0]["predicted"]
    cells = {
        (NINE[i], NINE[j])
        for i, row in enumerate(predicted)
        for j, cell in enumerate(row)
        if cell is not None
    }
    both_ways = {*NOT_MEASURED, *((b, a) for a, b in NOT_MEASURED)}
    assert cells == {(a, b) for a, b in both_ways if a != NOT_IDENTIFIED}
    assert all(cell[1] < cell[0] < cell[2] for row in predicted for cell in row if cell)
    assert data["metrics"][1]["predicted"] is None


def test_gaps_name_what_is_not_identified_not_measured_and_predicted(page):
    gaps = "\n".join(page.gaps)
    assert "Not identified, 1 of 9 targets: ky" in gaps
    assert "cells (no pair run" in gaps or "no pair run" in gaps
    assert "are predicted from" in gaps


def test_contents_lead_to_sections_that_are_there(page):
    ids = [id_ for id_, _ in page.contents]
    assert len(set(ids)) == len(ids)
    assert {"rankings", "pairs", "zero-shot", "gaps"} <= set(ids)
    assert "regime" not in ids


def test_comparison_with_the_published_matrix_counts_the_cells_of_both(page, data):
    part = page.comparisons[0]
    cells = data["comparisons"][0]["cells"]
    assert "mHuBERT-147" in part.title
    assert f"{sum(cell[4] for cell in cells)} cells" in part.numbers
    assert "Pearson r" in part.numbers


def test_numbers_have_two_versions_where_a_target_is_not_identified(page):
    assert list(page.number_columns) == ["identified targets", "all targets"]
    assert all(len(row.values) == 2 for row in page.numbers)
    assert page.has_brackets
    assert page.has_stars


def test_data_is_json(data):
    json.dumps(data, allow_nan=False)


def test_no_identified_target_leaves_no_ranking_and_says_so(tmp_path):
    rows = perf_rows(
        ("ca", "es", "tr"),
        SEEDS,
        lambda kind, *run: 0.6 if kind == "double" else 0.7 + run[-1] % 3 * 0.01,
    )
    scores = read_every_metric(write_results(tmp_path / "results.tsv", rows))
    page, data = build_page(make_report(scores))
    assert NONE_IDENTIFIED in page.in_short
    assert (list(page.rankings), list(page.strongest)) == ([], [])
    ids = {id_ for id_, _ in page.contents}
    assert not ids & {"rankings", "pairs", "comparison"}
    assert data["orders"]["clusters"] is None


def page_without_doubles(tmp_path, languages: str):
    rows = perf_rows(
        ("ca", "es", "tr"),
        SEEDS,
        lambda kind, *run: (
            {"single": 0.6, "pair": 0.65, "double": 0.7}[kind] + run[-1] % 3 * 0.001
        ),
    )
    rows = [r for r in rows if not (r[2] == "double" and r[6] in languages.split())]
    path = write_results(tmp_path / "results.tsv", rows)
    return build_page(make_report(read_every_metric(path)))[0]


def test_targets_without_doubles_are_not_said_to_gain_nothing(tmp_path):
    page = page_without_doubles(tmp_path, "ca es tr")
    assert NONE_MEASURED in page.in_short
    assert NONE_IDENTIFIED not in page.in_short
    assert "Identified: 0 of 3 targets (without self-gain: 3)." in page.in_short[0]
    assert page.numbers_note == "There are no numbers: no target has a self-gain."


def test_one_target_without_doubles_does_not_count_as_identified(tmp_path):
    page = page_without_doubles(tmp_path, "es")
    assert "Identified: 2 of 3 targets (without self-gain: 1)." in page.in_short[0]
    assert not {NONE_MEASURED, NONE_IDENTIFIED} & set(page.in_short)
    assert page.numbers_note not in (NOTE_IDENTIFIED, NOTE_BOTH)
    assert "All targets that have a self-gain, 2 of 3, are identified" in (
        page.numbers_note
    )


def test_without_zero_shot_runs_there_is_no_such_part(tmp_path):
    rows = [r for r in nine_languages() if r[2] != "single" or r[3] == r[6]]
    scores = read_every_metric(write_results(tmp_path / "results.tsv", rows))
    page, data = build_page(make_report(scores))
    assert not data["has_zero_shot"]
    assert "zero-shot" not in dict(page.contents)


def test_one_seed_makes_a_page():
    page, data = build_page(make_report([simulated(3, 1)]))
    json.dumps(data, allow_nan=False)
    assert ", 1 seed, " in page.subtitle
