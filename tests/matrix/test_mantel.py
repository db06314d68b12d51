import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from espnet2_cltm.matrix.mantel import (
    mantel_p_value,
    mantel_tests,
    permute_languages,
)


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


@pytest.mark.parametrize("share_missing", [0.0, 0.2])
def test_p_value_of_all_orders_follows_the_definition(share_missing):
    a, b = matrices(5, 3, share_missing)
    permutations = permute_languages(5, 9999, seed=0)
    assert permutations.exact
    assert len(permutations.orders) == 120
    expected = p_value_cell_by_cell(a, b, permutations.orders)
    assert mantel_p_value(a, b, permutations) == pytest.approx(expected)


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
