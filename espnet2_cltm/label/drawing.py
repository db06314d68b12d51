"""Gender identification in stage 3: which languages can take part, what is drawn.

Imports no torch, so that a plan is made in seconds.
"""

from collections.abc import Mapping, Sequence

from espnet2_cltm.corpus.datadir import GENDERS, SPLITS, Utterance
from espnet2_cltm.experiment.drawing import DrawingRules, LanguageDraw, UnfitLanguage
from espnet2_cltm.subsets import draw_balanced

HAS_TRIALS = False


def draw(
    splits: Mapping[str, Sequence[Utterance]],
    rules: DrawingRules,
    seeds: Sequence[int],
) -> LanguageDraw:
    """Draw balanced training subsets; dev and test are all labelled utterances.

    Args:
        splits: Utterances of ``train``, ``dev`` and ``test``.
        rules: With N, utterances per class; the largest run takes the most.
        seeds: The runs' seeds.

    Raises:
        UnfitLanguage: A split lacks utterances of a gender.
    """
    largest = max(rules.sizes)
    _require_genders(splits, largest)
    labels = {
        split: {u.id: u.gender for u in splits[split] if u.gender in GENDERS}
        for split in SPLITS
    }
    return LanguageDraw(
        train={seed: draw_balanced(labels["train"], largest, seed) for seed in seeds},
        dev=list(labels["dev"]),
        test=list(labels["test"]),
        labels={utt: label for split in SPLITS for utt, label in labels[split].items()},
    )


def n_drawn(utterances_per_language: int) -> int:
    """Count the utterances a run takes of a language, both classes together."""
    return len(GENDERS) * utterances_per_language


def _require_genders(splits: Mapping[str, Sequence[Utterance]], largest: int) -> None:
    for split in SPLITS:
        for gender in GENDERS:
            spoken = [u for u in splits[split] if u.gender == gender]
            needed = largest if split == "train" else 1
            if len(spoken) < needed:
                n_speakers = len({u.speaker for u in spoken})
                raise UnfitLanguage(
                    f"{split} has {len(spoken)} utterances by {n_speakers} speakers "
                    f"labelled {gender} where {needed} are needed"
                )
