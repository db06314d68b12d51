"""Where transfer comes from, in one place: decomposition, relatedness, clusters.

Takes the cells of one matrix, their standard errors and what is known of its languages;
returns an :class:`Origin`, whose ``dataclasses.asdict`` is ready for JSON (None stands
for not available), and a few sentences for the terminal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_cltm.counting import some
from espnet2_cltm.matrix.clusters import (
    Clusters,
    FamilyAgreement,
    cluster_languages,
    family_agreement,
)
from espnet2_cltm.matrix.decomposition import Decomposition, decompose
from espnet2_cltm.matrix.languages import (
    TYPOLOGICAL,
    UNLISTED,
    Language,
    family_of,
    family_relation,
)
from espnet2_cltm.matrix.noise import CellNoise
from espnet2_cltm.matrix.relatedness import (
    OF_CELLS,
    OF_PAIR_EFFECTS,
    RelatednessTest,
    permute_languages,
    relatedness_tests,
)
from espnet2_cltm.matrix.uncertainty import FALSE_DISCOVERY_RATE

SEED = 0  # of orders and shuffles
SAME_FAMILY = "same_family"
CLUSTER_LEVEL = 0.05
FEWEST_PERMUTATIONS = 120  # of 5 languages; of 4 no test among several gets below 5%
FEW_CELLS = 50  # shares of variance are rough then
CLEAR_SILHOUETTE = 0.25  # see clusters.Clusters
MOST_NAMED = 8  # languages of a cluster on the terminal

RELATION_NAMES = {
    SAME_FAMILY: "same family",
    "geographic": "geographic distance",
    "genetic": "genetic distance",
    "syntactic": "syntactic distance",
    "phonological": "phonological distance",
    "inventory": "distance of sound inventories",
    TYPOLOGICAL: "typological distance",
    "articulatory": "articulatory distance of phone inventories",
    "atds": "distance of acoustic tokens",
    "covariance": "distance of the encoder's covariance",
    "logme": "evidence for separate heads",
}


def relation_name(relation: str) -> str:
    """Return a relation's name in a sentence; what is not known here is quoted."""
    return RELATION_NAMES.get(relation, f"distance '{relation}'")


@dataclass(frozen=True)
class Origin:
    """Where the transfer of one matrix comes from.

    Attributes:
        decomposition: Variances of targets, donors and pairs; None where the cells are
            too few to tell them apart.
        relatedness: All tests against relations of languages.
        permutations: Number of orders of languages these rest on.
        exact: Whether these are all there are.
        clusters: Languages by their transfer profiles.
        family_agreement: How far clusters are families; None without clusters.
    """

    decomposition: Decomposition | None
    relatedness: tuple[RelatednessTest, ...]
    permutations: int
    exact: bool
    clusters: Clusters
    family_agreement: FamilyAgreement | None

    @property
    def enough_permutations(self) -> bool:
        """Whether a test among several can have a q-value that tells something."""
        return not self.exact or self.permutations >= FEWEST_PERMUTATIONS


def find_origin(
    cells: np.ndarray,
    noise: CellNoise | None,
    languages: Sequence[Language],
    distances: Mapping[str, np.ndarray],
    n_permutations: int = 10_000,
    shuffles: int = 199,
) -> Origin:
    """Collect everything about where transfer comes from.

    Args:
        cells: (n, n), the CLTM of identified cells or of all; NaN where not available.
        noise: Noise of the cells; None if not known of any.
        languages: The n languages, in the order of rows and columns.
        distances: (n, n) by name, from
            :func:`espnet2_cltm.matrix.languages.language_distances`.
        n_permutations: Number of orders of languages drawn; all where there are no
            more.
        shuffles: Number of matrices without structure that clusters are compared with.
    """
    relations = {SAME_FAMILY: family_relation(languages), **distances}
    permutations = permute_languages(len(languages), n_permutations, SEED)
    codes = [language.code for language in languages]
    clusters = cluster_languages(cells, codes, shuffles, SEED)
    return Origin(
        decomposition=decompose(cells, noise),
        relatedness=relatedness_tests(cells, relations, permutations),
        permutations=len(permutations.orders),
        exact=permutations.exact,
        clusters=clusters,
        family_agreement=_agreement(clusters, languages, n_permutations),
    )


def _agreement(
    clusters: Clusters, languages: Sequence[Language], n_permutations: int
) -> FamilyAgreement | None:
    """Compare clusters with families; a language without a family is its own."""
    families = {
        language.code: family_of(language) or f"only {language.code}"
        for language in languages
        if language.family != UNLISTED
    }
    members = [
        (cluster, families[code])
        for cluster, codes in enumerate(clusters.members)
        for code in codes
        if code in families
    ]
    if len(members) < 2:
        return None
    permutations = permute_languages(len(members), n_permutations, SEED)
    of_clusters, of_families = zip(*members, strict=True)
    return family_agreement(of_clusters, of_families, permutations)


# Text ------------------------------------------------------------------------------


def origin_sentences(origin: Origin) -> list[str]:
    """Describe it in a few sentences for the terminal."""
    return [
        _decomposition_line(origin.decomposition),
        *_relatedness_lines(origin),
        *_cluster_lines(origin),
    ]


def _decomposition_line(parts: Decomposition | None) -> str:
    start = "Where transfer comes from: "
    if parts is None:
        return f"{start}too few cells to tell targets, donors and pairs apart"
    if parts.target_share is None:
        return f"{start}cells do not differ by more than their noise"
    shares = (
        f"targets {parts.target_share:.0%}, donors {parts.donor_share:.0%}, pairs "
        f"{parts.pair_share:.0%} of the variation"
    )
    if parts.n_cells < FEW_CELLS:
        shares += f" ({parts.n_cells} cells only)"
    if parts.noise is None:
        return f"{start}{shares}, noise counting as pairs (no standard errors)"
    return f"{start}{shares}, noise taken out ({parts.noise_share:.0%} of all)"


def _relatedness_lines(origin: Origin) -> list[str]:
    titles = {
        OF_CELLS: "Relatedness of languages and cells",
        OF_PAIR_EFFECTS: "Relatedness and what targets and donors leave",
    }
    found = []
    if not origin.enough_permutations:
        return [
            "Relatedness: too few languages to tell, as only "
            f"{origin.permutations} orders of them are possible"
        ]
    for statistic, title in titles.items():
        tests = [test for test in origin.relatedness if test.statistic == statistic]
        defined = [
            (test.r, test.q, test.relation)
            for test in tests
            if test.r is not None and test.q is not None
        ]
        if not defined:
            found.append(f"{title}: no test, {tests[0].reason}")
            continue
        below = [(r, name) for r, q, name in defined if q < FALSE_DISCOVERY_RATE]
        below.sort(key=lambda one: -abs(one[0]))
        told = ", ".join(f"{relation_name(name)} r = {r:+.2f}" for r, name in below)
        rule = f"q < {FALSE_DISCOVERY_RATE:g} by Mantel tests"
        found.append(
            f"{title}: {told} ({rule})"
            if below
            else f"{title}: none of {len(defined)} relations has {rule}"
        )
    return found


def _cluster_lines(origin: Origin) -> list[str]:
    clusters = origin.clusters
    if clusters.p is None or clusters.silhouette is None:
        return [f"No clusters of languages: {clusters.reason}"]
    if clusters.p > CLUSTER_LEVEL:
        return [
            "No clusters of languages: cut into "
            f"{len(clusters.members)} they are no more apart than by chance (mean "
            f"silhouette {clusters.silhouette:.2f}, p = {clusters.p:.2g})"
        ]
    groups = " | ".join(some(group, MOST_NAMED, " ") for group in clusters.members)
    apart = "" if clusters.silhouette >= CLEAR_SILHOUETTE else ", not set apart clearly"
    line = (
        f"{len(clusters.members)} clusters of languages by transfer (mean silhouette "
        f"{clusters.silhouette:.2f}{apart}, p = {clusters.p:.2g}): {groups}"
    )
    agreement = origin.family_agreement
    if agreement is None:
        return [line]
    return [
        line,
        f"Clusters and families: adjusted Rand index {agreement.adjusted_rand:.2f} "
        f"(p = {agreement.p:.2g})",
    ]
