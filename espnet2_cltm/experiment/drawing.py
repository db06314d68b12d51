"""What a task draws of a language in stage 3.

Every task has a module ``<task>_drawing`` with

* ``draw(splits, rules, seeds) -> LanguageDraw``, which raises :class:`UnfitLanguage`
  where a language can't take part;
* ``HAS_TRIALS``, whether it tests by trials between utterances;
* ``n_drawn(utterances_per_language) -> int``, how many utterances a run takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from espnet2_cltm.speaker.trials import TrialList


class UnfitLanguage(Exception):
    """A language that can't take part in a task.

    Attributes:
        reason: A few words.
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class DrawingRules:
    """What the drawing of subsets and trials follows.

    Attributes:
        budget: N, utterances (gender: per class) of a single run; the largest of
            ``grid`` where there is one.
        utts_per_speaker: Speaker: utterances a speaker gives before the next one's
            turn.
        max_positives: Speaker: most target trials of a speaker.
        trials_seed: Speaker: draws the trials.
        needs_dev_trials: Speaker: whether a checkpoint is chosen by dev trials.
        shared_speakers: Speaker: whether a name, but for ``<lang>-``, is one person
            in all languages, and one class of a pair run.
        grid: Of learning curves: every N, ascending. Empty for a matrix.
    """

    budget: int
    utts_per_speaker: int = 1
    max_positives: int = 200
    trials_seed: int = 0
    needs_dev_trials: bool = True
    shared_speakers: bool = False
    grid: tuple[int, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Utterances (gender: per class) that runs take of a language, ascending."""
        return self.grid or (self.budget, 2 * self.budget)


@dataclass(frozen=True)
class LanguageDraw:
    """What a task draws of one language, by utterance id.

    Attributes:
        train: By seed, what the largest run takes (of a matrix, a double one); a
            smaller one takes the beginning.
        dev: Validation utterances.
        test: Test utterances.
        labels: What the task predicts or tells apart, of each of them.
        trials: Trial lists by split; none for gender.
        notes: What could not be made, each a few words.
    """

    train: Mapping[int, list[str]]
    dev: list[str]
    test: list[str]
    labels: Mapping[str, str]
    trials: Mapping[str, TrialList] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
