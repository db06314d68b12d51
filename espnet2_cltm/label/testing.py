"""Label tasks in stage 4: ESPnet's data, predictions, and scores.

The functions and their arguments are described in :mod:`espnet2_cltm.task`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    espnet_data_options,
    write_espnet_data,
)
from espnet2_cltm.label.calibration import fit_temperature, log_probabilities
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.label.inference import (
    predict_labels,
    read_predictions,
    write_predictions,
)
from espnet2_cltm.label.metrics import score_labels
from espnet2_cltm.label.model import LabelModel
from espnet2_cltm.label.spec import LabelTask
from espnet2_cltm.task import Criterion, Scores, TestSet, score_in_turn
from espnet2_cltm.tasks.testing import (  # noqa: F401 (the runner calls it)
    cache_audio,
    read_test,
    require_same_utterances,
)

ESPNET_TASK = LabelEspnetTask
PREDICTIONS_SUFFIX = ".tsv"


def build_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ESPnet options that build a model before there is data.

    Where the classes are still to be found in the data, two stand for them.
    """
    return {"classes": " ".join(options.get("classes") or ("a", "b"))}


def write_training_data(
    run_dir: Path,
    train: Sequence[ListedUtterance],
    dev: Sequence[TestSet],
    batch_bins: int,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Write ESPnet's data files and return the options that name them."""
    labels = ("label", "label")
    valid = [utterance for part in dev for utterance in part.utterances]
    write_espnet_data(run_dir / "train", train, labels[0])
    write_espnet_data(run_dir / "valid", valid, labels[0])
    return {
        **build_options(options),
        **espnet_data_options(run_dir / "train", "train", labels),
        **espnet_data_options(run_dir / "valid", "valid", labels),
    }


def criteria(
    config: Mapping[str, Any], languages: Sequence[str], tests: Sequence[str]
) -> dict[str, Criterion]:
    """Return no criterion for any test: the last epoch is taken."""
    return {}


def predict(
    model: LabelModel, test: TestSet, predictions: Path, batch_bins: int, device: str
) -> None:
    """Predict every test utterance and write the table of predictions."""
    read_waveform, batches = read_test(test, batch_bins)
    write_predictions(
        predictions, predict_labels(model, read_waveform, batches, device)
    )


def calibrate(
    options: Mapping[str, Any], dev: Sequence[tuple[TestSet, Path]]
) -> list[float]:
    """Fit a temperature on dev utterances of one language or more."""
    read = [_read(test, predictions, options["classes"]) for test, predictions in dev]
    number = {name: k for k, name in enumerate(options["classes"])}
    truth = [number[name] for reference, _, _ in read for name in reference]
    logs = np.concatenate([logs for _, _, logs in read])
    return [fit_temperature(np.array(truth), logs)]


def score(
    spec: LabelTask,
    options: Mapping[str, Any],
    test: TestSet,
    predictions: Path,
    calibrations: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> Scores:
    """Score a table of predictions against the test list's labels.

    Raises:
        UserError: The table is missing or names other utterances than the list.
    """
    reference, predicted, logs = _read(test, predictions, options["classes"])
    utts = [u.utt for u in test.utterances]

    def score_without(left_out: frozenset[str]) -> Scores:
        kept = [k for k, utt in enumerate(utts) if utt not in left_out]
        return score_labels(
            [reference[k] for k in kept],
            [predicted[k] for k in kept],
            options["classes"],
            spec.metrics,
            logs[kept],
            calibrations,
        )

    return score_in_turn(score_without, test.groups)


def _read(
    test: TestSet, predictions: Path, classes: Sequence[str]
) -> tuple[list[str], list[str], np.ndarray]:
    """Return labels, predicted labels and log-probabilities, in the test's order."""
    found = {p.utt: p for p in read_predictions(predictions)}
    require_same_utterances(predictions, found, test)
    in_order = [found[u.utt] for u in test.utterances]
    probabilities = [[p.probabilities[name] for name in classes] for p in in_order]
    labels = [u.label for u in test.utterances], [p.label for p in in_order]
    return *labels, log_probabilities(np.array(probabilities))
