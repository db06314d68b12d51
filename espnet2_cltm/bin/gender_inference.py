#!/usr/bin/env python3
"""Predict genders with a trained model: a label and probabilities per utterance."""

import argparse
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from espnet2.train.dataset import ESPnetDataset
from espnet2.utils import config_argparse
from espnet2.utils.types import str2triple_str, str_or_none

from espnet2_cltm.bin.command_line import configure_logging, run_command
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.length_batches import length_batches
from espnet2_cltm.gender.inference import (
    predict_gender,
    write_predictions,
)
from espnet2_cltm.gender.model import GenderModel
from espnet2_cltm.progress import progress
from espnet2_cltm.tasks.gender import GenderPreprocessor, GenderTask


def get_parser() -> argparse.ArgumentParser:
    """Give the options, named as in ESPnet's inference commands."""
    parser = config_argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--log_level", default="INFO", type=str.upper)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--ngpu", type=int, default=0, help="0 for the CPU")
    parser.add_argument(
        "--batch_bins",
        type=int,
        default=480_000,
        help="Most samples in a batch, padding counted",
    )
    parser.add_argument(
        "--data_path_and_name_and_type",
        type=str2triple_str,
        required=True,
        action="append",
        help="wav.scp,speech,kaldi_ark or wav.scp,speech,sound",
    )
    parser.add_argument(
        "--key_file", type=str_or_none, help="Predict only the ids in its first column"
    )
    parser.add_argument(
        "--train_config", required=True, help="config.yaml of the training"
    )
    parser.add_argument(
        "--model_file", required=True, help="Weights, for instance latest.pth"
    )
    return parser


def load_model(train_config: Path | str, model_file: Path | str) -> GenderModel:
    """Build a trained model from what ``gender_train`` wrote.

    Unlike ESPnet's own loading, weights that are missing or left over are an error.

    Args:
        train_config: The training's ``config.yaml``.
        model_file: Weights, for instance ``latest.pth``.

    Raises:
        UserError: A file is missing, or the weights do not fit the configuration.
    """
    for path in (train_config, model_file):
        if not Path(path).is_file():
            raise UserError(
                f"{path} is missing: give the config.yaml and the weights that "
                "gender_train wrote."
            )
    config = yaml.safe_load(Path(train_config).read_text(encoding="utf-8"))
    if not isinstance(config, dict) or "classifier" not in config:
        raise UserError(
            f"{train_config} is not the config.yaml that gender_train wrote beside the "
            "weights: give that file."
        )
    model = GenderTask.build_model(argparse.Namespace(**config))
    try:
        model.load_state_dict(
            torch.load(model_file, map_location="cpu", weights_only=True)
        )
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{model_file} does not hold the weights of the model in {train_config} "
            f"({str(error).splitlines()[-1].strip()}): give the two files of one "
            "training."
        ) from error
    return model


def inference(args: argparse.Namespace) -> None:
    """Predict every utterance and write ``<output_dir>/predictions.tsv``.

    Raises:
        UserError: A file is missing, or an utterance can't be read.
    """
    device = "cuda" if args.ngpu > 0 else "cpu"
    model = load_model(args.train_config, args.model_file).to(device)
    speech = [t for t in args.data_path_and_name_and_type if t[1] == "speech"]
    if not speech:
        raise UserError(
            "--data_path_and_name_and_type names no 'speech': give "
            "wav.scp,speech,sound or wav.scp,speech,kaldi_ark."
        )
    wav_scp = speech[0][0]
    utts = list(read_table(args.key_file or wav_scp))
    missing = set(utts) - read_table(wav_scp).keys()
    if missing:
        raise UserError(
            f"Utterance {min(missing)} of {args.key_file} is not in {wav_scp}: remove "
            "it or give its audio."
        )
    dataset = ESPnetDataset(speech, preprocess=GenderPreprocessor())

    def read_waveform(utt: str) -> np.ndarray:
        try:
            return dataset[utt][1]["speech"]
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"The audio of utterance {utt} in {wav_scp} cannot be read ({error}): "
                "correct its line, or take it out with --key_file."
            ) from error

    num_samples = {
        utt: len(read_waveform(utt))
        for utt in progress(utts, description="Reading lengths", unit="utt")
    }
    batches = length_batches(num_samples, args.batch_bins)
    predictions = predict_gender(
        model, read_waveform, progress(batches, description="Predicting"), device
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
