import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.matrix_files import LabelledMatrix, write_matrix
from espnet2_cltm.matrix.read_matrix import read_matrix


@given(st.lists(st.floats(allow_infinity=False, width=64), min_size=6, max_size=6))
def test_reading_gives_back_the_bits_that_were_written(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("matrix") / "cltm.csv"
    values = np.array(numbers).reshape(2, 3)
    written = LabelledMatrix(("ca", "zh-CN"), ("ca", "zh-CN", "nan"), values)
    write_matrix(path, "target", written)
    read = read_matrix(path)
    assert (read.rows, read.columns) == (written.rows, written.columns)
    np.testing.assert_array_equal(read.values, values)


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
    with pytest.raises(UserError, match="does not exist"):
        read_matrix(path)
    path.write_bytes(b"target,ca\xff\n")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_matrix(path)
