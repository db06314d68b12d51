"""Speaker verification in stage 3: which languages can take part, what is drawn.

Training subsets are spread evenly over speakers, trials are drawn among test and,
apart, among dev speakers. Imports no torch, so that a plan is made in seconds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.people import person_of
from espnet2_cltm.experiment.drawing import DrawingRules, LanguageDraw, UnfitLanguage
from espnet2_cltm.speaker.trial_drawing import (
    NOBODY_BILINGUAL,
    DrawnTrials,
    draw_cross_language_trials,
    draw_trials,
)
from espnet2_cltm.subsets import draw_spread

HAS_TRIALS = True
# A subset of n utterances has at least this share of n speakers (arXiv:2603.08231),
# and never fewer than can be told apart.
MIN_SPEAKERS_PER_UTTERANCE = 0.0125
MIN_SPEAKERS = 2


def draw(
    splits: Mapping[str, Sequence[Utterance]],
    rules: DrawingRules,
    seeds: Sequence[int],
) -> LanguageDraw:
    """Draw training subsets and trials.

    Args:
        splits: Utterances of ``train``, ``dev`` and ``test``.
        rules: With N, utterances of a single run; a double run takes 2N.
        seeds: The runs' seeds.

    Raises:
        UnfitLanguage: Too few utterances or speakers, or no test trial can be made.
    """
    speaker_of = {u.id: u.speaker for u in splits["train"]}
    largest = max(rules.sizes)
    if len(speaker_of) < largest:
        raise UnfitLanguage(
            f"train has {len(speaker_of)} utterances where {largest} are needed"
        )
    train = {
        seed: draw_spread(speaker_of, largest, rules.utts_per_speaker, seed)
        for seed in seeds
    }
    for drawn in train.values():
        for n_utterances in rules.sizes:
            _require_speakers(drawn[:n_utterances], speaker_of)
    drawn_trials = {
        split: draw_trials(splits[split], rules.max_positives, rules.trials_seed)
        for split in ("dev", "test")
    }
    if drawn_trials["test"].trials is None:
        why = "; ".join(drawn_trials["test"].left_out) or "it has no utterance"
        raise UnfitLanguage(f"test allows no trials ({why})")
    notes = [
        f"{split}: {note}"
        for split, drawn in drawn_trials.items()
        if split == "test" or rules.needs_dev_trials
        for note in drawn.left_out
    ]
    trials = {
        split: drawn.trials
        for split, drawn in drawn_trials.items()
        if drawn.trials is not None
    }
    if rules.needs_dev_trials and "dev" not in trials:
        notes.append(
            "dev: no trial can be made, so runs on the language are tested on it with "
            "their last epoch"
        )
    return LanguageDraw(
        train=train,
        dev=list(trials["dev"].utts) if "dev" in trials else [],
        test=list(trials["test"].utts),
        labels={
            u.id: person_of(u.speaker, u.lang) if rules.shared_speakers else u.speaker
            for split in splits.values()
            for u in split
        },
        trials=trials,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class CrossLanguageSet:
    """Trials of bilingual speakers between two languages' test utterances.

    Attributes:
        name: ``<enrolment language>~<test language>``.
        drawn: The trials; their utterances are those of both languages.
    """

    name: str
    drawn: DrawnTrials


def draw_cross_language(
    tests: Mapping[str, Sequence[Utterance]], rules: DrawingRules
) -> list[CrossLanguageSet]:
    """Draw trials for every pair of languages that has bilingual test speakers.

    Args:
        tests: Test utterances by language.
        rules: With the seed and the most target trials of a speaker.

    Returns:
        Sets of trials; without trials only where there is a bilingual speaker.
    """
    sets = []
    for first in sorted(tests):
        for second in sorted(tests):
            if first >= second:
                continue
            drawn = draw_cross_language_trials(
                tests[first], tests[second], rules.max_positives, rules.trials_seed
            )
            if drawn.trials is not None or drawn.left_out != (NOBODY_BILINGUAL,):
                sets.append(CrossLanguageSet(f"{first}~{second}", drawn))
    return sets


def n_drawn(utterances_per_language: int) -> int:
    """Count the utterances a run takes of a language."""
    return utterances_per_language


def _require_speakers(drawn: Sequence[str], speaker_of: Mapping[str, str]) -> None:
    n_speakers = len({speaker_of[utt] for utt in drawn})
    needed = max(MIN_SPEAKERS, math.ceil(MIN_SPEAKERS_PER_UTTERANCE * len(drawn)))
    if n_speakers < needed:
        raise UnfitLanguage(
            f"train gives {len(drawn)} utterances by {n_speakers} speakers where "
            f"{needed} are needed"
        )
