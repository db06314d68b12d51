#!/usr/bin/env python3
"""Train a model of a label task with ESPnet's trainer and options."""

import argparse
from collections.abc import Sequence

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.tasks.command import run_training


def get_parser() -> argparse.ArgumentParser:
    """Return ESPnet's training options plus the label task's."""
    return LabelEspnetTask.get_parser()


def main(cmd: Sequence[str] | None = None) -> None:
    """Train a model.

    Example::

        python -m espnet2_cltm.bin.label_train --config conf/train_label.yaml \
            --classes "f m" \
            --train_data_path_and_name_and_type dump/demo/es/train/wav.scp,speech,kaldi_ark \
            --train_data_path_and_name_and_type dump/demo/es/train/utt2gender,label,text \
            --train_shape_file dump/demo/es/train/utt2num_samples \
            --valid_data_path_and_name_and_type dump/demo/es/dev/wav.scp,speech,kaldi_ark \
            --valid_data_path_and_name_and_type dump/demo/es/dev/utt2gender,label,text \
            --valid_shape_file dump/demo/es/dev/utt2num_samples \
            --output_dir exp/gender_es
    """  # noqa: E501
    run_command(lambda: run_training(LabelEspnetTask, cmd))


if __name__ == "__main__":
    main()
