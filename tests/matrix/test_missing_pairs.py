import csv

import numpy as np
import pytest

from espnet2_cltm.matrix.language_distances import language_distances
from espnet2_cltm.matrix.missing_pairs import predict_missing, write_predicted
from espnet2_cltm.matrix.read_scores import read_scores
from tests.matrix.results_files import write_results
from tests.report.reports import (
    NINE,
    NOT_IDENTIFIED,
    NOT_MEASURED,
    analysed,
    nine_languages,
)

BOTH_WAYS = {*NOT_MEASURED, *((b, a) for a, b in NOT_MEASURED)}
DISTANCES = language_distances(NINE)


def matrix_of(path, rows):
    return analysed(read_scores(write_results(path / "results.tsv", rows))).matrix


def rows_of(*languages):
    return [
        row
        for row in nine_languages()
        if {*row[3].split("+"), row[6]} <= set(languages)
    ]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    return matrix_of(tmp_path_factory.mktemp("missing"), nine_languages())


@pytest.fixture(scope="module")
def missing(matrix):
    return predict_missing(matrix, DISTANCES)


def test_cells_of_identified_targets_that_were_not_measured_are_predicted(missing):
    wanted = {(NINE[i], NINE[j]) for i, j in np.argwhere(missing.wanted)}
    assert wanted == {cell for cell in BOTH_WAYS if cell[0] != NOT_IDENTIFIED}
    mean = missing.prediction.mean[missing.wanted]
    assert np.isfinite(mean).all()
    assert (missing.prediction.low[missing.wanted] < mean).all()
    assert (mean < missing.prediction.high[missing.wanted]).all()


def test_nothing_is_predicted_where_all_pairs_were_measured(tmp_path):
    matrix = matrix_of(tmp_path, rows_of("ca", "de", "es", "gl", "ky", "nl"))
    distances = language_distances(matrix.languages)
    assert predict_missing(matrix, distances) is None


def test_too_few_cells_give_no_prediction(tmp_path):
    few = ("ca", "es", "uz")
    matrix = matrix_of(tmp_path, rows_of(*few))
    assert np.isnan(matrix.raw_cltm).any()
    assert predict_missing(matrix, language_distances(few)) is None


def test_how_well_predictions_do_is_told(missing):
    [line] = missing.lines
    n = int(missing.wanted.sum())
    assert line.startswith(f"{n} cells that were not measured are predicted from ")
    assert f"RMSE {missing.error.rmse:.2f}" in line
    assert missing.error.n_cells == missing.prediction.n_cells


def test_file_has_a_line_a_cell_and_reads_back_to_the_same_bits(missing, tmp_path):
    path = tmp_path / "predicted.tsv"
    write_predicted(path, missing)
    with path.open() as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    assert len(lines) == int(missing.wanted.sum())
    for line in lines:
        cell = NINE.index(line["target"]), NINE.index(line["donor"])
        assert float(line["cltm"]) == missing.prediction.mean[cell]
        assert float(line["low"]) == missing.prediction.low[cell]
        assert float(line["high"]) == missing.prediction.high[cell]
    before = path.read_bytes()
    write_predicted(path, missing)
    assert path.read_bytes() == before
