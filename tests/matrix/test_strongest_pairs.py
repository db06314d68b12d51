import numpy as np

from espnet2_cltm.matrix.strongest_pairs import strongest_negative, strongest_positive

MATRIX = np.array([[1, 0.5, -0.2], [2.0, 1, np.nan], [-3.0, 0.5, 1]])


def test_highest_cells_come_first_and_equal_ones_in_order():
    assert strongest_positive(MATRIX) == [(1, 0), (0, 1), (2, 1)]
    assert strongest_positive(MATRIX, 1) == [(1, 0)]


def test_lowest_cells_come_first_and_only_negative_ones():
    assert strongest_negative(MATRIX) == [(2, 0), (0, 2)]


def test_matrix_without_cells_has_no_pairs():
    nothing = np.where(np.eye(2, dtype=bool), 1.0, np.nan)
    assert strongest_positive(nothing) == strongest_negative(nothing) == []
