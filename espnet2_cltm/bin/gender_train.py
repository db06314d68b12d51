#!/usr/bin/env python3
"""Train a gender model with ESPnet's trainer and options."""

from collections.abc import Sequence

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.label.espnet_task import GenderTask


def get_parser():
    """Give ESPnet's training options plus the gender task's."""
    return GenderTask.get_parser()


def main(cmd: Sequence[str] | None = None) -> None:
    """Train a gender model.

    Example::

        python -m espnet2_cltm.bin.gender_train --config conf/train_gender.yaml \
            --train_data_path_and_name_and_type dump/demo/es/train/wav.scp,speech,kaldi_ark \
            --train_data_path_and_name_and_type dump/demo/es/train/utt2gender,label,text \
            --train_shape_file dump/demo/es/train/utt2num_samples \
            --valid_data_path_and_name_and_type dump/demo/es/dev/wav.scp,speech,kaldi_ark \
            --valid_data_path_and_name_and_type dump/demo/es/dev/utt2gender,label,text \
            --valid_shape_file dump/demo/es/dev/utt2num_samples \
            --output_dir exp/gender_es
    """  # noqa: E501
    run_command(lambda: GenderTask.main(cmd=cmd))


if __name__ == "__main__":
    main()
