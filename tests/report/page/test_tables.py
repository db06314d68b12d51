import numpy as np
import pytest

from espnet2_cltm.matrix.languages import describe, display_order, read_languages
from espnet2_cltm.matrix.results import read_every_metric
from espnet2_cltm.report.page.tables import matrix_rows, zero_shot_rows
from tests.matrix.results_files import write_results
from tests.report.page.reports import CONF, NOT_IDENTIFIED, analysed, nine_languages

MINUS = "\N{MINUS SIGN}"


def described(analysis):
    return display_order(
        describe(analysis.matrix.languages, read_languages(CONF)).values()
    )


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "results.tsv"
    return analysed(read_every_metric(write_results(path, nine_languages()))[0])


def cells_of(rows, languages):
    codes = [language.code for language in languages]
    return {
        (target.code, donor): text
        for target, texts in rows
        for donor, text in zip(codes, texts, strict=True)
    }


def test_cells_stand_under_their_donor_in_the_order_of_display(analysis):
    languages = described(analysis)
    cells = cells_of(matrix_rows(analysis, languages), languages)
    matrix = analysis.matrix
    for i, target in enumerate(matrix.languages):
        for j, donor in enumerate(matrix.languages):
            text = cells[target, donor].strip("()*").replace(MINUS, "-")
            value = matrix.raw_cltm[i, j]
            assert text == (f"{value:.2f}" if np.isfinite(value) else "")


def test_brackets_stars_and_empty_cells(analysis):
    languages = described(analysis)
    cells = cells_of(matrix_rows(analysis, languages), languages)
    assert cells[NOT_IDENTIFIED, "tr"].startswith("(")
    assert cells["ca", "uz"] == ""
    assert cells["ca", "ca"] == "1.00"
    assert cells["ca", "es"].endswith("*")
    q = analysis.uncertainty.q_zero
    stars = sum(text.endswith("*") for text in cells.values())
    assert stars == int((q < 0.05).sum())


def test_zero_shot_has_rows_tested_on(analysis):
    languages = described(analysis)
    cells = cells_of(zero_shot_rows(analysis, languages), languages)
    codes = analysis.matrix.languages
    values = analysis.scores.zero_shot[codes.index("tr"), codes.index("ca")]
    assert cells["ca", "tr"] == f"{values.mean():.3f}"


def test_no_zero_shot_table_where_runs_were_tested_on_their_own_language_only(
    tmp_path,
):
    rows = [r for r in nine_languages() if r[2] != "single" or r[3] == r[6]]
    scores = read_every_metric(write_results(tmp_path / "results.tsv", rows))[0]
    analysis = analysed(scores)
    assert zero_shot_rows(analysis, described(analysis)) == []
