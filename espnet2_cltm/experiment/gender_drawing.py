"""Gender identification in stage 3: which languages can take part, what is drawn.

Imports no torch, so that a plan is made in seconds.
"""

from collections.abc import Mapping, Sequence

from espnet2_cltm.corpus.datadir import GENDERS, SPLITS, Utterance
from espnet2_cltm.experiment.subsets import draw_balanced


def unfit_reason(splits: Mapping[str, Sequence[Utterance]], budget: int) -> str | None:
    """Tell why a language can't take part, or None where it can.

    Args:
        splits: Utterances of ``train``, ``dev`` and ``test``.
        budget: N, utterances per class; a double run takes 2N.
    """
    for split in SPLITS:
        for gender in GENDERS:
            spoken = [u for u in splits[split] if u.gender == gender]
            needed = 2 * budget if split == "train" else 1
            if len(spoken) < needed:
                n_speakers = len({u.speaker for u in spoken})
                return (
                    f"{split} has {len(spoken)} utterances by {n_speakers} speakers "
                    f"labelled {gender} where {needed} are needed"
                )
    return None


def label_of(utterance: Utterance) -> str | None:
    """Give what the task predicts, None where it is not known."""
    return utterance.gender if utterance.gender in GENDERS else None


def draw_training_utterances(
    train: Sequence[Utterance], budget: int, seed: int
) -> list[str]:
    """Draw what a double run takes; a single run takes the beginning of it.

    Args:
        train: The language's training utterances.
        budget: N, utterances per class.
        seed: The run's seed.

    Returns:
        4N utterance ids, ``f`` and ``m`` in turn.
    """
    gender_of = {u.id: u.gender for u in train if u.gender in GENDERS}
    return draw_balanced(gender_of, 2 * budget, seed)


def n_drawn(utterances_per_language: int) -> int:
    """Count the utterances a run takes of a language, both classes together."""
    return len(GENDERS) * utterances_per_language
