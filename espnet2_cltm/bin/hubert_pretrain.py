#!/usr/bin/env python3
"""Pretrain a HuBERT by masked prediction, with ESPnet's trainer and options."""

import argparse
from collections.abc import Sequence

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.pretraining.espnet_task import PretrainingTask
from espnet2_cltm.tasks.command import run_training


def get_parser() -> argparse.ArgumentParser:
    """Return ESPnet's training options plus the pretraining task's."""
    return PretrainingTask.get_parser()


def main(cmd: Sequence[str] | None = None) -> None:
    """Pretrain a HuBERT.

    Example::

        python -m espnet2_cltm.bin.hubert_pretrain --config conf/train_ssl.yaml \
            --num_clusters 100 \
            --train_data_path_and_name_and_type exp/targets/train/wav.scp,speech,kaldi_ark \
            --train_data_path_and_name_and_type exp/targets/train/target.scp,target,kaldi_ark \
            --train_shape_file exp/targets/train/utt2num_samples \
            --valid_data_path_and_name_and_type exp/targets/dev/wav.scp,speech,kaldi_ark \
            --valid_data_path_and_name_and_type exp/targets/dev/target.scp,target,kaldi_ark \
            --valid_shape_file exp/targets/dev/utt2num_samples \
            --output_dir exp/hubert
    """  # noqa: E501
    run_command(lambda: run_training(PretrainingTask, cmd))


if __name__ == "__main__":
    main()
