#!/usr/bin/env python3
r"""Predict a label, and a probability for each class, with a trained model.

Example::

    python -m espnet2_cltm.bin.label_inference \
        --train_config exp/gender_es/config.yaml \
        --model_file exp/gender_es/latest.pth \
        --data_path_and_name_and_type dump/demo/es/test/wav.scp,speech,kaldi_ark \
        --output_dir exp/gender_es/test
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.label.inference import predict_labels, write_predictions
from espnet2_cltm.progress import progress
from espnet2_cltm.tasks.inference import (
    PretrainedModel,
    UtteranceReader,
    add_key_file,
    inference_parser,
    length_batches,
    usable_waveform,
)


class Speech2Label(PretrainedModel):
    """Predict the label of one recording after another.

    Example::

        speech2label = Speech2Label.from_pretrained("exp/<tag>/runs/<run>")
        label, probabilities = speech2label(waveform)  # "f", {"f": 0.9, "m": 0.1}

    Predictions equal those of the run except in the last bits, as an utterance shares
    a batch with others there.
    """

    task = LabelEspnetTask

    def __call__(
        self, speech: np.ndarray | torch.Tensor
    ) -> tuple[str, dict[str, float]]:
        """Predict the label of a recording.

        Args:
            speech: (samples,) waveform at 16 kHz, floats in [-1, 1) or 16-bit integers.

        Returns:
            The most probable class, and the probability of each class.

        Raises:
            UserError: The waveform cannot be used.
        """
        waveform = usable_waveform(speech)
        (predicted,) = predict_labels(
            self.model, lambda _: waveform, [["speech"]], self.device
        )
        return predicted.label, dict(predicted.probabilities)


def get_parser() -> argparse.ArgumentParser:
    """Return the options, named as in ESPnet's inference commands."""
    parser = inference_parser(__doc__)
    add_key_file(parser)
    return parser


def inference(args: argparse.Namespace) -> None:
    """Predict every utterance and write ``<output_dir>/predictions.tsv``.

    Raises:
        UserError: A file is missing, or an utterance cannot be read.
    """
    speech = UtteranceReader(args.data_path_and_name_and_type)
    utts = speech.choose(args.key_file)
    speech2label = Speech2Label.from_options(args)
    batches = length_batches(speech.count_samples(utts), args.batch_bins)
    predictions = predict_labels(
        speech2label.model,
        speech.read,
        progress(batches, description="Predicting"),
        speech2label.device,
    )
    write_predictions(Path(args.output_dir) / "predictions.tsv", predictions)


main = command(get_parser, inference)

if __name__ == "__main__":
    main()
