#!/usr/bin/env python3
r"""Train a speech recogniser with ESPnet's options, validated by error rates.

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

from functools import partial

from espnet2_cltm.asr.espnet_task import AsrTask
from espnet2_cltm.bin.command_line import entry_point
from espnet2_cltm.tasks.command import run_training

get_parser = AsrTask.get_parser

main = entry_point(partial(run_training, AsrTask))

if __name__ == "__main__":
    main()
