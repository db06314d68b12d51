"""Rules that hold for the splits of every corpus.

No speaker is in two of train, dev and test: test keeps its speakers, dev gives up
those of test, train gives up those of both. A split can be cut down to a number of
utterances, with as many of each gender as there are.
"""

import hashlib
from collections.abc import Iterable, Mapping, Set

from espnet2_cltm.corpus.datadir import Utterance


def barred_speakers(
    speakers: Mapping[str, Set[str]],
) -> dict[str, dict[str, str]]:
    """Find the speakers that must leave a split because another one has them.

    Args:
        speakers: Speakers by split (``train``, ``dev``, ``test``).

    Returns:
        By split, the speakers to leave out, each with the reason.
    """
    train, dev, test = (
        speakers.get(split, set()) for split in ("train", "dev", "test")
    )
    in_dev = dict.fromkeys(train & dev, "speaker is also in dev")
    in_test = dict.fromkeys(train & test, "speaker is also in test")
    return {
        "train": in_dev | in_test,
        "dev": dict.fromkeys(dev & test, "speaker is also in test"),
        "test": {},
    }


def limit_utterances(
    utterances: Iterable[Utterance], limit: int, seed: int
) -> tuple[list[Utterance], list[Utterance]]:
    """Draw at most ``limit`` utterances, as evenly over genders as they allow.

    Whether an utterance is drawn depends on its id and the seed, not on the order
    of the input, and a smaller limit draws a subset of what a larger one draws.

    Args:
        utterances: Of one split.
        limit: Number of utterances to keep, 0 for all.
        seed: Of the draw.

    Returns:
        The utterances that are kept and those that are left out.
    """
    utterances = list(utterances)
    if not limit or len(utterances) <= limit:
        return utterances, []
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.gender or "", []).append(utterance)
    shares = even_shares({gender: len(rows) for gender, rows in groups.items()}, limit)
    kept, left_out = [], []
    for gender, rows in groups.items():
        rows.sort(key=lambda utterance: _place(utterance.id, seed))
        kept += rows[: shares[gender]]
        left_out += rows[shares[gender] :]
    return kept, left_out


def even_shares(sizes: Mapping[str, int], limit: int) -> dict[str, int]:
    """Divide ``limit`` evenly over groups; what a small group lacks, others give.

    Args:
        sizes: Members of each group.
        limit: Number of members to take in all.

    Returns:
        Number to take of each group; they sum to ``limit``, or to the sum of
        ``sizes`` where that is less.
    """
    shares = {}
    left = limit
    # The smallest group first: what it can't use is shared among those after it.
    # With equal sizes the odd one goes to the name that sorts last, never by chance.
    order = sorted(sizes, key=lambda group: (sizes[group], group))
    for done, group in enumerate(order):
        shares[group] = min(sizes[group], left // (len(order) - done))
        left -= shares[group]
    return shares


def _place(utterance: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {utterance}".encode(), digest_size=16).digest()
