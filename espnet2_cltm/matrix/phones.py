"""Articulatory distance of languages: how far apart their inventories of phones are.

Inventories are those that espeak-ng speaks in names of places, languages and the like,
features those of PanPhon (Mortensen et al., COLING 2016), both shipped below
``espnet2_cltm/data/languages``, whose README tells how they are made. The distance of
two phones is the share of the 22 articulatory features in which they differ, a feature
that one of them does not have counting half. That of two inventories is the modified
Hausdorff distance (Dubuisson and Jain, ICPR 1994)::

    d(A, B) = mean over a in A of min over b in B of d(a, b)
    D(A, B) = max(d(A, B), d(B, A))
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from espnet2_cltm.articulation import FEATURES, REMEDY, read_features
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_rows

PHONES = FEATURES.with_name("phones.tsv")
LEAST_SHARE = 0.001
"""Least share of a language's phones that one of its inventory makes up: rarer ones
are those of foreign names."""


@lru_cache(maxsize=1)
def read_phones() -> dict[str, dict[str, int]]:
    """Read how often each language has each segment."""
    found: dict[str, dict[str, int]] = {}
    header = ("language", "segment", "count")
    for language, segment, count in read_rows(PHONES, header, "a table", REMEDY):
        found.setdefault(language, {})[segment] = int(count)
    return found


def inventory(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the segments that make up at least :data:`LEAST_SHARE` of all."""
    least = LEAST_SHARE * sum(counts.values())
    return tuple(sorted(segment for segment, n in counts.items() if n >= least))


def inventory_distance(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the modified Hausdorff distance of two inventories, 0 to 1."""
    features = read_features()
    a, b = (np.array([features[segment] for segment in x]) for x in (one, other))
    apart = np.abs(a[:, None] - b[None]).mean(axis=2) / 2
    return float(max(apart.min(axis=1).mean(), apart.min(axis=0).mean()))


def articulatory_distances(codes: Sequence[str]) -> np.ndarray:
    """Return the distances of some languages.

    Returns:
        (n, n), NaN where espeak-ng does not speak one of the two.

    Raises:
        UserError: It speaks fewer than two of them.
    """
    phones = read_phones()
    known = [code for code in codes if code in phones]
    if len(known) < 2:
        unknown = [code for code in codes if code not in phones]
        raise UserError(
            f"The phones of {' '.join(unknown)} are not known, and articulatory "
            "distances need two languages that espeak-ng speaks: leave articulatory "
            "out of --measures."
        )
    found = np.full((len(codes),) * 2, np.nan)
    inventories = [inventory(phones[c]) if c in phones else None for c in codes]
    for i, one in enumerate(inventories):
        for j, other in enumerate(inventories[: i + 1]):
            if one is not None and other is not None:
                found[i, j] = found[j, i] = inventory_distance(one, other)
    return found
