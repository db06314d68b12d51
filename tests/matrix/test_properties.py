import numpy as np
import pytest

from espnet2_cltm.matrix.properties import (
    matrix_properties,
    off_diagonal,
    relative_asymmetry,
    rfd,
)
from espnet2_cltm.matrix.published import PUBLISHED, published_path
from tests.matrix.matrix_reader import read_matrix

# name: n, mean off-diagonal, share > 0, share > 1, RFD, asymmetry, smallest, largest;
# figures of the published matrices, arXiv:2603.08231 and Odyssey 2026.
PUBLISHED_FIGURES = {
    "gender_mhubert": "54 0.922 0.9997 0.216 0.162 0.175 -0.05 1.27",
    "speaker_mhubert": "44 -1.437 0.088 0.006 2.971 1.084 -12.33 1.46",
    "speaker_ecapa": "44 0.506 0.987 0.004 0.526 0.491 -0.49 1.16",
    "speaker_siamese": "44 0.474 0.865 0.109 0.793 1.109 -4.98 2.41",
    "speaker_speechllm": "44 0.180 0.674 0.079 1.114 1.397 -5.07 2.10",
    "asr_mhubert": "9 0.401 0.903 0 0.639 0.146 -0.19 0.83",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_matrices_give_the_published_figures(name):
    matrix = read_matrix(published_path(name))
    assert matrix.rows == matrix.columns
    found = matrix_properties(matrix.values)
    figures = (
        len(matrix.rows),
        found.mean_off_diagonal,
        found.share_positive,
        found.share_above_one,
        found.rfd,
        found.relative_asymmetry,
        found.minimum,
        found.maximum,
    )
    for figure, printed in zip(figures, PUBLISHED_FIGURES[name].split(), strict=True):
        # The files hold two decimals: an RFD of 2.9705 is printed as 2.971.
        unit = 10.0 ** -len(printed.partition(".")[2])
        assert figure == pytest.approx(
            float(printed), abs=0.6 * unit if "." in printed else 1e-9
        )


def test_numbers_follow_their_definitions():
    matrix = np.array([[1, 0.5, -0.2], [1.2, 1, 0.0], [0.7, 0.1, 1]])
    properties = matrix_properties(matrix)
    assert properties.n_cells == 6
    assert properties.mean_off_diagonal == pytest.approx(2.3 / 6)
    assert properties.share_positive == pytest.approx(4 / 6)  # 0 is not positive
    assert properties.share_above_one == pytest.approx(1 / 6)
    assert properties.rfd == pytest.approx(np.linalg.norm(matrix - 1, "fro") / 3)
    assert properties.relative_asymmetry == pytest.approx(
        np.linalg.norm(matrix - matrix.T, "fro") / np.linalg.norm(matrix, "fro")
    )


def test_missing_cells_are_left_out_and_asymmetry_is_then_not_available():
    matrix = np.array([[1, 0.5, np.nan], [1.2, 1, 0.0], [0.7, 0.1, 1]])
    np.testing.assert_array_equal(off_diagonal(matrix), [0.5, 1.2, 0.0, 0.7, 0.1])
    assert rfd(matrix) == pytest.approx(
        np.sqrt(np.nanmean((matrix - 1) ** 2)), rel=1e-12
    )
    assert relative_asymmetry(matrix) is None


def test_asymmetry_runs_over_the_languages_that_have_a_row():
    matrix = np.array([[1, 0.5, 0.3], [1.2, 1, 0.0], [np.nan] * 3])
    two = matrix[:2, :2]
    assert relative_asymmetry(matrix) == pytest.approx(
        np.linalg.norm(two - two.T) / np.linalg.norm(two)
    )


def test_language_independent_task_has_no_distance():
    assert rfd(np.ones((4, 4))) == 0
    assert relative_asymmetry(np.ones((4, 4))) == 0


def test_empty_matrix_has_no_numbers():
    properties = matrix_properties(np.full((3, 3), np.nan))
    assert properties.n_cells == 0
    assert properties.rfd is None
