"""Which utterances of a language are taken; the rules hold for every corpus.

No speaker is in two of train, dev and test: test keeps its speakers, dev gives up
those of test, train gives up those of both. Utterances without a required label are
left out. A split can be cut down to a number of utterances, with as many of each gender
as there are.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from espnet2_cltm.corpus.datadir import SPLITS, Utterance
from espnet2_cltm.corpus.language import LanguageSplits, Rejection


def barred_speakers(speakers: Mapping[str, Set[str]]) -> dict[str, dict[str, str]]:
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


def leave_out_unlabelled(
    language: LanguageSplits, required: Sequence[str]
) -> tuple[LanguageSplits, dict[str, list[str]]]:
    """Leave out utterances without a required label.

    A label that all utterances of a split lack is not required in this language, which
    may serve tasks that don't need it.

    Args:
        language: The language.
        required: Names of labels.

    Returns:
        The language; and by label (or several, joined by "and") that is not required
        after all, the splits without it.
    """
    splits = language.splits
    waived: dict[str, list[str]] = {}
    for label in required:
        lacking = [
            split
            for split in SPLITS
            if splits.get(split) and not any(label in u.labels for u in splits[split])
        ]
        if lacking:
            waived[label] = lacking
    needed = [label for label in required if label not in waived]

    kept: dict[str, list[Utterance]] = {split: [] for split in splits}
    rejected = list(language.rejected)
    for split, utterances in splits.items():
        for utt in utterances:
            missing = [label for label in needed if label not in utt.labels]
            if not missing:
                kept[split].append(utt)
                continue
            why = language.unusable.get((utt.id, missing[0]))
            reason = why or f"{missing[0]} not given"
            rejected.append(Rejection(split, language.own_name(utt), reason))
    if empty := [split for split in SPLITS if splits.get(split) and not kept[split]]:
        # Each label is there, but no utterance has them all.
        return language, {**waived, " and ".join(needed): empty}
    return replace(language, splits=kept, rejected=rejected), waived


def limit_utterances(
    utterances: Iterable[Utterance], limit: int, seed: int
) -> tuple[list[Utterance], list[Utterance]]:
    """Draw at most ``limit`` utterances, as evenly over genders as they allow.

    Whether an utterance is drawn depends on its id and the seed, not on the order
    of the input, and a smaller limit draws a subset of what a larger one draws.

    Args:
        utterances: Utterances of one split.
        limit: Number of utterances to keep, 0 for all.
        seed: Seed of the draw.

    Returns:
        The utterances that are kept and those that are left out.
    """
    utterances = list(utterances)
    if not limit or len(utterances) <= limit:
        return utterances, []
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.labels.get("gender", ""), []).append(utterance)
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
    # The smallest group first: what it cannot use is shared among those after it.
    # With equal sizes the odd one goes to the name that sorts last, never by chance.
    order = sorted(sizes, key=lambda group: (sizes[group], group))
    for done, group in enumerate(order):
        shares[group] = min(sizes[group], left // (len(order) - done))
        left -= shares[group]
    return shares


def _place(utterance: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {utterance}".encode(), digest_size=16).digest()
