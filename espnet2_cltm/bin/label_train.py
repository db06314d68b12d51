#!/usr/bin/env python3
r"""Train a model of a label task with ESPnet's trainer and options.

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

from functools import partial

from espnet2_cltm.bin.command_line import entry_point
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.tasks.command import run_training

get_parser = LabelEspnetTask.get_parser

main = entry_point(partial(run_training, LabelEspnetTask))

if __name__ == "__main__":
    main()
