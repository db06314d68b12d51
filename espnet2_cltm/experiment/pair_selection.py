"""Choice of the pairs of languages to measure if not all are, balanced over languages.

A pair run is tested on both its languages, so a language in k pairs is k times a target
and k times a donor. The languages are put on a circle in an order drawn from the seed.
An even number of languages is paired off in rounds, as in a tournament, no pair twice.
For an odd number the pairs are the steps of Hamiltonian cycles (Walecki's), every
second step of a cycle first. Pairs are taken in this order: however many are taken, the
numbers of pairs of two languages differ by at most 1, and a larger share contains a
smaller one.
"""

from collections.abc import Collection, Iterable, Sequence

from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import Run
from espnet2_cltm.subsets import random_order

Pair = tuple[str, str]


def number_of_pairs(n_languages: int, fraction: float) -> int:
    """Return the number of pairs in a share, enough for every language to be in one.

    Args:
        n_languages: Number of languages, at least 2.
        fraction: Share of all pairs, above 0 and at most 1.
    """
    total = n_languages * (n_languages - 1) // 2
    return max((n_languages + 1) // 2, int(fraction * total + 0.5))


def select_pairs(
    languages: Iterable[str],
    fraction: float,
    seed: int,
    measured: Collection[Pair] = (),
) -> set[Pair]:
    """Choose the pairs to measure.

    Without measured pairs the choice depends on nothing but the set of languages, the
    share and the seed. Pairs already measured, such as before a language was added, are
    taken first and others are added for the languages with the fewest pairs; the
    balance is then as good as the measured pairs allow.

    Args:
        languages: Two or more codes, in any order.
        fraction: Share of all pairs, above 0 and at most 1.
        seed: Seed of the draw.
        measured: Pairs with results, each sorted.

    Returns:
        Chosen pairs, each sorted.
    """
    languages = sorted(set(languages))
    order = random_order(languages, seed, "pairs")
    every = balanced_order(order)
    n_pairs = number_of_pairs(len(languages), fraction)
    wanted = set(every[:n_pairs])
    known = set(measured) & set(every)
    if known <= wanted or wanted <= known:
        return wanted
    start = known if len(known) <= n_pairs else set()
    return _add_evenly(start, known, order, n_pairs)


def made_pair_runs(directory: ExperimentDir | None, runs: Iterable[Run]) -> set[Run]:
    """Return the pair runs that are done.

    Args:
        directory: The experiment's directory; None for no experiment.
        runs: Runs of all pairs, and others.
    """
    if directory is None or not directory.root.exists():
        return set()
    pairs = (run for run in runs if run.kind == "pair")
    return {run for run in pairs if directory.metrics(run.name).exists()}


def balanced_order(languages: Sequence[str]) -> list[Pair]:
    """Return all n(n-1)/2 pairs in an order of which every beginning is balanced.

    Args:
        languages: Distinct codes, whose order determines that of the pairs.
    """
    n = len(languages)
    steps = _rounds(n) if n % 2 == 0 else _cycles(n)
    return [_sorted(languages[i], languages[j]) for i, j in steps]


def _rounds(n: int) -> list[tuple[int, int]]:
    """Pair off an even number in n - 1 rounds: the last stays, the others rotate."""
    turning = n - 1
    return [
        pair
        for shift in range(turning)
        for pair in (
            (shift, turning),
            *(
                ((shift + k) % turning, (shift - k) % turning)
                for k in range(1, turning // 2 + 1)
            ),
        )
    ]


def _cycles(n: int) -> list[tuple[int, int]]:
    """Return the steps of (n - 1) / 2 cycles of odd n, every second step first."""
    rim = n - 1  # the last is the hub, from which each cycle zigzags over the rim
    steps = []
    for start in range(rim // 2):
        zigzag = [start + (k + 1) // 2 * (1 if k % 2 else -1) for k in range(rim)]
        cycle = [rim, *(place % rim for place in zigzag)]
        walk = [(cycle[k], cycle[(k + 1) % n]) for k in range(n)]
        steps += walk[::2] + walk[1::2]
    return steps


def _add_evenly(
    start: set[Pair], preferred: set[Pair], order: Sequence[str], n_pairs: int
) -> set[Pair]:
    """Add pairs, beginning with the languages that have the fewest.

    Args:
        start: Pairs already chosen.
        preferred: Pairs that a language takes before others.
        order: Languages; the first of equals goes first.
        n_pairs: Number of pairs; a language that is in none gets one more.
    """
    chosen = set(start)
    degree = {lang: sum(lang in pair for pair in chosen) for lang in order}
    partners = {lang: {other for other in order if other != lang} for lang in order}
    for first, second in chosen:
        partners[first].discard(second)
        partners[second].discard(first)
    rank = {lang: place for place, lang in enumerate(order)}
    while len(chosen) < n_pairs or min(degree.values()) == 0:
        first = min(
            (lang for lang in order if partners[lang]),
            key=lambda lang: (degree[lang], rank[lang]),
        )
        second = min(
            partners[first],
            key=lambda lang: (
                _sorted(first, lang) not in preferred,
                degree[lang],
                rank[lang],
            ),
        )
        chosen.add(_sorted(first, second))
        for one, other in ((first, second), (second, first)):
            partners[one].discard(other)
            degree[one] += 1
    return chosen


def _sorted(first: str, second: str) -> Pair:
    return min(first, second), max(first, second)
