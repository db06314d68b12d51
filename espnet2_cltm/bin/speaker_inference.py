#!/usr/bin/env python3
"""Embed utterances with a trained speaker model and, given trials, score them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet2.utils.types import str_or_none

from espnet2_cltm.bin.command_line import configure_logging, run_command
from espnet2_cltm.speaker.embedding import embed_utterances
from espnet2_cltm.speaker.embedding_files import write_embeddings
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.speaker.scoring import cosine_scores, write_scores
from espnet2_cltm.speaker.trials import read_trials
from espnet2_cltm.tasks.inference import (
    UtteranceReader,
    add_key_file,
    inference_parser,
    load_chosen_model,
    usable_waveform,
)
from espnet2_cltm.tasks.training import check_device


class Speech2Embedding:
    """Embeds utterances, and scores whether two are of one speaker.

    Example::

        speech2embedding = Speech2Embedding.from_pretrained("exp/<tag>/runs/<run>")
        embedding = speech2embedding(waveform)
        score = speech2embedding.score(waveform, other_waveform)

    Scores are those of the run, but for the last bits: there an utterance shares a
    batch with others.

    Args:
        train_config: A training's ``config.yaml``.
        model_file: Its weights.
        device: ``cpu`` or ``cuda``.
        batch_bins: Most samples in a batch of an utterance's speeds.
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
        batch_bins: int = 480_000,
        *,
        model_tag: Path | str | None = None,
        language: str | None = None,
    ):
        model = load_chosen_model(
            SpeakerTask, train_config, model_file, model_tag, language
        )
        self.model = model.to(device).eval()
        self.device = device
        self.batch_bins = batch_bins

    @classmethod
    def from_pretrained(
        cls, model_tag: Path | str | None = None, **kwargs: Any
    ) -> "Speech2Embedding":
        """Build it from a model that an experiment has kept (``--keep_models``).

        Args:
            model_tag: A run's directory, its ``model.zip``, or the id of a repository
                on the Hugging Face hub that holds one.
            **kwargs: Arguments of the class. A pair's model may hold a checkpoint for
                each of its languages: ``language`` says which.

        Raises:
            UserError: The model is not available.
        """
        return cls(model_tag=model_tag, **kwargs)

    def __call__(self, speech: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Embed an utterance.

        Args:
            speech: (samples,) at 16 kHz, floats in [-1, 1) or 16-bit integers.

        Returns:
            (size,) float32, of length 1, on the CPU.

        Raises:
            UserError: The waveform can't be used.
        """
        waveform = usable_waveform(speech)
        embeddings = embed_utterances(
            self.model,
            {"speech": len(waveform)},
            lambda _: waveform,
            self.batch_bins,
            self.device,
        )
        return torch.from_numpy(embeddings[0])

    def score(
        self, first: np.ndarray | torch.Tensor, second: np.ndarray | torch.Tensor
    ) -> float:
        """Return the cosine of two utterances' embeddings, the higher the more alike.

        Args:
            first: As for calling.
            second: As for calling.

        Raises:
            UserError: A waveform can't be used.
        """
        return float(torch.dot(self(first), self(second)))


def get_parser() -> argparse.ArgumentParser:
    """Return the options, named as in ESPnet's inference commands."""
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
    speech = UtteranceReader(args.data_path_and_name_and_type)
    trials = None if args.trials is None else read_trials(args.trials)
    if trials is None:
        utts = sorted(speech.choose(args.key_file))
    else:
        utts = list(trials.utts)
        speech.require(utts, args.trials)
    speech2embedding = Speech2Embedding.from_pretrained(
        args.model_tag,
        train_config=args.train_config,
        model_file=args.model_file,
        language=args.language,
        device=device,
        batch_bins=args.batch_bins,
    )
    scores = Path(args.output_dir) / "scores"
    scores.unlink(missing_ok=True)
    embeddings = embed_utterances(
        speech2embedding.model,
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
