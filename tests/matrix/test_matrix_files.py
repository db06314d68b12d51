import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.matrix.matrix_files import (
    LabelledMatrix,
    write_cross_language,
    write_matrix,
)
from espnet2_cltm.matrix.scores import CrossLanguageScores
from tests.matrix.matrix_reader import read_matrix


@given(st.lists(st.floats(allow_infinity=False, width=64), min_size=6, max_size=6))
def test_reading_gives_back_the_bits_that_were_written(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("matrix") / "cltm.csv"
    values = np.array(numbers).reshape(2, 3)
    write_matrix(
        path, "target", LabelledMatrix(("ca", "no"), ("ca", "no", "nan"), values)
    )
    read = read_matrix(path)
    assert read.rows == ("ca", "no")
    assert read.columns == ("ca", "no", "nan")
    np.testing.assert_array_equal(read.values, values)


def test_cross_language_means_are_written_a_line_a_kind_of_run(tmp_path):
    path = tmp_path / "cross_language.csv"
    scores = CrossLanguageScores(
        runs=(("single", "ca"), ("pair", "ca+zh-CN")),
        sets=("ca~es", "ca~zh-CN"),
        perf=np.array([[0.1 + 0.2, np.nan], [np.nan, 1.0]]),
    )
    write_cross_language(path, scores)
    assert path.read_text() == (
        "kind,languages,ca~es,ca~zh-CN\n"
        "single,ca,0.30000000000000004,\n"
        "pair,ca+zh-CN,,1.0\n"
    )


def test_missing_cell_is_an_empty_field(tmp_path):
    path = tmp_path / "cltm.csv"
    values = np.array([[1.0, np.nan], [0.5, 1.0]])
    write_matrix(path, "target", LabelledMatrix(("ca", "es"), ("ca", "es"), values))
    assert path.read_text() == "target,ca,es\nca,1.0,\nes,0.5,1.0\n"
