#!/usr/bin/env python3
r"""Embed utterances with a trained speaker model and, given trials, score them.

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

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet2.utils.types import str_or_none

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.speaker.embedding import (
    embed_utterances,
    score_pairs,
    write_embeddings,
)
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.speaker.trials import TrialList, read_trials, write_scores
from espnet2_cltm.tasks.inference import (
    PretrainedModel,
    UtteranceReader,
    add_key_file,
    inference_parser,
    usable_waveform,
)


class Speech2Embedding(PretrainedModel):
    """Embed utterances, and score whether two are by one speaker.

    Example::

        speech2embedding = Speech2Embedding.from_pretrained("exp/<tag>/runs/<run>")
        embedding = speech2embedding(waveform)
        score = speech2embedding.score(waveform, other_waveform)

    Scores equal those of the run except in the last bits, as an utterance shares a
    batch with others there.

    Args:
        *args: Arguments of :class:`.PretrainedModel`. A pair's model may hold a
            checkpoint for each of its languages, of which ``language`` chooses one.
        batch_bins: Most samples in a batch of an utterance's speeds.
        **kwargs: Arguments of :class:`.PretrainedModel`.

    Raises:
        UserError: The model is not available.
    """

    task = SpeakerTask

    def __init__(self, *args: Any, batch_bins: int = 480_000, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.batch_bins = batch_bins

    def __call__(self, speech: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Embed an utterance.

        Args:
            speech: (samples,) waveform at 16 kHz, floats in [-1, 1) or 16-bit integers.

        Returns:
            (size,) float32 unit vector on the CPU.

        Raises:
            UserError: The waveform cannot be used.
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
        """Return the score of two utterances, higher for one speaker.

        It is the cosine of their embeddings, or what the model's own scorer gives.

        Args:
            first: Waveform, in the form that a call takes.
            second: Waveform, likewise.

        Raises:
            UserError: A waveform cannot be used.
        """
        trial = TrialList(("1", "2"), np.array([0]), np.array([1]), np.array([True]))
        embeddings = torch.stack([self(first), self(second)]).numpy()
        return float(score_pairs(self.model, embeddings, trial)[0])


def get_parser() -> argparse.ArgumentParser:
    """Return the options, named as in ESPnet's inference commands."""
    parser = inference_parser(__doc__)
    group = parser.add_mutually_exclusive_group()
    add_key_file(group)
    group.add_argument(
        "--trials",
        type=str_or_none,
        help="Kaldi trial list to score; only the utterances in it are embedded, each "
        "once",
    )
    return parser


def inference(args: argparse.Namespace) -> None:
    """Write embeddings and, with ``--trials``, ``<output_dir>/scores``.

    Raises:
        UserError: A file is missing, or an utterance cannot be read.
    """
    speech = UtteranceReader(args.data_path_and_name_and_type)
    trials = None if args.trials is None else read_trials(args.trials)
    if trials is None:
        utts = sorted(speech.choose(args.key_file))
    else:
        utts = list(trials.utts)
        speech.require(utts, args.trials)
    speech2embedding = Speech2Embedding.from_options(args)
    scores = Path(args.output_dir) / "scores"
    scores.unlink(missing_ok=True)
    embeddings = embed_utterances(
        speech2embedding.model,
        speech.count_samples(utts),
        speech.read_with_progress(utts, "Embedding"),
        args.batch_bins,
        speech2embedding.device,
    )
    write_embeddings(args.output_dir, utts, embeddings)
    if trials is not None:
        write_scores(
            scores, trials, score_pairs(speech2embedding.model, embeddings, trials)
        )


main = command(get_parser, inference)

if __name__ == "__main__":
    main()
