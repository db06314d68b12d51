import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, pearsonr

from espnet2_cltm.matrix.relatedness import (
    OF_CELLS,
    OF_PAIR_EFFECTS,
    mantel_p_value,
    mantel_tests,
    off_diagonal,
    pair_effects,
    permute_languages,
    relatedness_tests,
)
from espnet2_cltm.matrix.uncertainty import benjamini_hochberg


def matrices(n: int, seed: int, share_missing: float = 0.0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    found = generator.normal(size=(2, n, n)) * 3 + 100
    found[generator.random(found.shape) < share_missing] = np.nan
    for matrix in found:
        np.fill_diagonal(matrix, np.nan)
    return list(found)


def p_value_cell_by_cell(a, b, orders) -> float:
    """The definition, slowly: permute, pick the cells that are there, correlate."""

    def correlation(b):
        both = np.isfinite(a) & np.isfinite(b)
        return abs(pearsonr(a[both], b[both])[0])

    observed = correlation(b)
    found = [correlation(b[np.ix_(order, order)]) for order in orders]
    return np.mean([r >= observed - 1e-9 for r in found])


def test_p_value_of_drawn_orders_counts_the_original_one_too():
    a, b = matrices(8, 1)
    permutations = permute_languages(8, 200, seed=0)
    assert not permutations.exact
    extreme = p_value_cell_by_cell(a, b, permutations.orders) * 200
    assert mantel_p_value(a, b, permutations) == pytest.approx((extreme + 1) / 201)
    assert mantel_p_value(a, a, permutations) == pytest.approx(1 / 201)


@pytest.mark.parametrize("share_missing", [0.0, 0.2])
def test_many_relations_at_once_follow_the_definition_one_by_one(share_missing):
    matrix, first = matrices(9, 2, share_missing)
    second, third = matrices(9, 4, share_missing)
    relations = np.stack([first, second, third])
    permutations = permute_languages(9, 150, seed=3)
    r, p, count = mantel_tests(matrix, relations, permutations)
    for k, relation in enumerate(relations):
        both = np.isfinite(matrix) & np.isfinite(relation)
        assert count[k] == both.sum()
        assert r[k] == pytest.approx(pearsonr(matrix[both], relation[both])[0])
        extreme = 150 * p_value_cell_by_cell(relation, matrix, permutations.orders)
        assert p[k] == pytest.approx((extreme + 1) / 151)


def test_unrelated_matrices_with_strong_rows_are_rarely_called_related():
    """Where shuffling cells one by one would find 'relations' most of the time."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(200):
        a, b = (generator.normal(size=(2, 10, 10)) * 0.3) + (
            generator.normal(size=(2, 10, 1))
        )
        permutations = permute_languages(10, 199, seed=int(generator.integers(2**31)))
        found.append(mantel_p_value(a, b, permutations))
    assert np.mean(np.array(found) <= 0.05) < 0.10  # 0.05 and three deviations


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_order_is_a_permutation_and_the_same_seed_gives_the_same(seed):
    first, second = (permute_languages(9, 20, seed).orders for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(np.sort(first, axis=1), np.tile(range(9), (20, 1)))


def test_matrices_that_do_not_vary_have_no_p_value():
    a, b = matrices(5, 3)
    permutations = permute_languages(5, 9999, seed=0)
    assert mantel_p_value(np.full((5, 5), 0.1), b, permutations) is None
    assert mantel_p_value(a, np.full((5, 5), np.nan), permutations) is None


def test_the_matrices_given_are_left_as_they_are():
    a = np.arange(16.0).reshape(4, 4)
    mantel_p_value(a, a, permute_languages(4, 100, seed=0))
    np.testing.assert_array_equal(a, np.arange(16.0).reshape(4, 4))


def cltm_and_distances(n: int, seed: int, share_missing: float = 0.0):
    """A matrix with strong rows and columns, and symmetric matrices."""
    generator = np.random.default_rng(seed)
    matrix = (
        generator.normal(size=(n, n))
        + 2 * generator.normal(size=(n, 1))
        + generator.normal(size=n)
    )
    matrix[generator.random((n, n)) < share_missing] = np.nan
    distances = {}
    for name in ("near", "far"):
        points = generator.random((n, 2))
        distance = np.linalg.norm(points[:, None] - points, axis=-1)
        unknown = np.triu(generator.random((n, n)) < share_missing / 2)
        distance[unknown | unknown.T] = np.nan
        distances[name] = distance
    return off_diagonal(matrix), distances


def residuals_by_indicators(matrix: np.ndarray) -> np.ndarray:
    """What ordinary least squares on dummies of row and column leaves."""
    rows, columns = np.nonzero(np.isfinite(matrix))
    n = len(matrix)
    design = np.zeros((len(rows), 2 * n))
    design[np.arange(len(rows)), rows] = 1
    design[np.arange(len(rows)), n + columns] = 1
    y = matrix[rows, columns]
    left = np.full((n, n), np.nan)
    left[rows, columns] = y - design @ np.linalg.pinv(design) @ y
    return left


@pytest.mark.parametrize("share_missing", [0.0, 0.2])
def test_both_statistics_follow_the_definition(share_missing):
    matrix, distances = cltm_and_distances(5, 5, share_missing)
    permutations = permute_languages(5, 120, seed=0)
    assert permutations.exact
    tests = relatedness_tests(matrix, distances, permutations)
    assert [(test.statistic, test.relation) for test in tests] == [
        (OF_CELLS, "near"),
        (OF_CELLS, "far"),
        (OF_PAIR_EFFECTS, "near"),
        (OF_PAIR_EFFECTS, "far"),
    ]
    for test in tests:
        a, b = matrix, off_diagonal(distances[test.relation])
        if test.statistic == OF_PAIR_EFFECTS:
            a, b = residuals_by_indicators(a), residuals_by_indicators(b)
        both = np.isfinite(a) & np.isfinite(b)
        assert test.n_cells == both.sum()
        assert test.r == pytest.approx(pearsonr(a[both], b[both])[0])
        assert test.p == pytest.approx(p_value_cell_by_cell(b, a, permutations.orders))
    np.testing.assert_allclose(
        [test.q for test in tests],
        benjamini_hochberg(np.array([test.p for test in tests])),
    )


@pytest.mark.parametrize("statistic", [OF_CELLS, OF_PAIR_EFFECTS])
def test_p_values_of_unrelated_matrices_are_uniform(statistic):
    found = []
    for seed in range(250):
        matrix, distances = cltm_and_distances(8, seed)
        permutations = permute_languages(8, 199, seed=seed)
        tests = relatedness_tests(matrix, {"near": distances["near"]}, permutations)
        found += [test.p for test in tests if test.statistic == statistic]
    assert kstest(found, "uniform").pvalue > 0.01


def test_targets_and_donors_hide_from_the_cells_what_pair_effects_show():
    matrix, distances = cltm_and_distances(20, 7)
    left = pair_effects(distances["near"])
    related = off_diagonal(
        10 * np.arange(20)[:, None] - 20 * left + pair_effects(matrix)
    )
    of_cells, of_pairs = relatedness_tests(
        related, {"near": distances["near"]}, permute_languages(20, 500, seed=0)
    )
    assert abs(of_cells.r) < 0.2
    assert of_pairs.r < -0.8
    assert of_pairs.p == pytest.approx(1 / 501)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3]))
def test_pair_effects_do_not_change_with_effects_of_targets_and_donors(seed, missing):
    matrix, _ = cltm_and_distances(7, seed, missing)
    generator = np.random.default_rng(seed)
    shifted = matrix + generator.normal(size=(7, 1)) * 5 + generator.normal(size=7) * 5
    np.testing.assert_allclose(pair_effects(matrix), pair_effects(shifted), atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_tests_do_not_depend_on_scale_or_sign_of_a_relation(seed):
    matrix, distances = cltm_and_distances(6, seed)
    permutations = permute_languages(6, 720, seed=0)
    here = relatedness_tests(matrix, {"d": distances["near"]}, permutations)
    there = relatedness_tests(matrix, {"d": 5 - 3 * distances["near"]}, permutations)
    for a, b in zip(here, there, strict=True):
        assert a.p == pytest.approx(b.p)
        assert a.r == pytest.approx(-b.r)


def test_what_cannot_be_tested_says_why():
    matrix, distances = cltm_and_distances(5, 1)
    relations = {
        "constant": np.zeros((5, 5)),
        "unknown": np.full((5, 5), np.nan),
        "near": distances["near"],
    }
    tests = relatedness_tests(matrix, relations, permute_languages(5, 200, seed=0))
    constant, unknown, near = tests[:3]
    assert (constant.r, constant.p, constant.q) == (None, None, None)
    assert constant.reason.startswith("no difference between these pairs")
    assert unknown.n_cells == 0
    assert unknown.reason == "known for 0 cells, fewer than 3"
    assert near.reason == "" and near.q >= near.p


def test_distances_of_three_languages_leave_no_pair_effects():
    """Three distances are explained by one number a language."""
    matrix, distances = cltm_and_distances(3, 0)
    tests = relatedness_tests(matrix, distances, permute_languages(3, 100, seed=0))
    assert all(test.r is not None for test in tests if test.statistic == OF_CELLS)
    for test in tests:
        if test.statistic == OF_PAIR_EFFECTS:
            assert test.r is None
            assert test.reason.startswith("targets and donors explain all of it")


@pytest.mark.parametrize("n", [1, 2])
def test_two_languages_give_no_test_and_no_trace(n):
    matrix, distances = cltm_and_distances(n, 0)
    tests = relatedness_tests(matrix, distances, permute_languages(n, 100, seed=0))
    assert all(test.r is None and test.reason for test in tests)


def test_a_matrix_without_any_cell_gives_no_test():
    _, distances = cltm_and_distances(5, 0)
    tests = relatedness_tests(
        np.full((5, 5), np.nan), distances, permute_languages(5, 100, seed=0)
    )
    assert all(test.r is None and test.n_cells == 0 for test in tests)
