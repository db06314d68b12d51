#!/usr/bin/env python3
"""Train a speaker model with ESPnet's options, validated by trials."""

from collections.abc import Sequence

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.tasks.command import run_training


def get_parser():
    """Return ESPnet's training options plus the speaker task's."""
    return SpeakerTask.get_parser()


def main(cmd: Sequence[str] | None = None) -> None:
    """Train a speaker model.

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
    run_command(lambda: run_training(SpeakerTask, cmd))


if __name__ == "__main__":
    main()
