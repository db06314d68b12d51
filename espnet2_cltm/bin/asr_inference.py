#!/usr/bin/env python3
r"""Transcribe speech with a trained model, by CTC's likeliest token of each frame.

Example::

    python -m espnet2_cltm.bin.asr_inference \
        --train_config exp/asr_es/config.yaml --model_file exp/asr_es/latest.pth \
        --data_path_and_name_and_type dump/demo_words/es/test/wav.scp,speech,kaldi_ark \
        --output_dir exp/asr_es/test
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from espnet2_cltm.asr.espnet_task import AsrTask
from espnet2_cltm.asr.inference import transcribe, write_transcripts
from espnet2_cltm.bin.command_line import command
from espnet2_cltm.progress import progress
from espnet2_cltm.tasks.inference import (
    PretrainedModel,
    UtteranceReader,
    add_key_file,
    inference_parser,
    length_batches,
    usable_waveform,
)


class Speech2Text(PretrainedModel):
    """Transcribe one recording after another.

    Example::

        speech2text = Speech2Text.from_pretrained("exp/<tag>/runs/<run>")
        text = speech2text(waveform)  # "corea del sur"
    """

    task = AsrTask

    def __call__(self, speech: np.ndarray | torch.Tensor) -> str:
        """Transcribe a recording.

        Args:
            speech: (samples,) waveform at 16 kHz, floats in [-1, 1) or 16-bit integers.

        Returns:
            The transcript in normal form, which may be empty.

        Raises:
            UserError: The waveform cannot be used.
        """
        waveform = usable_waveform(speech)
        texts = transcribe(self.model, lambda _: waveform, [["speech"]], self.device)
        return texts["speech"]


def get_parser() -> argparse.ArgumentParser:
    """Return the options, named as in ESPnet's inference commands."""
    parser = inference_parser(__doc__)
    add_key_file(parser)
    return parser


def inference(args: argparse.Namespace) -> None:
    """Transcribe every utterance and write ``<output_dir>/text``.

    Raises:
        UserError: A file is missing, or an utterance cannot be read.
    """
    speech = UtteranceReader(args.data_path_and_name_and_type)
    utts = speech.choose(args.key_file)
    speech2text = Speech2Text.from_options(args)
    batches = length_batches(speech.count_samples(utts), args.batch_bins)
    texts = transcribe(
        speech2text.model,
        speech.read,
        progress(batches, description="Transcribing"),
        speech2text.device,
    )
    write_transcripts(Path(args.output_dir) / "text", texts)


main = command(get_parser, inference)

if __name__ == "__main__":
    main()
