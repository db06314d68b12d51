#!/usr/bin/env python3
r"""Train a speaker model with ESPnet's options, validated by trials.

Example::

    python -m espnet2_cltm.bin.speaker_train --config conf/train_speaker.yaml \
        --train_data_path_and_name_and_type dump/demo/es/train/wav.scp,speech,kaldi_ark \
        --train_data_path_and_name_and_type dump/demo/es/train/utt2spk,spk_labels,text \
        --train_shape_file dump/demo/es/train/utt2num_samples \
        --spk2utt dump/demo/es/train/spk2utt \
        --valid_data_path_and_name_and_type dump/demo/es/dev/wav.scp,speech,kaldi_ark \
        --valid_shape_file dump/demo/es/dev/utt2num_samples \
        --valid_trials exp/demo_speaker_n32/data/speaker/es/dev.trials,es \
        --output_dir exp/speaker_es
"""  # noqa: E501

from functools import partial

from espnet2_cltm.bin.command_line import entry_point
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.tasks.command import run_training

get_parser = SpeakerTask.get_parser

main = entry_point(partial(run_training, SpeakerTask))

if __name__ == "__main__":
    main()
