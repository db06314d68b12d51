#!/usr/bin/env python3
"""Predict genders with a trained model: a label and probabilities per utterance."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import configure_logging, run_command
from espnet2_cltm.experiment.training import check_device
from espnet2_cltm.frontend.length_batches import length_batches
from espnet2_cltm.gender.inference import predict_gender, write_predictions
from espnet2_cltm.progress import progress
from espnet2_cltm.tasks.gender import GenderTask
from espnet2_cltm.tasks.inference import Speech, add_key_file, inference_parser
from espnet2_cltm.tasks.load_model import load_model


def get_parser() -> argparse.ArgumentParser:
    """Give the options, named as in ESPnet's inference commands."""
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
    speech = Speech(args.data_path_and_name_and_type)
    utts = speech.choose(args.key_file)
    model = load_model(GenderTask, args.train_config, args.model_file).to(device)
    batches = length_batches(speech.count_samples(utts), args.batch_bins)
    predictions = predict_gender(
        model, speech.read, progress(batches, description="Predicting"), device
    )
    write_predictions(Path(args.output_dir) / "predictions.tsv", predictions)


def main(cmd: Sequence[str] | None = None) -> None:
    """Predict genders.

    Example::

        python -m espnet2_cltm.bin.gender_inference \
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
