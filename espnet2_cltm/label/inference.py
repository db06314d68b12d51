"""Predicting genders with a trained model, in batches of similar length.

The command line and the runner use the same batches, and give the same predictions
to the last bit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espnet2_cltm.corpus.datadir import GENDERS
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text
from espnet2_cltm.label.model import GenderModel

HEADER = ("utt", "label", *(f"probability_{gender}" for gender in GENDERS))


@dataclass(frozen=True)
class GenderPrediction:
    """One utterance's prediction.

    Attributes:
        utt: Utterance id.
        label: ``f`` or ``m``, the more probable one; ``f`` in a tie.
        probabilities: Softmax outputs in the order of GENDERS.
    """

    utt: str
    label: str
    probabilities: tuple[float, ...]


@torch.inference_mode()
def predict_gender(
    model: GenderModel,
    read_waveform: Callable[[str], np.ndarray],
    batches: Iterable[Sequence[str]],
    device: str = "cpu",
) -> list[GenderPrediction]:
    """Predict the gender of every utterance.

    Args:
        model: Put into evaluation mode here.
        read_waveform: Gives an utterance's (samples,) float32 waveform in [-1, 1).
        batches: Utterance ids, as :func:`.length_batches` gives them.
        device: Where the model is.

    Returns:
        Predictions sorted by utterance id.
    """
    model.eval()
    predictions = []
    for batch in batches:
        waveforms = [torch.tensor(read_waveform(utt)) for utt in batch]
        lengths = torch.tensor([len(waveform) for waveform in waveforms])
        speech = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        logits = model.logits(speech.to(device), lengths.to(device))
        probabilities = torch.softmax(logits.float(), dim=1).cpu()
        for utt, row in zip(batch, probabilities, strict=True):
            predictions.append(
                GenderPrediction(utt, GENDERS[int(row.argmax())], tuple(row.tolist()))
            )
    return sorted(predictions, key=lambda prediction: prediction.utt)


def write_predictions(
    path: Path | str, predictions: Iterable[GenderPrediction]
) -> None:
    """Write predictions as a table, probabilities in full float32 precision."""
    lines = ["\t".join(HEADER)]
    for prediction in predictions:
        probabilities = "\t".join(f"{p:.9g}" for p in prediction.probabilities)
        lines.append(f"{prediction.utt}\t{prediction.label}\t{probabilities}")
    write_text(path, "\n".join(lines) + "\n")


def read_predictions(path: Path | str) -> list[GenderPrediction]:
    """Read what :func:`write_predictions` wrote.

    Raises:
        UserError: The file is missing or is no such table.
    """
    try:
        header, *lines = Path(path).read_text(encoding="utf-8").splitlines()
        if tuple(header.split("\t")) != HEADER:
            raise ValueError("unknown header")
        predictions = []
        for line in lines:
            utt, label, *probabilities = line.split("\t")
            predictions.append(
                GenderPrediction(utt, label, tuple(map(float, probabilities)))
            )
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): run stage 4 again."
        ) from error
    except ValueError as error:
        raise UserError(
            f"{path} is no table of gender predictions ({error}): delete its run's "
            "directory and run stage 4 again."
        ) from error
    return predictions
