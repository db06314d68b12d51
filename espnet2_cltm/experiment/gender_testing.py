"""Gender identification in stage 4: from a trained model to predictions and scores."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.utterance_list import ListedUtterance
from espnet2_cltm.gender.inference import (
    length_batches,
    predict_gender,
    read_predictions,
    write_predictions,
)
from espnet2_cltm.gender.metrics import score_gender
from espnet2_cltm.gender.model import GenderModel
from espnet2_cltm.tasks.gender import GenderTask

ESPNET_TASK = GenderTask


def predict(
    model: GenderModel,
    test: Sequence[ListedUtterance],
    predictions: Path,
    batch_bins: int,
    device: str,
) -> None:
    """Predict every test utterance and write the table of predictions.

    Args:
        model: A trained model.
        test: The language's test list.
        predictions: The table to write.
        batch_bins: Most samples in a batch.
        device: ``cpu`` or ``cuda``.
    """
    audio = {u.utt: u.audio for u in test}
    batches = length_batches({u.utt: u.num_samples for u in test}, batch_bins)
    write_predictions(
        predictions,
        predict_gender(model, lambda utt: load_audio(audio[utt]), batches, device),
    )


def score(test: Sequence[ListedUtterance], predictions: Path) -> dict[str, Any]:
    """Score a table of predictions against the test list's labels.

    Returns:
        ``n_test`` and the metrics of :class:`GenderScores` by name.

    Raises:
        UserError: The table is missing or names other utterances than the list.
    """
    hypothesis = {p.utt: p.label for p in read_predictions(predictions)}
    reference = {u.utt: u.label for u in test}
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
