import json

import numpy as np
import pytest

from espnet2_cltm.matrix.results import Choice, read_every_metric
from espnet2_cltm.report.page.matrix_data import metric_data
from tests.matrix.results_files import perf_rows, write_results
from tests.report.reports import (
    NINE,
    NOT_IDENTIFIED,
    SEEDS,
    analysed,
    nine_languages,
    simulated,
)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "results.tsv"
    return analysed(read_every_metric(write_results(path, nine_languages()))[0])


@pytest.fixture(scope="module")
def reasons():
    return {"": 0}


@pytest.fixture(scope="module")
def data(analysis, reasons):
    return metric_data(analysis, reasons)


def as_array(cells):
    return np.array(cells, dtype=float)


def test_cells_are_those_of_the_analysis_rows_targets(data, analysis):
    matrix = analysis.matrix
    np.testing.assert_allclose(as_array(data["cltm"]), matrix.raw_cltm, atol=6e-5)
    np.testing.assert_allclose(
        as_array(data["relative_gain"]), matrix.relative_gain, atol=6e-6
    )
    np.testing.assert_allclose(
        as_array(data["q_gain"]), analysis.uncertainty.q_gain, rtol=6e-3
    )
    i, j = NINE.index("es"), NINE.index("de")
    pair = analysis.scores.pair[i, j]
    np.testing.assert_allclose(data["pair"][i][j], pair, atol=6e-6)
    assert data["perf_pair"][i][j] == pytest.approx(pair.mean(), abs=6e-6)
    assert data["n_seeds"][i][j] == len(SEEDS)


def test_zero_shot_has_rows_tested_on_and_columns_trained_on(data, analysis):
    tested, trained = NINE.index("ca"), NINE.index("tr")
    values = analysis.scores.zero_shot[trained, tested]
    np.testing.assert_allclose(
        data["zero_shot_seeds"][tested][trained], values, atol=6e-6
    )
    assert data["zero_shot"][tested][trained] == pytest.approx(values.mean(), abs=6e-6)


def test_cells_without_an_estimate_or_not_identified_have_their_reason(data, reasons):
    def reason(target, donor):
        number = data["reason"][NINE.index(target)][NINE.index(donor)]
        return list(reasons)[number]

    assert reason("es", "de") == ""
    assert reason("ca", "uz") == "no pair run ca+uz tested on ca"
    assert "not clearly positive" in reason(NOT_IDENTIFIED, "tr")
    assert data["cltm"][NINE.index("ca")][NINE.index("uz")] is None
    target = data["targets"][NINE.index(NOT_IDENTIFIED)]
    assert target["not_identified"]
    assert target["self_gain"] < 0
    assert not data["identified"][NINE.index(NOT_IDENTIFIED)][0]


def test_one_sentence_is_kept_once(data, reasons):
    assert len(set(reasons)) == len(reasons)
    assert list(reasons.values()) == list(range(len(reasons)))
    used = {number for row in data["reason"] for number in row}
    assert used == set(reasons.values())


def test_data_is_json_that_a_browser_reads(data):
    """JSON has no NaN and no infinity, which unbounded sets have."""
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    kinds = {kind for row in data["fieller_kind"] for kind in row}
    assert "bounded" in kinds


def test_unbounded_ends_are_named(tmp_path):
    generator = np.random.default_rng(0)
    rows = perf_rows(("ca", "es"), SEEDS, lambda *run: 0.7 + generator.normal(0, 0.05))
    scores = read_every_metric(write_results(tmp_path / "results.tsv", rows))[0]
    data = metric_data(analysed(scores), {"": 0})
    ends = {
        value for row in data["fieller_low"] + data["fieller_high"] for value in row
    }
    assert ends & {"inf", "-inf"}
    json.dumps(data, allow_nan=False)


def test_aggregated_scores_have_no_seeds(tmp_path):
    lines = ["model_id,type,lang_src,lang_tgt,seed_count,f1_mean,f1_var"]
    for i, j in (("ca", "es"), ("es", "ca")):
        lines += [
            f"m,single,{i},,10,0.7,0.0004",
            f"m,dual,{i},{i},10,0.8,0.0004",
            f"m,dual,{i},{j},10,0.78,0.0004",
        ]
    path = tmp_path / "aggregated.csv"
    path.write_text("\n".join(lines) + "\n")
    data = metric_data(analysed(read_every_metric(path)[0]), {"": 0})
    assert data["seeds"] is None
    assert data["bootstrap_low"] is None
    assert data["cltm"] == [[1, 0.8], [0.8, 1]]


def test_lower_is_better_metrics_enter_as_perf(tmp_path):
    rows = perf_rows(
        ("ca", "es"),
        SEEDS,
        lambda kind, *run: {"single": 0.3, "double": 0.1, "pair": 0.15}[kind],
        "eer",
        "speaker",
    )
    path = write_results(tmp_path / "results.tsv", rows)
    scores = read_every_metric(path, Choice(metric="eer"))[0]
    data = metric_data(analysed(scores), {"": 0})
    assert data["label"] == "1 \N{MINUS SIGN} EER"
    assert data["single"][0] == [0.7] * len(SEEDS)
    assert data["cltm"][0][1] == pytest.approx(0.75)


def test_every_matrix_has_a_scale():
    data = metric_data(analysed(simulated(3, 3)), {"": 0})
    assert set(data["scales"]) == {
        *("cltm", "gain", "relative_gain", "pair", "zero_shot")
    }


def test_targets_that_are_not_identified_do_not_widen_the_scale(analysis, data):
    cltm = analysis.matrix.raw_cltm
    assert np.nanmin(cltm) < -1 < data["scales"]["cltm"]["low"]


def test_perf_runs_from_the_smallest_to_the_largest_value(analysis, data):
    scale, values = data["scales"]["zero_shot"], analysis.scores.zero_shot.mean(axis=-1)
    assert scale["low"] == pytest.approx(values.min(), abs=1e-6)
    assert scale["high"] == pytest.approx(values.max(), abs=1e-6)
