from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from espnet2_cltm.matrix.layout import MatrixBatch, batch_of, layout_of
from espnet2_cltm.matrix.matrix_files import PUBLISHED, published_path
from espnet2_cltm.matrix.properties import (
    PROPERTIES,
    STRENGTHS,
    entropy,
    expected_family_share,
    gini,
    why_not_available,
)
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
ORDER = (
    "mean_off_diagonal",
    "share_positive",
    "share_above_one",
    "rfd",
    "relative_asymmetry",
    "minimum",
    "maximum",
)
NO_FAMILY = np.zeros((1, 1), dtype=bool)
OFF = ~np.eye(6, dtype=bool)


def compute(name: str, matrix: np.ndarray, same_family=NO_FAMILY) -> float:
    batch = batch_of(matrix, layout_of(matrix, same_family))
    return float(PROPERTIES[name].compute(batch)[0])


def random_matrix(seed: int, n: int = 6) -> np.ndarray:
    matrix = np.random.default_rng(seed).normal(0.3, 0.7, (n, n))
    np.fill_diagonal(matrix, 1.0)
    return matrix


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_matrices_give_the_published_figures(name):
    matrix = read_matrix(published_path(name))
    assert matrix.rows == matrix.columns
    figures = [len(matrix.rows), *(compute(one, matrix.values) for one in ORDER)]
    for figure, printed in zip(figures, PUBLISHED_FIGURES[name].split(), strict=True):
        # The files hold two decimals: an RFD of 2.9705 is printed as 2.971.
        unit = 10.0 ** -len(printed.partition(".")[2])
        assert figure == pytest.approx(
            float(printed), abs=0.6 * unit if "." in printed else 1e-9
        )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_matrices_agree_with_independent_computations(name):
    matrix = read_matrix(published_path(name)).values
    check_against_references(matrix)


@pytest.mark.parametrize("seed", range(5))
def test_random_matrices_agree_with_independent_computations(seed):
    check_against_references(random_matrix(seed))


def check_against_references(matrix: np.ndarray) -> None:
    n = len(matrix)
    cells = [matrix[i, j] for i in range(n) for j in range(n) if i != j]
    expected = {
        "mean_off_diagonal": sum(cells) / len(cells),
        "share_positive": sum(cell > 0 for cell in cells) / len(cells),
        "share_negative": sum(cell < 0 for cell in cells) / len(cells),
        "share_above_one": sum(cell > 1 for cell in cells) / len(cells),
        "minimum": min(cells),
        "maximum": max(cells),
        "rfd": np.linalg.norm(matrix - 1, "fro") / n,
        "relative_asymmetry": np.linalg.norm(matrix - matrix.T, "fro")
        / np.linalg.norm(matrix, "fro"),
        "reciprocity": np.mean(
            [
                matrix[i, j] > 0 and matrix[j, i] > 0
                for i, j in combinations(range(n), 2)
            ]
        ),
        "mean_row_cosine": cosine_similarity(matrix)[~np.eye(n, dtype=bool)].mean(),
        "spectral_radius": np.abs(np.linalg.eigvals(matrix)).max(),
        "condition_number": np.linalg.cond(matrix, 2),
    }
    explained = PCA(svd_solver="full").fit(matrix).explained_variance_ratio_.cumsum()
    expected["components_for_80_percent"] = int(np.searchsorted(explained, 0.8)) + 1
    for lines, which in ((matrix, "row"), (matrix.T, "column")):
        positive = [np.maximum(np.delete(line, i), 0) for i, line in enumerate(lines)]
        positive = [line for line in positive if line.any()]
        expected[f"mean_{which}_entropy"] = np.mean(
            [stats.entropy(line / line.sum()) for line in positive]
        )
        expected[f"mean_{which}_gini"] = np.mean(
            [half_relative_difference(line) for line in positive]
        )
    for name, value in expected.items():
        assert compute(name, matrix) == pytest.approx(value, rel=1e-9), name


def half_relative_difference(values: np.ndarray) -> float:
    """The Gini coefficient by its definition."""
    return np.abs(values[:, None] - values).mean() / (2 * values.mean())


def test_every_property_is_checked_against_a_reference_or_here():
    checked = {*ORDER, "share_negative", "reciprocity", "mean_row_cosine"}
    checked |= {"spectral_radius", "condition_number", "components_for_80_percent"}
    checked |= {f"mean_{w}_{k}" for w in ("row", "column") for k in ("entropy", "gini")}
    assert set(PROPERTIES) == checked | {"family_share"}


def test_mass_inside_families_is_that_of_their_pairs():
    matrix = np.array([[1, 0.5, 0.2], [0.3, 1, -4.0], [0.0, 1.0, 1]])
    related = np.zeros((3, 3), dtype=bool)
    related[0, 1] = related[1, 0] = True
    assert compute("family_share", matrix, related) == pytest.approx(0.8 / 2.0)
    layout = layout_of(matrix, related)
    assert expected_family_share(layout) == pytest.approx(2 / 6)
    matrix[0, 1] = np.nan
    assert compute("family_share", matrix, related) == pytest.approx(0.3 / 1.5)
    assert expected_family_share(layout_of(matrix, related)) == pytest.approx(1 / 5)


def test_missing_cells_are_left_out():
    matrix = random_matrix(7)
    matrix[0, 1] = matrix[4] = np.nan
    there = np.isfinite(matrix)
    cells = matrix[there & OFF]
    assert compute("mean_off_diagonal", matrix) == pytest.approx(cells.mean())
    assert compute("minimum", matrix) == cells.min()
    assert compute("rfd", matrix) == pytest.approx(
        np.sqrt(np.mean((matrix[there] - 1) ** 2))
    )
    both = [(i, j) for i, j in combinations(range(6), 2) if there[i, j] and there[j, i]]
    assert compute("reciprocity", matrix) == pytest.approx(
        np.mean([matrix[i, j] > 0 and matrix[j, i] > 0 for i, j in both])
    )
    row = np.maximum(matrix[0, 2:], 0)
    batch = batch_of(matrix, layout_of(matrix, NO_FAMILY))
    assert gini(batch, axis=2)[0, 0] == pytest.approx(half_relative_difference(row))
    assert entropy(batch, axis=2)[0, 0] == pytest.approx(stats.entropy(row))
    assert np.isnan(gini(batch, axis=2)[0, 4])
    # Row 4 has no cell, and 0 from 1 is missing: 1 goes, being the later one.
    left = [0, 2, 3, 5]
    square = matrix[np.ix_(left, left)]
    assert compute("relative_asymmetry", matrix) == pytest.approx(
        np.linalg.norm(square - square.T) / np.linalg.norm(square)
    )
    assert compute("condition_number", matrix) == pytest.approx(np.linalg.cond(square))


def test_equal_cells_are_spread_evenly_and_a_single_one_not_at_all():
    ones = np.ones((5, 5))
    assert compute("mean_row_entropy", ones) == pytest.approx(np.log(4))
    assert compute("mean_column_gini", ones) == pytest.approx(0)
    single = np.full((5, 5), -1.0)
    single[:, 0] = 2.0
    single[0, 1] = 2.0
    assert compute("mean_row_entropy", single) == pytest.approx(0)
    assert compute("mean_row_gini", single) == pytest.approx(1 - 1 / 4)


def test_language_independent_task_has_no_distance():
    ones = np.ones((4, 4))
    assert compute("rfd", ones) == 0
    assert compute("relative_asymmetry", ones) == 0
    assert compute("components_for_80_percent", ones) == 0
    assert compute("mean_row_cosine", ones) == pytest.approx(1)
    assert np.isnan(compute("condition_number", ones))  # singular


@pytest.mark.parametrize(
    ("missing", "name", "reason"),
    [
        (OFF, "rfd", "no cell"),
        (np.triu(OFF), "reciprocity", "no pair has both of its cells"),
        (np.triu(OFF), "spectral_radius", "too many cells are missing"),
        (~OFF, "family_share", "no cell between two languages of one family"),
    ],
)
def test_what_cannot_be_computed_is_said_with_the_reason(missing, name, reason):
    matrix = np.where(missing, np.nan, random_matrix(1))
    layout = layout_of(matrix, np.zeros((6, 6), dtype=bool))
    assert why_not_available(name, layout).startswith(reason)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_many_matrices_at_once_give_what_each_gives_alone(seed, n):
    generator = np.random.default_rng(seed)
    matrices = generator.normal(0.5, 1, (4, n, n))
    there = (generator.random((n, n)) < 0.8) | np.eye(n, dtype=bool)
    matrices[:, ~there] = np.nan
    matrices[:, np.arange(n), np.arange(n)] = 1.0
    related = ~np.eye(n, dtype=bool)
    layout = layout_of(matrices[0], related)
    batch = MatrixBatch(layout, np.nan_to_num(matrices))
    for name, definition in PROPERTIES.items():
        if not why_not_available(name, layout):
            alone = [compute(name, matrix, related) for matrix in matrices]
            np.testing.assert_allclose(definition.compute(batch), alone, rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(list(permutations(range(4)))))
def test_order_of_languages_does_not_matter(seed, order):
    matrix = random_matrix(seed, 4)
    moved = matrix[np.ix_(order, order)]
    related = np.zeros((4, 4), dtype=bool)
    related[0, 1] = related[1, 0] = True
    for name in PROPERTIES:
        assert compute(name, moved, related[np.ix_(order, order)]) == pytest.approx(
            compute(name, matrix, related), rel=1e-6
        )


WITH_GAPS = np.array([[1, 0.5, -0.2], [2.0, 1, np.nan], [np.nan, np.nan, np.nan]])


def strengths(name: str, matrix: np.ndarray) -> np.ndarray:
    layout = layout_of(matrix, np.zeros(matrix.shape, dtype=bool))
    return STRENGTHS[name](batch_of(matrix, layout))[0]


def test_sums_are_of_positive_cells_off_the_diagonal():
    np.testing.assert_allclose(strengths("incoming_sum", WITH_GAPS), [0.5, 2.0, np.nan])
    np.testing.assert_allclose(strengths("outgoing_sum", WITH_GAPS), [2.0, 0.5, 0.0])


def test_means_are_of_all_cells_that_are_there():
    np.testing.assert_allclose(
        strengths("incoming_mean", WITH_GAPS), [0.15, 2.0, np.nan]
    )
    np.testing.assert_allclose(strengths("outgoing_mean", WITH_GAPS), [2.0, 0.5, -0.2])


def test_complete_matrix_gives_row_and_column_sums():
    matrix = np.random.default_rng(0).normal(0.3, 1, (7, 7))
    np.fill_diagonal(matrix, 0.0)
    positive = np.maximum(matrix, 0)
    np.testing.assert_allclose(strengths("incoming_sum", matrix), positive.sum(axis=1))
    np.testing.assert_allclose(strengths("outgoing_sum", matrix), positive.sum(axis=0))
    np.testing.assert_allclose(strengths("incoming_mean", matrix), matrix.sum(1) / 6)
    np.testing.assert_allclose(strengths("outgoing_mean", matrix), matrix.sum(0) / 6)
