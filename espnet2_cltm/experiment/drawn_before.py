"""Whether an experiment that grows would still be drawn as it was."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    read_utterance_list,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import DrawnSet, Planned
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.speaker.trials import TrialList, read_trials


def check_same_data(directory: ExperimentDir, planned: Planned) -> None:
    """Refuse to mix runs on different draws of one language.

    Raises:
        UserError: What was drawn before is damaged, or is something else.
    """
    for (task, lang), language in planned.drawn.items():
        for seed, utterances in language.train.items():
            path = directory.train_list(task, lang, seed)
            _check_same_list(path, utterances, may_grow=bool(language.grid))
        _check_same_set(directory, task, lang, "dev", language.dev)
        _check_same_set(directory, task, lang, "test", language.test)
    for (task, name), test in planned.across.items():
        _check_same_set(directory, task, name, "test", test)


def _check_same_set(
    directory: ExperimentDir, task: str, name: str, split: str, drawn: DrawnSet
) -> None:
    _check_same_list(directory.utterance_list(task, name, split), drawn.utterances)
    path = directory.trials(task, name, split)
    if path.exists() and not _are_equal(_read(read_trials, path), drawn.trials):
        raise _drawn_otherwise(path)


def _check_same_list(
    path: Path, utterances: Sequence[ListedUtterance], may_grow: bool = False
) -> None:
    """Refuse another list; where it may grow, one is the beginning of the other."""

    def identity(utterances: Sequence[ListedUtterance]) -> list[tuple[Any, ...]]:
        return [(u.utt, u.label, u.num_samples) for u in utterances]

    if path.exists():
        before = _read(read_utterance_list, path)
        if may_grow:
            common = min(len(before), len(utterances))
            before, utterances = before[:common], utterances[:common]
        if identity(before) != identity(utterances):
            raise _drawn_otherwise(path)


def _read(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except UserError as error:
        raise UserError(
            f"{path}, from an earlier stage 3, is damaged: delete it and run stage 3 "
            "again."
        ) from error


def _are_equal(before: TrialList, now: TrialList | None) -> bool:
    return (
        now is not None
        and before.utts == now.utts
        and all(
            np.array_equal(getattr(before, name), getattr(now, name))
            for name in ("enrol", "test", "is_target")
        )
    )


def _drawn_otherwise(path: Path) -> UserError:
    return UserError(
        f"{path} would be drawn differently now: the audio or the genders have "
        "changed, or other languages test some of its speakers (--shared_speakers); "
        "give the experiment a new --tag, or delete the old one."
    )
