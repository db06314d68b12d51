"""Drawing training subsets: balanced or spread out, nested, and paired over runs.

A seed puts the utterances of a language into an order; a subset is the beginning of
that order. So the same seed gives the same N utterances in ``single`` and in every
``pair``, and they are contained in the 2N of ``double``.

The order is by a keyed hash of the utterance id (BLAKE2b), which makes it a uniform
random permutation that depends on nothing but seed and id: not on the machine, the
library's version, or what else is in the corpus.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from espnet2_cltm.errors import UserError


def random_order(utts: Iterable[str], seed: int, purpose: str) -> list[str]:
    """Put utterances into the random order of a seed.

    Args:
        utts: Utterance ids, in any order.
        seed: The run's seed.
        purpose: Keeps draws for different ends independent of one another.

    Returns:
        The same ids, the order depending on ``seed``, ``purpose`` and each id alone.
    """
    key = hashlib.blake2b(f"{purpose}|{seed}".encode(), digest_size=32).digest()

    def rank(utt: str) -> tuple[bytes, str]:
        return hashlib.blake2b(utt.encode(), key=key, digest_size=16).digest(), utt

    return sorted(utts, key=rank)


def draw_balanced(
    label_of: Mapping[str, str],
    classes: Sequence[str],
    per_class: int,
    seed: int,
    label: str,
) -> list[str]:
    """Draw as many utterances of each class, uniformly within each.

    Args:
        label_of: Class by utterance id.
        classes: Classes in the order in which they take turns.
        per_class: Number of utterances of each class.
        seed: Seed of the run.
        label: What the classes are of; draws of another label are independent.

    Returns:
        ``len(classes) * per_class`` ids, the classes in turn; what a smaller
        ``per_class`` gives is the beginning of what a larger one gives.

    Raises:
        UserError: A class has fewer utterances.
    """
    drawn = []
    for name in classes:
        utts = [utt for utt, value in label_of.items() if value == name]
        if len(utts) < per_class:
            raise UserError(
                f"{per_class} utterances labelled {name} were asked for where there "
                f"are {len(utts)}: lower --budget."
            )
        drawn.append(random_order(utts, seed, f"{label}-{name}")[:per_class])
    return [utt for turn in zip(*drawn, strict=True) for utt in turn]


def draw_spread(
    speaker_of: Mapping[str, str], n_utterances: int, per_turn: int, seed: int
) -> list[str]:
    """Draw utterances spread evenly over speakers.

    The speakers give ``per_turn`` utterances each, and again until there are enough;
    one who has no more is passed over. They come in a random order, those who have
    enough for a turn first.

    Args:
        speaker_of: Speaker by utterance id.
        n_utterances: How many to draw, at most all.
        per_turn: Utterances of a speaker's turn.
        seed: The run's seed.

    Returns:
        ``n_utterances`` ids; what a smaller number gives is the beginning of what a
        larger one gives.
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
            drawn += utts[:per_turn]
        left = {
            speaker: utts[per_turn:]
            for speaker, utts in left.items()
            if len(utts) > per_turn
        }
    return drawn[:n_utterances]
