#!/usr/bin/env python3
"""Train a speech recogniser with ESPnet's options, validated by error rates."""

import argparse
from collections.abc import Sequence

from espnet2_cltm.asr.espnet_task import AsrTask
from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.tasks.command import run_training


def get_parser() -> argparse.ArgumentParser:
    """Return ESPnet's options of speech recognition, and those of validation."""
    return AsrTask.get_parser()


def main(cmd: Sequence[str] | None = None) -> None:
    """Train a recogniser.

    Example::

        python -m espnet2_cltm.bin.asr_train --config conf/train_asr.yaml \
            --token_list tokens.txt \
            --train_data_path_and_name_and_type dump/demo_words/es/train/wav.scp,speech,kaldi_ark \
            --train_data_path_and_name_and_type dump/demo_words/es/train/text,text,text \
            --train_shape_file dump/demo_words/es/train/utt2num_samples \
            --valid_data_path_and_name_and_type dump/demo_words/es/dev/wav.scp,speech,kaldi_ark \
            --valid_data_path_and_name_and_type dump/demo_words/es/dev/text,text,text \
            --valid_shape_file dump/demo_words/es/dev/utt2num_samples \
            --output_dir exp/asr_es
    """  # noqa: E501
    run_command(lambda: run_training(AsrTask, cmd))


if __name__ == "__main__":
    main()
