"""A test or dev set of an experiment: listed utterances and, for speaker, trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from espnet2_cltm.corpus.utterance_list import ListedUtterance, read_utterance_list
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.task_registry import drawing
from espnet2_cltm.speaker.trials import TrialList, read_trials

# A worker tests thousands of models on the same few dozen lists.
_LISTS_HELD = 64


@dataclass(frozen=True)
class TestSet:
    """What a model is tested, or validated, on.

    Attributes:
        name: A language, or ``<language>~<language>`` for trials across two.
        utterances: In the order of their list.
        trials: Pairs of them; None for gender, and where no trial could be made.
        trials_path: Where the trials are, None where there are none.
    """

    name: str
    utterances: Sequence[ListedUtterance]
    trials: TrialList | None = None
    trials_path: Path | None = None
    __test__ = False  # pytest takes a class of this name for tests


def read_test_set(
    directory: ExperimentDir, task: str, name: str, split: str = "test"
) -> TestSet:
    """Read what stage 3 wrote.

    Args:
        directory: The experiment.
        task: The task.
        name: A language, or ``<language>~<language>``.
        split: ``test`` or ``dev``.

    Raises:
        UserError: A file is missing or damaged.
    """
    path = directory.utterance_list(task, name, split)
    utterances = read_utterance_list(path)
    trials_path = directory.trials(task, name, split)
    # A dev set of which no trial can be made is empty.
    if not (utterances and drawing(task).HAS_TRIALS):
        return TestSet(name, utterances)
    if not trials_path.exists():
        raise UserError(
            f"{trials_path} is missing: run stage 3 again, with the options that the "
            "experiment was made with."
        )
    trials = _read_trials(str(trials_path), trials_path.stat().st_mtime_ns)
    if set(trials.utts) != {u.utt for u in utterances}:
        odd = min(set(trials.utts) ^ {u.utt for u in utterances})
        raise UserError(
            f"{trials_path} and {path} differ, first in utterance {odd}: delete both "
            "and run stage 3 again."
        )
    _check_labels(trials_path, trials, utterances)
    return TestSet(name, utterances, trials, trials_path)


def _check_labels(
    path: Path, trials: TrialList, utterances: Sequence[ListedUtterance]
) -> None:
    """Refuse trials whose label is not what the speakers say."""
    speaker_of = {u.utt: u.label for u in utterances}
    numbers: dict[str, int] = {}
    speakers = np.array(
        [numbers.setdefault(speaker_of[utt], len(numbers)) for utt in trials.utts]
    )
    is_same = speakers[trials.enrol] == speakers[trials.test]
    wrong = np.flatnonzero(is_same != trials.is_target)
    if len(wrong):
        raise UserError(
            f"{path}, line {wrong[0] + 1}, contradicts the speakers of its utterances: "
            "delete it and run stage 3 again."
        )


@lru_cache(maxsize=_LISTS_HELD)
def _read_trials(path: str, mtime_ns: int) -> TrialList:
    return read_trials(Path(path))
