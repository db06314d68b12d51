"""Calibrations of a run: fitted on dev sets with the weights that a test uses.

A run keeps the numbers of its calibrations, in ``metrics.json``, and not what it
predicts on dev sets: of 15,000 runs that would be as much again as their tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.experiment.drawn import read_test_set
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import TestSet

MOST_UTTERANCES = 500
"""Most dev utterances of a language; sets with data of their own, such as trials, are
taken whole."""

Calibrations = dict[str, list[float]]
"""Numbers by :data:`.CALIBRATION_SETS`, those that there are dev sets for."""


class DevSets:
    """The dev sets of a run's languages, predicted once with each epoch's weights.

    Args:
        directory: The experiment.
        settings: Its settings.
        run: The run.
        predict: Function of (dev set, file) that predicts with the weights in use.
        place: Directory for the predictions.
    """

    def __init__(
        self,
        directory: ExperimentDir,
        settings: Settings,
        run: Run,
        predict: Callable[[TestSet, Path], None],
        place: Path | str,
    ):
        self._spec = find_task(run.task)
        self._options = settings.options[run.task]
        self._predict = predict
        self._sets: dict[str, TestSet] = {}
        for lang in run.trained_on if self._spec.calibration_sets else ():
            dev = read_test_set(directory, run.task, lang, "dev")
            chosen = calibration_utterances(dev.utterances, dev.data)
            if chosen:
                self._sets[lang] = replace(dev, utterances=chosen)
        self._fitted: dict[tuple, list[float]] = {}
        self._place = Path(place)

    def calibrate(self, tested: str, epoch: int) -> Calibrations:
        """Fit the calibrations of a test.

        Args:
            tested: Name of what is tested.
            epoch: Epoch of the weights in use.
        """
        languages = {
            "target": [lang for lang in self._sets if lang == tested],
            "donor": [lang for lang in self._sets if lang != tested],
            "both": list(self._sets),
        }
        asked = {name: languages[name] for name in self._spec.calibration_sets}
        return {name: self._fit(some, epoch) for name, some in asked.items() if some}

    def _fit(self, languages: Sequence[str], epoch: int) -> list[float]:
        key = (*languages, epoch)
        if key not in self._fitted:
            code = self._spec.code()
            dev = []
            for lang in languages:
                name = f"{lang}.{epoch}{code.PREDICTIONS_SUFFIX}"
                path = self._place / name
                if not path.exists():
                    self._predict(self._sets[lang], path)
                dev.append((self._sets[lang], path))
            self._fitted[key] = code.calibrate(self._options, dev)
        return self._fitted[key]


def calibration_utterances(
    utterances: Sequence[ListedUtterance], data: Any
) -> Sequence[ListedUtterance]:
    """Return the utterances of a dev set that calibrate, spread over its list.

    Args:
        utterances: The dev utterances.
        data: Test data of the set, such as trials; None where there are none.
    """
    n = len(utterances)
    if data is not None or n <= MOST_UTTERANCES:
        return utterances
    return [utterances[k * n // MOST_UTTERANCES] for k in range(MOST_UTTERANCES)]
