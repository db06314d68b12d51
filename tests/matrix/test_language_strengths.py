import numpy as np
from scipy import stats

from espnet2_cltm.matrix.language_strengths import STRENGTHS, ranks
from espnet2_cltm.matrix.matrix_layout import batch_of, layout_of

MATRIX = np.array([[1, 0.5, -0.2], [2.0, 1, np.nan], [np.nan, np.nan, np.nan]])


def strengths(name: str, matrix: np.ndarray) -> np.ndarray:
    layout = layout_of(matrix, np.zeros(matrix.shape, dtype=bool))
    return STRENGTHS[name](batch_of(matrix, layout))[0]


def test_sums_are_of_positive_cells_off_the_diagonal():
    np.testing.assert_allclose(strengths("incoming_sum", MATRIX), [0.5, 2.0, np.nan])
    np.testing.assert_allclose(strengths("outgoing_sum", MATRIX), [2.0, 0.5, 0.0])


def test_means_are_of_all_cells_that_are_there():
    np.testing.assert_allclose(strengths("incoming_mean", MATRIX), [0.15, 2.0, np.nan])
    np.testing.assert_allclose(strengths("outgoing_mean", MATRIX), [2.0, 0.5, -0.2])


def test_complete_matrix_gives_row_and_column_sums():
    matrix = np.random.default_rng(0).normal(0.3, 1, (7, 7))
    np.fill_diagonal(matrix, 0.0)
    positive = np.maximum(matrix, 0)
    np.testing.assert_allclose(strengths("incoming_sum", matrix), positive.sum(axis=1))
    np.testing.assert_allclose(strengths("outgoing_sum", matrix), positive.sum(axis=0))
    np.testing.assert_allclose(strengths("incoming_mean", matrix), matrix.sum(1) / 6)
    np.testing.assert_allclose(strengths("outgoing_mean", matrix), matrix.sum(0) / 6)


def test_strongest_has_rank_one_and_ties_share_theirs():
    values = np.random.default_rng(1).integers(0, 5, (3, 8)).astype(float)
    np.testing.assert_array_equal(
        ranks(values), [stats.rankdata(-line) for line in values]
    )
    np.testing.assert_array_equal(ranks(np.array([1.0, np.nan, 3.0])), [2, np.nan, 1])
