"""Which languages transfer alike: clusters, and an order for showing a matrix.

A language's *profile* is its pair effects: what an additive fit of targets and donors
leaves of the cells it gives (its column) and of those it gets (its row). Targets and
donors differ so much that without the fit every two profiles would look alike. Each
target's effects are brought to the same deviation first: a small self-gain, by which
its whole row is divided, must not decide alone. The dissimilarity of two languages is
1 - Pearson's r of their profiles, over the cells that both have with the same third
language; where these are too few it is taken as 1, no relation. Clustering is by
average linkage, leaves in the order that puts like beside like (Bar-Joseph, Gifford and
Jaakkola, Bioinformatics 17 (2001), S22-S29).

The number of clusters is the one with the largest mean silhouette (Rousseeuw, J.
Comput. Appl. Math. 20 (1987), 53-65). Any matrix can be cut into clusters: a p-value
tells how often one is cut as well whose pairs are dealt out anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import (
    fcluster,
    leaves_list,
    linkage,
    optimal_leaf_ordering,
)
from scipy.spatial.distance import squareform

from espnet2_cltm.matrix.noise import RANK_TOLERANCE, additive_design
from espnet2_cltm.matrix.relatedness import LanguagePermutations, off_diagonal

FEWEST_LANGUAGES = 4  # three leave one cell in common with a third language
FEWEST_CELLS = 4
MOST_CLUSTERS = 10
LEAST_VARIANCE = 0.1  # of a target, as a share of the median
TOLERANCE = 1e-12


@dataclass(frozen=True)
class FamilyAgreement:
    """How far clusters are families.

    Attributes:
        adjusted_rand: Adjusted Rand index: 1 for the same groups, 0 as by chance.
        p: One-sided p-value of an index as large as this, languages permuted.
        n_languages: Number of languages with a cluster and a listed family.
    """

    adjusted_rand: float
    p: float
    n_languages: int


@dataclass(frozen=True)
class Clusters:
    """Languages by their transfer.

    Attributes:
        order: All n languages, like beside like; those without a profile come last,
            in the order they were given.
        members: Languages of each cluster, clusters and members in the order above;
            empty where there are none.
        silhouette: Mean silhouette of the languages clustered, from -1 to 1; None
            without clusters. Below 0.25 clusters are not set apart from each other
            (Kaufman and Rousseeuw, Finding Groups in Data, 1990, ch. 2).
        p: Share of matrices without structure that are cut as well; None without
            clusters.
        reason: Why there are no clusters; empty where there are.
    """

    order: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    silhouette: float | None
    p: float | None
    reason: str


def cluster_languages(
    matrix: np.ndarray, languages: Sequence[str], shuffles: int, seed: int
) -> Clusters:
    """Cluster languages by their transfer profiles.

    Args:
        matrix: (n, n), NaN where not available; the diagonal does not count.
        languages: The n languages.
        shuffles: Number of matrices without structure that the p-value rests on.
        seed: Seed of the shuffles.
    """
    effects = scaled_pair_effects(matrix)
    dissimilarity, known = profile_dissimilarity(effects)
    used = np.flatnonzero(known.any(axis=1))
    if len(used) < FEWEST_LANGUAGES:
        return _no_clusters(
            languages,
            f"{len(used)} of {len(languages)} languages have a profile to compare; "
            f"it takes {FEWEST_LANGUAGES}",
        )
    square = dissimilarity[np.ix_(used, used)]
    condensed = squareform(square)
    tree = linkage(condensed, method="average")
    silhouette, labels = _best_cut(tree, square)
    if not np.isfinite(silhouette):
        return _no_clusters(languages, "all profiles are equally far from each other")
    leaves = leaves_list(optimal_leaf_ordering(tree, condensed))
    groups: dict[int, list[str]] = {}
    for leaf in leaves:
        groups.setdefault(int(labels[leaf]), []).append(languages[used[leaf]])
    without = [
        code for code, row in zip(languages, known, strict=True) if not row.any()
    ]
    return Clusters(
        order=(*(languages[used[leaf]] for leaf in leaves), *without),
        members=tuple(tuple(group) for group in groups.values()),
        silhouette=silhouette,
        p=_p_value(silhouette, effects, used, shuffles, seed),
        reason="",
    )


def _no_clusters(languages: Sequence[str], reason: str) -> Clusters:
    return Clusters(tuple(languages), (), silhouette=None, p=None, reason=reason)


def _best_cut(tree: np.ndarray, square: np.ndarray) -> tuple[float, np.ndarray]:
    """Cut the tree where the mean silhouette is largest; ties: the fewest clusters."""
    best = -np.inf, np.zeros(len(square), dtype=int)
    for number in range(2, min(MOST_CLUSTERS, len(square) - 1) + 1):
        # There are fewer where branches join at the same height.
        labels = fcluster(tree, number, criterion="maxclust")
        if labels.max() >= 2:
            value = mean_silhouette(square, labels)
            best = max(best, (value, labels), key=lambda cut: cut[0])
    return best


def _p_value(
    silhouette: float, effects: np.ndarray, used: np.ndarray, shuffles: int, seed: int
) -> float:
    generator = np.random.default_rng(seed)
    as_good = 0
    for _ in range(shuffles):
        shuffled = shuffle_pairs(effects, generator)
        square = profile_dissimilarity(shuffled)[0][np.ix_(used, used)]
        found, _ = _best_cut(linkage(squareform(square), method="average"), square)
        as_good += found >= silhouette - TOLERANCE
    return (as_good + 1) / (shuffles + 1)


def shuffle_pairs(effects: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Deal out the effects anew: the same numbers in the same cells, in any order.

    (i, j) and (j, i) rest on the same runs and stay together, in either order. Means
    of rows and columns are taken out again.

    Args:
        effects: (n, n), NaN where not available and on the diagonal.
        generator: Generator of the orders.
    """
    rows, columns = np.triu_indices(len(effects), k=1)
    couples = np.stack([effects[rows, columns], effects[columns, rows]], axis=1)
    there = np.isfinite(couples)
    both = there.all(axis=1)
    dealt = couples.copy()
    dealt[both] = generator.permuted(generator.permutation(couples[both]), axis=1)
    single = there & ~both[:, None]
    dealt[single] = generator.permutation(couples[single])
    shuffled = np.full(effects.shape, np.nan)
    shuffled[rows, columns], shuffled[columns, rows] = dealt.T
    for axis in (0, 1):
        finite = np.isfinite(shuffled)
        count = np.maximum(finite.sum(axis=axis, keepdims=True), 1)
        sums = np.where(finite, shuffled, 0.0).sum(axis=axis, keepdims=True)
        shuffled -= sums / count
    return shuffled


def scaled_pair_effects(matrix: np.ndarray) -> np.ndarray:
    """Return pair effects in units of each target's own deviation.

    The additive fit weighs targets by the inverse of their variance; else a target
    with large effects would leave its mark in the donor effects, and by these in the
    residuals of all other targets, which would look alike.

    Args:
        matrix: (n, n), NaN where not available; the diagonal does not count.
    """
    cells = off_diagonal(matrix)
    scale = np.sqrt(target_variances(cells))
    rows, columns = np.nonzero(np.isfinite(cells))
    effects = np.full(cells.shape, np.nan)
    if not len(rows):
        return effects
    design = additive_design(rows, columns, len(cells)) / scale[rows, None]
    values = cells[rows, columns] / scale[rows]
    fitted = design @ np.linalg.lstsq(design, values, rcond=RANK_TOLERANCE)[0]
    left = values - fitted
    if not left.std() > RANK_TOLERANCE * values.std():
        left[:] = 0.0  # all is explained, but for rounding
    effects[rows, columns] = left
    return effects


def target_variances(cells: np.ndarray) -> np.ndarray:
    """Estimate the variance of each target's pair effects, noise included.

    In the difference of two targets' rows donor effects cancel: its variance over
    donors is the sum of the two targets' variances, from which least squares find each
    one's (Grubbs, J. Am. Stat. Assoc. 43 (1948), 243-264). An estimate that is much
    smaller than the others is raised, so that no target has all the weight.

    Args:
        cells: (n, n), NaN where not available and on the diagonal.

    Returns:
        (n,), above 0; that of a usual target where it can't be told.
    """
    n = len(cells)
    pairs = []
    variances = []
    for i in range(n):
        for k in range(i):
            difference = cells[i] - cells[k]
            difference = difference[np.isfinite(difference)]
            if len(difference) >= 2:
                pairs.append((i, k))
                variances.append(difference.var(ddof=1))
    if not variances or not max(variances) > 0:
        return np.ones(n)
    design = np.zeros((len(pairs), n))
    for row, pair in enumerate(pairs):
        design[row, pair] = 1.0
    found = np.linalg.lstsq(design, np.array(variances), rcond=RANK_TOLERANCE)[0]
    told = design.any(axis=0)
    usual = np.mean(variances) / 2
    middle = np.median(found[told])
    middle = middle if middle > 0 else usual
    return np.where(told, np.maximum(found, LEAST_VARIANCE * middle), middle)


def profile_dissimilarity(effects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare the transfer profiles of every two languages.

    Args:
        effects: (n, n), NaN where not available and on the diagonal.

    Returns:
        (n, n) dissimilarities from 0 to 2, 1 where not known and 0 on the diagonal;
        (n, n) bool, which are known; False on the diagonal.
    """
    # (n, 2n): what each language gives every other, and gets from it. A cell between
    # two languages is never in both profiles, as the other one's is on the diagonal.
    profiles = np.concatenate([effects.T, effects], axis=1)
    there = np.isfinite(profiles).astype(float)
    x = np.where(there, profiles, 0.0)
    count, sums, products = there @ there.T, x @ there.T, x @ x.T
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (x * x) @ there.T - sums**2 / count
        r = (products - sums * sums.T / count) / np.sqrt(variance * variance.T)
    varies = np.minimum(variance, variance.T) > TOLERANCE * count
    known = (count >= FEWEST_CELLS) & varies
    np.fill_diagonal(known, False)
    dissimilarity = np.where(known, 1 - np.clip(r, -1.0, 1.0), 1.0)
    dissimilarity = (dissimilarity + dissimilarity.T) / 2  # but for rounding
    np.fill_diagonal(dissimilarity, 0.0)
    return dissimilarity, known


def mean_silhouette(dissimilarity: np.ndarray, labels: np.ndarray) -> float:
    """Mean over items of (b - a) / max(a, b); 0 for an item that is a cluster alone.

    a is an item's mean dissimilarity to the others of its cluster, b to those of the
    nearest other cluster.

    Args:
        dissimilarity: (n, n), 0 on the diagonal.
        labels: (n,) cluster of each item, at least two clusters.
    """
    # scikit-learn's takes ten times as long, and this is called thousands of times.
    clusters, positions = np.unique(labels, return_inverse=True)
    members = positions[:, None] == np.arange(len(clusters))
    sizes = members.sum(axis=0)
    sums = dissimilarity @ members
    own = np.arange(len(labels)), positions
    alone = sizes[positions] == 1
    within = sums[own] / np.maximum(sizes[positions] - 1, 1)
    means = sums / sizes
    means[own] = np.inf
    between = means.min(axis=1)
    larger = np.maximum(within, between)
    values = np.where(larger > 0, (between - within) / np.where(larger, larger, 1), 0.0)
    return float(np.where(alone, 0.0, values).mean())


def family_agreement(
    clusters: Sequence[int], families: Sequence[str], permutations: LanguagePermutations
) -> FamilyAgreement:
    """Compare clusters with families.

    Args:
        clusters: (n,), the cluster of each language.
        families: (n,), its family.
        permutations: Orders of the n languages.
    """
    # Not above: commands that need it not, such as recommend, start without it.
    from sklearn.metrics import adjusted_rand_score

    # With group sizes fixed, the index grows with the pairs that are together in both.
    of_clusters, of_families = (
        np.equal.outer(groups, groups).astype(float)
        for groups in (np.array(clusters), np.array(families))
    )
    both = (of_clusters * of_families).sum()
    extreme = sum(
        int((np.einsum("ij,kij->k", of_clusters, some) >= both - 0.5).sum())
        for some in permutations.reorder(of_families)
    )
    return FamilyAgreement(
        adjusted_rand=float(adjusted_rand_score(families, clusters)),
        p=permutations.p_value(extreme),
        n_languages=len(clusters),
    )
