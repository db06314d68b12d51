import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from espnet2_cltm.matrix.clusters import (
    cluster_languages,
    family_agreement,
    mean_silhouette,
    profile_dissimilarity,
    scaled_pair_effects,
    shuffle_pairs,
    target_variances,
)
from espnet2_cltm.matrix.relatedness import off_diagonal, permute_languages

SHUFFLES = 39


def codes(n: int) -> list[str]:
    return [f"l{index:02}" for index in range(n)]


def noise(n: int, seed: int, noisy_targets: int = 0) -> np.ndarray:
    """Cells without structure but strong targets and donors."""
    generator = np.random.default_rng(seed)
    cells = generator.normal(size=(n, n))
    cells[:noisy_targets] *= 5
    return off_diagonal(
        cells + 3 * generator.normal(size=(n, 1)) + 2 * generator.normal(size=n)
    )


def two_groups(n: int, seed: int) -> np.ndarray:
    """Languages of even and of odd numbers help their own more."""
    parity = np.arange(n) % 2
    return noise(n, seed) + 4 * (parity[:, None] == parity)


def test_languages_that_help_their_own_are_clustered():
    clusters = cluster_languages(two_groups(12, 0), codes(12), SHUFFLES, seed=0)
    assert {frozenset(group) for group in clusters.members} == {
        frozenset(codes(12)[0::2]),
        frozenset(codes(12)[1::2]),
    }
    assert clusters.p == 1 / (SHUFFLES + 1)
    assert clusters.silhouette > 0.3


def test_order_keeps_clusters_together_and_has_every_language_once():
    clusters = cluster_languages(two_groups(12, 1), codes(12), SHUFFLES, seed=0)
    assert sorted(clusters.order) == codes(12)
    assert [code for group in clusters.members for code in group] == list(
        clusters.order
    )


def test_matrices_without_structure_are_rarely_called_clustered():
    """Also where some targets are much noisier: their self-gain is small."""
    found = [
        cluster_languages(noise(14, seed, seed % 2 * 4), codes(14), 19, seed).p
        for seed in range(40)
    ]
    assert np.mean(np.array(found) <= 0.05) < 0.16  # 0.05 and three deviations


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_targets_and_donors_do_not_change_clusters(seed):
    matrix = two_groups(8, seed)
    generator = np.random.default_rng(seed)
    shifted = matrix + generator.normal(size=(8, 1)) + generator.normal(size=8)
    np.testing.assert_allclose(
        scaled_pair_effects(matrix), scaled_pair_effects(shifted), atol=1e-8
    )


def test_same_seed_gives_the_same_clusters():
    first, second = (
        cluster_languages(noise(9, 4), codes(9), SHUFFLES, seed=3) for _ in range(2)
    )
    assert first == second


def test_a_language_without_any_cell_comes_last_and_in_no_cluster():
    matrix = two_groups(10, 0)
    matrix[3] = matrix[:, 3] = np.nan
    clusters = cluster_languages(matrix, codes(10), SHUFFLES, seed=0)
    assert clusters.order[-1] == "l03"
    assert sum(map(len, clusters.members)) == 9


def test_a_target_that_is_not_identified_is_placed_by_what_it_gives():
    matrix = two_groups(14, 0)
    matrix[:4] = np.nan
    clusters = cluster_languages(matrix, codes(14), SHUFFLES, seed=0)
    assert sum(map(len, clusters.members)) == 14
    assert {frozenset(group) for group in clusters.members} == {
        frozenset(codes(14)[0::2]),
        frozenset(codes(14)[1::2]),
    }


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_languages_have_an_order_and_a_reason_instead_of_clusters(n):
    clusters = cluster_languages(noise(n, 0), codes(n), SHUFFLES, seed=0)
    assert clusters.order == tuple(codes(n))
    assert clusters.members == ()
    assert clusters.silhouette is None and clusters.p is None
    assert clusters.reason.startswith(f"0 of {n} languages have a profile")


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_cells_that_are_missing_or_all_the_same_give_no_clusters(value):
    clusters = cluster_languages(np.full((6, 6), value), codes(6), SHUFFLES, seed=0)
    assert clusters.members == () and clusters.reason


@pytest.mark.parametrize("share_missing", [0.0, 0.3])
def test_dissimilarity_is_one_minus_the_correlation_of_profiles(share_missing):
    generator = np.random.default_rng(8)
    effects = generator.normal(size=(9, 9))
    effects[generator.random((9, 9)) < share_missing] = np.nan
    effects = off_diagonal(effects)
    found, known = profile_dissimilarity(effects)
    for a in range(9):
        for b in range(9):
            if a == b:
                assert found[a, b] == 0
                continue
            x, y = [], []
            for k in set(range(9)) - {a, b}:
                for of_a, of_b in (
                    (effects[k, a], effects[k, b]),
                    (effects[a, k], effects[b, k]),
                ):
                    if np.isfinite(of_a) and np.isfinite(of_b):
                        x.append(of_a)
                        y.append(of_b)
            expected = 1 - np.corrcoef(x, y)[0, 1] if len(x) >= 4 else 1.0
            assert found[a, b] == pytest.approx(expected)
            assert known[a, b] == (len(x) >= 4)


def test_variances_of_targets_are_found_whatever_donors_do():
    generator = np.random.default_rng(0)
    deviation = np.repeat([0.5, 1.0, 3.0], 20)
    matrix = off_diagonal(
        deviation[:, None] * generator.normal(size=(60, 60))
        + 10 * generator.normal(size=60)
    )
    found = np.sqrt(target_variances(matrix)).reshape(3, 20).mean(axis=1)
    np.testing.assert_allclose(found, [0.5, 1.0, 3.0], rtol=0.1)


def test_dealing_pairs_out_anew_keeps_couples_and_missing_cells():
    generator = np.random.default_rng(1)
    couples = generator.normal(size=(8, 8))
    effects = off_diagonal(couples + 100 * np.arange(64).reshape(8, 8))
    effects[2] = np.nan
    dealt = shuffle_pairs(effects, generator)
    np.testing.assert_array_equal(np.isnan(dealt), np.isnan(effects))
    np.testing.assert_allclose(np.nansum(dealt, axis=1), 0, atol=1e-9)
    symmetric = off_diagonal(generator.normal(size=(40, 40)))
    symmetric = symmetric + symmetric.T
    dealt = shuffle_pairs(symmetric, generator)
    upper = np.triu_indices(40, k=1)
    assert np.corrcoef(dealt[upper], dealt.T[upper])[0, 1] > 0.9


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 12), st.integers(2, 5))
def test_silhouette_is_that_of_scikit_learn(seed, n, k):
    generator = np.random.default_rng(seed)
    labels = generator.integers(k, size=n)
    labels[:2] = [0, 1]
    distance = generator.random((n, n))
    distance = distance + distance.T
    np.fill_diagonal(distance, 0)
    if len(set(labels)) < n:
        assert mean_silhouette(distance, labels) == pytest.approx(
            silhouette_score(distance, labels, metric="precomputed")
        )


def test_clusters_that_are_families_agree_and_others_do_not():
    families = ["a"] * 5 + ["b"] * 5
    permutations = permute_languages(10, 999, seed=0)
    same = family_agreement([1] * 5 + [0] * 5, families, permutations)
    assert same.adjusted_rand == 1.0
    assert same.p < 0.03  # 2 of 252 ways to divide ten into five and five
    other = family_agreement([0, 1] * 5, families, permutations)
    assert other.adjusted_rand < 0.0
    assert other.p > 0.9


def test_p_value_of_agreement_counts_every_order_of_few_languages():
    agreement = family_agreement(
        [0, 0, 1, 1], ["a", "a", "b", "b"], permute_languages(4, 100, seed=0)
    )
    assert agreement.p == pytest.approx(1 / 3)
