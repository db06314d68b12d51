"""Prediction of labels with a trained model, and tables of predictions.

The command line and the runner use the same batches, and make the same predictions to
the last bit.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_rows, read_text, write_rows
from espnet2_cltm.frontend.batches import batch_of
from espnet2_cltm.label.model import LabelModel

_PROBABILITY = "probability_"


@dataclass(frozen=True)
class LabelPrediction:
    """One utterance's prediction.

    Attributes:
        utt: Utterance id.
        label: The most probable class; the first of them in a tie.
        probabilities: Softmax outputs by class, in the model's order.
    """

    utt: str
    label: str
    probabilities: Mapping[str, float]


@torch.inference_mode()
def predict_labels(
    model: LabelModel,
    read_waveform: Callable[[str], np.ndarray],
    batches: Iterable[Sequence[str]],
    device: str = "cpu",
) -> list[LabelPrediction]:
    """Predict the label of every utterance.

    Args:
        model: Label model; it stays in evaluation mode.
        read_waveform: Function from an utterance id to its (samples,) float32 waveform
            in [-1, 1).
        batches: Utterance ids, as :func:`.length_batches` returns them.
        device: Device that the model is on.

    Returns:
        Predictions sorted by utterance id.
    """
    model.eval()
    predictions = []
    for batch in batches:
        logits = model.logits(*batch_of(map(read_waveform, batch), device))
        probabilities = torch.softmax(logits.float(), dim=1).cpu()
        for utt, row in zip(batch, probabilities, strict=True):
            by_class = dict(zip(model.classes, row.tolist(), strict=True))
            label = model.classes[int(row.argmax())]
            predictions.append(LabelPrediction(utt, label, by_class))
    return sorted(predictions, key=lambda prediction: prediction.utt)


def write_predictions(path: Path | str, predictions: Sequence[LabelPrediction]) -> None:
    """Write predictions as a table, probabilities in full float32 precision."""
    classes = list(predictions[0].probabilities) if predictions else []
    rows = [["utt", "label", *(_PROBABILITY + name for name in classes)]]
    for prediction in predictions:
        values = (f"{prediction.probabilities[name]:.9g}" for name in classes)
        rows.append([prediction.utt, prediction.label, *values])
    write_rows(path, rows)


def read_predictions(path: Path | str) -> list[LabelPrediction]:
    """Read what :func:`write_predictions` wrote.

    Raises:
        UserError: The file is missing or is not such a table.
    """
    remedy = "delete its run's directory and run stage 4 again"
    header = read_text(path, remedy).partition("\n")[0].split("\t")
    classes = [name.removeprefix(_PROBABILITY) for name in header[2:]]
    wanted = ["utt", "label", *(_PROBABILITY + name for name in classes)]
    if not classes:
        raise UserError(f"{path} is not a table of predictions: {remedy}.")
    predictions = []
    for utt, label, *values in read_rows(
        path, wanted, "a table of predictions", remedy
    ):
        try:
            by_class = dict(zip(classes, map(float, values), strict=True))
        except ValueError as error:
            raise UserError(
                f"{path} is not a table of predictions ({error}): {remedy}."
            ) from error
        predictions.append(LabelPrediction(utt, label, by_class))
    return predictions
