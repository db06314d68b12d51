from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.languages import read_languages
from espnet2_cltm.matrix.matrix_files import (
    PUBLISHED,
    LabelledMatrix,
    published_path,
    read_matrix,
    read_published,
    write_cross_language,
    write_matrix,
)
from espnet2_cltm.matrix.scores import CrossLanguageScores
from tests.matrix import matrix_reader


@settings(deadline=None)
@given(st.lists(st.floats(allow_infinity=False, width=64), min_size=6, max_size=6))
def test_reading_gives_back_the_bits_that_were_written(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("matrix") / "cltm.csv"
    values = np.array(numbers).reshape(2, 3)
    written = LabelledMatrix(("ca", "no"), ("ca", "zh-CN", "nan"), values)
    write_matrix(path, "target", written)
    for read in (read_matrix(path), matrix_reader.read_matrix(path)):
        assert (read.rows, read.columns) == (written.rows, written.columns)
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


def test_blank_lines_byte_order_mark_and_spaces_are_no_mistake(tmp_path):
    path = tmp_path / "cltm.csv"
    path.write_text("\ufefftarget, ca,es\r\n\r\nca, 1.0 ,nan\r\nes,,1\r\n\r\n")
    read = read_matrix(path)
    assert read.columns == ("ca", "es")
    np.testing.assert_array_equal(read.values, [[1, np.nan], [np.nan, 1]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("train,ca,es\nca,1,2\n", "its header begins with 'train'"),
        ("target,ca,es\n", "no line of a target"),
        ("target,ca,ca\nca,1,2\n", "line 1: donor ca stands there twice"),
        ("target,ca,es\nca,1,2\n\nca,1,2\n", "line 4: target ca stands there twice"),
        ("target,ca,es\nca,1,2\nes,1\n", "line 3: 2 fields where the header has 3"),
        ("target,ca,es\nca,1,2\nes,1,x\n", "line 3: the cell of donor es is 'x'"),
        ("target,ca,es\nca,1,inf\n", "line 2: the cell of donor es is 'inf'"),
        ("target,c a,es\nca,1,2\n", "line 1: donor is 'c a', not a language code"),
        ("target,ca,es\n,1,2\n", "line 2: target is '', not a language code"),
    ],
)
def test_bad_matrix_is_told_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "cltm.csv"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_matrix(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_missing_file_and_bytes_that_are_no_text_are_told(tmp_path):
    path = tmp_path / "cltm.csv"
    with pytest.raises(UserError, match="cannot be read"):
        read_matrix(path)
    path.write_bytes(b"target,ca\xff\n")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_matrix(path)


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_matrices_are_complete_with_ones_on_the_diagonal(name):
    matrix = read_published(name)
    assert matrix.rows == matrix.columns
    assert np.isfinite(matrix.values).all()
    np.testing.assert_array_equal(np.diagonal(matrix.values), 1.0)
    np.testing.assert_array_equal(matrix.values, matrix.values.round(2))


def test_every_published_language_has_a_name():
    known = read_languages(ROOT / "conf" / "languages.yaml")
    for name in PUBLISHED:
        assert set(read_published(name).rows) <= set(known)


def test_every_published_file_has_a_name_and_its_attribution():
    directory = published_path("asr_mhubert").parent
    assert {path.stem for path in directory.glob("*.csv")} == set(PUBLISHED)
    attribution = (directory / "README.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in attribution
    assert "arXiv:2603.08231" in attribution
    for name in PUBLISHED:
        assert f"`{name}.csv`" in attribution


def test_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(UserError, match=r"'speaker_xvector'; known are gender_mhubert"):
        read_published("speaker_xvector")
