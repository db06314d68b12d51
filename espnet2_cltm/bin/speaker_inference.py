#!/usr/bin/env python3
"""Embed utterances with a trained speaker model and, given trials, score them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.types import str_or_none

from espnet2_cltm.bin.command_line import configure_logging, run_command
from espnet2_cltm.experiment.training import check_device
from espnet2_cltm.speaker.embedding import embed_utterances
from espnet2_cltm.speaker.embedding_files import write_embeddings
from espnet2_cltm.speaker.scoring import cosine_scores, write_scores
from espnet2_cltm.speaker.trials import read_trials
from espnet2_cltm.tasks.inference import Speech, add_key_file, inference_parser
from espnet2_cltm.tasks.load_model import load_model
from espnet2_cltm.tasks.speaker import SpeakerTask


def get_parser() -> argparse.ArgumentParser:
    """Give the options, named as in ESPnet's inference commands."""
    parser = inference_parser(__doc__)
    group = parser.add_mutually_exclusive_group()
    add_key_file(group)
    group.add_argument(
        "--trials",
        type=str_or_none,
        help="Kaldi trial list to score; only the utterances that it names are "
        "embedded, each once",
    )
    return parser


def inference(args: argparse.Namespace) -> None:
    """Write embeddings and, with ``--trials``, ``<output_dir>/scores``.

    Raises:
        UserError: A file is missing, or an utterance can't be read.
    """
    check_device(args.ngpu)
    device = "cuda" if args.ngpu > 0 else "cpu"
    speech = Speech(args.data_path_and_name_and_type)
    trials = None if args.trials is None else read_trials(args.trials)
    if trials is None:
        utts = sorted(speech.choose(args.key_file))
    else:
        utts = list(trials.utts)
        speech.require(utts, args.trials)
    model = load_model(SpeakerTask, args.train_config, args.model_file).to(device)
    scores = Path(args.output_dir) / "scores"
    scores.unlink(missing_ok=True)
    embeddings = embed_utterances(
        model,
        speech.count_samples(utts),
        speech.read_with_progress(utts, "Embedding"),
        args.batch_bins,
        device,
    )
    write_embeddings(args.output_dir, utts, embeddings)
    if trials is not None:
        write_scores(scores, trials, cosine_scores(embeddings, trials))


def main(cmd: Sequence[str] | None = None) -> None:
    """Embed utterances, and score trials.

    Example::

        python -m espnet2_cltm.bin.speaker_inference \
            --train_config exp/speaker_es/config.yaml \
            --model_file exp/speaker_es/valid.eer.best.pth \
            --data_path_and_name_and_type dump/demo/es/test/wav.scp,speech,kaldi_ark \
            --trials exp/demo_speaker_n16/data/speaker/es/test.trials \
            --output_dir exp/speaker_es/test
        python -m espnet2_cltm.bin.speaker_score \
            --trials exp/demo_speaker_n16/data/speaker/es/test.trials \
            --scores exp/speaker_es/test/scores
    """
    args = get_parser().parse_args(cmd)
    configure_logging(args.log_level)
    run_command(lambda: inference(args))


if __name__ == "__main__":
    main()
