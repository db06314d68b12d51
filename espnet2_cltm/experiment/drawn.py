"""A plan together with what was drawn for it."""

from dataclasses import dataclass

from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.speaker.trials import TrialList


@dataclass(frozen=True)
class DrawnSet:
    """Utterances to test or validate on, and their trials where the task has them."""

    utterances: list[ListedUtterance]
    trials: TrialList | None = None

    @property
    def n_items(self) -> int:
        """Count what a prediction holds: trials, or utterances where there are none."""
        return len(self.utterances) if self.trials is None else len(self.trials)


@dataclass(frozen=True)
class DrawnLanguage:
    """What is drawn of one language for one task.

    Attributes:
        train: By seed, the utterances of the largest run.
        dev: To choose a checkpoint by.
        test: To test on.
        notes: What could not be made, each a few words.
        grid: Of a learning curve: every N.
    """

    train: dict[int, list[ListedUtterance]]
    dev: DrawnSet
    test: DrawnSet
    notes: tuple[str, ...] = ()
    grid: tuple[int, ...] = ()


@dataclass(frozen=True)
class Planned:
    """A plan with what it rests on.

    Attributes:
        runs: All runs, tasks one after another.
        drawn: Drawn utterances by (task, language).
        across: Trials across languages by (task, ``<language>~<language>``).
        left_out: Reasons by (task, language) that can't take part.
    """

    runs: list[PlannedRun]
    drawn: dict[tuple[str, str], DrawnLanguage]
    across: dict[tuple[str, str], DrawnSet]
    left_out: dict[tuple[str, str], str]

    def tested(self, task: str, name: str) -> DrawnSet:
        """Give what is tested under a name: a language, or trials across two."""
        if (task, name) in self.across:
            return self.across[task, name]
        return self.drawn[task, name].test
