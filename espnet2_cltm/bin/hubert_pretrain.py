#!/usr/bin/env python3
r"""Pretrain a HuBERT by masked prediction, with ESPnet's trainer and options.

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

from functools import partial

from espnet2_cltm.bin.command_line import entry_point
from espnet2_cltm.pretraining.espnet_task import PretrainingTask
from espnet2_cltm.tasks.command import run_training

get_parser = PretrainingTask.get_parser

_REMEDY = "run stage 3 or 5 again, which completes the targets, or correct the path"
main = entry_point(partial(run_training, PretrainingTask, remedy=_REMEDY))

if __name__ == "__main__":
    main()
