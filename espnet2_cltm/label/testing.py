"""Gender identification in stage 4: ESPnet's data, predictions, and scores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    espnet_data_options,
    write_espnet_data,
)
from espnet2_cltm.corpus.waveform_cache import WaveformCache
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.test_set import TestSet
from espnet2_cltm.frontend.frozen_states import keep_frozen_states
from espnet2_cltm.frontend.length_batches import length_batches
from espnet2_cltm.label.espnet_task import GenderTask
from espnet2_cltm.label.inference import (
    predict_gender,
    read_predictions,
    write_predictions,
)
from espnet2_cltm.label.metrics import score_gender
from espnet2_cltm.label.model import GenderModel
from espnet2_cltm.tasks.training import Criterion

ESPNET_TASK = GenderTask
PREDICTIONS_SUFFIX = ".tsv"
OPTIONS_WITHOUT_DATA: dict[str, Any] = {}
"""What the task's parser must be told to build a model before there is data."""

_waveforms = WaveformCache(0)


def cache_audio(max_bytes: int) -> None:
    """Keep test waveforms, and what the encoder's frozen part gives, in memory.

    Args:
        max_bytes: Most bytes of waveforms, and as many of frozen states.
    """
    global _waveforms
    _waveforms = WaveformCache(max_bytes)
    keep_frozen_states(max_bytes)


def write_training_data(
    run_dir: Path,
    train: Sequence[ListedUtterance],
    dev: Sequence[TestSet],
    batch_bins: int,
) -> dict[str, Any]:
    """Write ESPnet's data files and give the options that name them.

    Args:
        run_dir: Where the run is.
        train: Training utterances, in order.
        dev: Validation sets of the run's languages.
        batch_bins: Unused: validation is not part of a run.
    """
    labels = ("label", "label")
    valid = [utterance for part in dev for utterance in part.utterances]
    write_espnet_data(run_dir / "train", train, labels[0])
    write_espnet_data(run_dir / "valid", valid, labels[0])
    return {
        **espnet_data_options(run_dir / "train", "train", labels),
        **espnet_data_options(run_dir / "valid", "valid", labels),
    }


def criteria(
    config: Mapping[str, Any], languages: Sequence[str], tests: Sequence[str]
) -> dict[str, Criterion]:
    """Name what chooses the epoch for each test: nothing, the last is taken."""
    return {}


def predict(
    model: GenderModel,
    test: TestSet,
    predictions: Path,
    batch_bins: int,
    device: str,
) -> None:
    """Predict every test utterance and write the table of predictions.

    Args:
        model: A trained model.
        test: The test set.
        predictions: The table to write.
        batch_bins: Most samples in a batch.
        device: ``cpu`` or ``cuda``.
    """
    audio = {u.utt: u.audio for u in test.utterances}
    batches = length_batches(
        {u.utt: u.num_samples for u in test.utterances}, batch_bins
    )

    def read_waveform(utt: str) -> np.ndarray:
        (waveform,) = _waveforms.get(audio[utt], lambda: [load_audio(audio[utt])])
        return waveform

    write_predictions(
        predictions, predict_gender(model, read_waveform, batches, device)
    )


def score(test: TestSet, predictions: Path) -> dict[str, Any]:
    """Score a table of predictions against the test list's labels.

    Returns:
        ``n_test`` and the metrics of :class:`GenderScores` by name.

    Raises:
        UserError: The table is missing or names other utterances than the list.
    """
    hypothesis = {p.utt: p.label for p in read_predictions(predictions)}
    reference = {u.utt: u.label for u in test.utterances}
    if hypothesis.keys() != reference.keys():
        odd = min(hypothesis.keys() ^ reference.keys())
        raise UserError(
            f"{predictions} and its test list differ, first in utterance {odd}: "
            "delete the run's directory and run stage 4 again."
        )
    utts = sorted(reference)
    return asdict(
        score_gender([reference[u] for u in utts], [hypothesis[u] for u in utts])
    )
