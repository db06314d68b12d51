"""Which pairs of languages to measure where not all are, balanced over languages.

A pair run is tested on both its languages, so a language in k pairs is k times a target
and k times a donor. The languages, in an order drawn from the seed, stand on a circle.
An even number of them is paired off in rounds, as in a tournament, no pair twice; an
odd number walks Hamiltonian cycles (Walecki's), of each every second step first. Pairs
are taken in that order: however many are taken, the numbers of pairs of two languages
differ by at most 1, and a larger share contains a smaller one.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations

from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import Run
from espnet2_cltm.subsets import random_order

Pair = tuple[str, str]


def number_of_pairs(n_languages: int, fraction: float) -> int:
    """Count the pairs of a share: rounded, and enough for every language to be in one.

    Args:
        n_languages: At least 2.
        fraction: Above 0, at most 1.
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

    Without measured pairs the choice depends on the set of languages, the share and
    the seed alone. Where some are measured (before a language was added, say), they
    are taken first and the rest is added where languages have the fewest pairs; the
    balance is then as good as those allow.

    Args:
        languages: Two or more codes, in any order.
        fraction: Share of all pairs, above 0, at most 1.
        seed: Of the draw.
        measured: Pairs with results, each sorted.

    Returns:
        Pairs, each sorted.
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


def made_pair_runs(
    directory: ExperimentDir | None,
    task: str,
    languages: Iterable[str],
    budget: int,
    seeds: Iterable[int],
) -> set[Run]:
    """Find the pair runs that are done, whether a plan names them or not.

    Args:
        directory: The experiment's directory, None for no experiment.
        task: The task.
        languages: Languages that take part.
        budget: N.
        seeds: Seeds that take part.
    """
    if directory is None or not directory.root.exists():
        return set()
    runs = (
        Run(task, "pair", pair, budget, seed)
        for pair in combinations(sorted(set(languages)), 2)
        for seed in sorted(set(seeds))
    )
    return {run for run in runs if directory.metrics(run.name).exists()}


def balanced_order(languages: Sequence[str]) -> list[Pair]:
    """Put all pairs into an order of which every beginning is balanced.

    Args:
        languages: Distinct codes; the order of the pairs follows from theirs.

    Returns:
        All n(n-1)/2 pairs, each sorted.
    """
    n = len(languages)
    steps = _rounds(n) if n % 2 == 0 else _cycles(n)
    return [_sorted(languages[i], languages[j]) for i, j in steps]


def _rounds(n: int) -> list[tuple[int, int]]:
    """Pair off an even number in n - 1 rounds: the last stays, the others turn."""
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
    """Walk (n - 1) / 2 Hamiltonian cycles of an odd number, every second step first."""
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
    """Add pairs, of the languages with the fewest pairs first.

    Args:
        start: What is chosen already.
        preferred: What a language takes before other pairs.
        order: Languages; decides where several have as few.
        n_pairs: How many there shall be; a language that is in none gets one more.
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
