#!/usr/bin/env python3
"""Predict labels with a trained model: a label and probabilities per utterance."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espnet2_cltm.bin.command_line import configure_logging, run_command
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.label.inference import predict_labels, write_predictions
from espnet2_cltm.progress import progress
from espnet2_cltm.tasks.inference import (
    UtteranceReader,
    add_key_file,
    inference_parser,
    length_batches,
    load_chosen_model,
    usable_waveform,
)
from espnet2_cltm.tasks.training import check_device


class Speech2Label:
    """Predicts the label of one recording after another.

    Example::

        speech2label = Speech2Label.from_pretrained("exp/<tag>/runs/<run>")
        label, probabilities = speech2label(waveform)  # "f", {"f": 0.9, "m": 0.1}

    Predictions are those of the run, but for the last bits: there an utterance shares
    a batch with others.

    Args:
        train_config: A training's ``config.yaml``.
        model_file: Its weights.
        device: ``cpu`` or ``cuda``.
        model_tag: In place of both files; see :meth:`from_pretrained`.
        language: With ``model_tag``: whose checkpoint, where there are several.

    Raises:
        UserError: The model is not available.
    """

    def __init__(
        self,
        train_config: Path | str | None = None,
        model_file: Path | str | None = None,
        device: str = "cpu",
        *,
        model_tag: Path | str | None = None,
        language: str | None = None,
    ):
        model = load_chosen_model(
            LabelEspnetTask, train_config, model_file, model_tag, language
        )
        self.model = model.to(device).eval()
        self.device = device

    @classmethod
    def from_pretrained(
        cls, model_tag: Path | str | None = None, **kwargs: Any
    ) -> "Speech2Label":
        """Build it from a model that an experiment has kept (``--keep_models``).

        Args:
            model_tag: A run's directory, its ``model.zip``, or the id of a repository
                on the Hugging Face hub that holds one.
            **kwargs: Arguments of the class.

        Raises:
            UserError: The model is not available.
        """
        return cls(model_tag=model_tag, **kwargs)

    def __call__(
        self, speech: np.ndarray | torch.Tensor
    ) -> tuple[str, dict[str, float]]:
        """Predict the label of a recording.

        Args:
            speech: (samples,) at 16 kHz, floats in [-1, 1) or 16-bit integers.

        Returns:
            The most probable class, and the probability of each.

        Raises:
            UserError: The waveform can't be used.
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
        UserError: A file is missing, or an utterance can't be read.
    """
    check_device(args.ngpu)
    device = "cuda" if args.ngpu > 0 else "cpu"
    speech = UtteranceReader(args.data_path_and_name_and_type)
    utts = speech.choose(args.key_file)
    speech2label = Speech2Label.from_pretrained(
        args.model_tag,
        train_config=args.train_config,
        model_file=args.model_file,
        language=args.language,
        device=device,
    )
    batches = length_batches(speech.count_samples(utts), args.batch_bins)
    predictions = predict_labels(
        speech2label.model,
        speech.read,
        progress(batches, description="Predicting"),
        device,
    )
    write_predictions(Path(args.output_dir) / "predictions.tsv", predictions)


def main(cmd: Sequence[str] | None = None) -> None:
    """Predict labels.

    Example::

        python -m espnet2_cltm.bin.label_inference \
            --train_config exp/gender_es/config.yaml \
            --model_file exp/gender_es/latest.pth \
            --data_path_and_name_and_type dump/demo/es/test/wav.scp,speech,kaldi_ark \
            --output_dir exp/gender_es/test
    """
    args = get_parser().parse_args(cmd)
    configure_logging(args.log_level)
    run_command(lambda: inference(args))


if __name__ == "__main__":
    main()
