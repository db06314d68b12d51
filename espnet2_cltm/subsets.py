"""Drawing training subsets: balanced or spread out, nested, and paired over runs.

A seed puts the utterances of a language in an order; a subset is the beginning of that
order. So the same seed gives the same N utterances in ``single`` and in every ``pair``,
and they are contained in the 2N of ``double``.

The order is by a keyed hash of the utterance id (BLAKE2b): a uniform random permutation
that depends on nothing but the seed and the ids, not on the machine, a library's
version, or the rest of the corpus.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from espnet2_cltm.errors import UserError


def random_order(utts: Iterable[str], seed: int, purpose: str) -> list[str]:
    """Return utterances in the random order of a seed.

    Args:
        utts: Utterance ids, in any order.
        seed: Seed of the run.
        purpose: Name of the draw; draws of different names are independent.

    Returns:
        The same ids in an order that depends on them, ``seed`` and ``purpose`` alone.
    """
    key = hashlib.blake2b(f"{purpose}|{seed}".encode(), digest_size=32).digest()

    def rank(utt: str) -> tuple[bytes, str]:
        return hashlib.blake2b(utt.encode(), key=key, digest_size=16).digest(), utt

    return sorted(utts, key=rank)


def lasting(durations: Iterable[float], seconds: float) -> int:
    """Return how many of the first utterances last so many seconds together.

    Args:
        durations: Length of each, in seconds.
        seconds: What the last of them reaches or exceeds.

    Returns:
        Their number; that of all where these do not last as long.
    """
    total, number = 0.0, 0
    for duration in durations:
        if total >= seconds:
            break
        total += duration
        number += 1
    return number


def draw_balanced(
    label_of: Mapping[str, str],
    classes: Sequence[str],
    per_class: int,
    seed: int,
    label: str,
) -> list[str]:
    """Draw the same number of utterances of each class, uniformly within each.

    Args:
        label_of: Class by utterance id.
        classes: Classes, in the order in which they take turns.
        per_class: Number of utterances of each class.
        seed: Seed of the run.
        label: Name of the label; draws of different labels are independent.

    Returns:
        ``len(classes) * per_class`` ids, the classes in turn; those of a smaller
        ``per_class`` are the beginning of those of a larger one.

    Raises:
        UserError: A class has fewer utterances.
    """
    drawn = first_of_classes(label_of, classes, per_class, seed, label)
    for name, utts in zip(classes, drawn, strict=True):
        if len(utts) < per_class:
            raise UserError(
                f"There are {len(utts)} utterances labelled {name}, fewer than "
                f"{per_class}: lower --budget."
            )
    return [utt for turn in zip(*drawn, strict=True) for utt in turn]


def first_of_classes(
    label_of: Mapping[str, str],
    classes: Sequence[str],
    per_class: int,
    seed: int,
    label: str,
) -> list[list[str]]:
    """Return the first utterances of each class, fewer where there are no more.

    Args:
        label_of: Class by utterance id.
        classes: Classes.
        per_class: Number of utterances of each class.
        seed: Seed of the run.
        label: Name of the label.
    """
    utts_of: dict[str, list[str]] = {name: [] for name in classes}
    for utt, value in label_of.items():
        if value in utts_of:
            utts_of[value].append(utt)
    return [
        random_order(utts, seed, f"{label}-{name}")[:per_class]
        for name, utts in utts_of.items()
    ]


def draw_spread(
    speaker_of: Mapping[str, str], n_utterances: int, per_turn: int, seed: int
) -> list[str]:
    """Draw utterances spread evenly over speakers.

    Speakers take turns of ``per_turn`` utterances each until there are enough; those
    with none left are passed over. Their order is random, but those with enough for a
    turn come first.

    Args:
        speaker_of: Speaker by utterance id.
        n_utterances: Number of utterances to draw, at most all.
        per_turn: Number of utterances of a speaker's turn.
        seed: Seed of the run.

    Returns:
        ``n_utterances`` ids; those of a smaller number are the beginning of those of a
        larger one.
    """
    return whole_turns(speaker_of, n_utterances, per_turn, seed)[:n_utterances]


def whole_turns(
    speaker_of: Mapping[str, str], n_utterances: int, per_turn: int, seed: int
) -> list[str]:
    """Return the speakers' turns from which :func:`draw_spread` takes utterances.

    They end with the last turn's last utterance. Any other utterance may be missing:
    the same turns follow. One of the last turn may not, as its speaker may then lack
    enough for a turn, and come later.
    """
    utts_of: dict[str, list[str]] = {}
    for utt, speaker in speaker_of.items():
        utts_of.setdefault(speaker, []).append(utt)
    speakers = random_order(utts_of, seed, "speakers")
    speakers.sort(key=lambda speaker: len(utts_of[speaker]) < per_turn)
    left = {
        speaker: random_order(utts_of[speaker], seed, "speaker-utterances")
        for speaker in speakers
    }
    drawn: list[str] = []
    while left and len(drawn) < n_utterances:
        for utts in left.values():
            if len(drawn) < n_utterances:
                drawn += utts[:per_turn]
        left = {
            speaker: utts[per_turn:]
            for speaker, utts in left.items()
            if len(utts) > per_turn
        }
    return drawn
