"""Masked prediction of k-means clusters, HuBERT's pretraining, as an ESPnet task.

Data: ``speech`` (``wav.scp``, 16 kHz), ``target`` (one cluster a frame) and, where
``contrast_weight`` in ``model_conf`` is not 0, ``speaker`` (a number) with
``other_speech`` and ``other_target`` of another utterance of the speaker. Numbers are
of type ``text_int``, everything else is of type ``kaldi_ark``, as
:mod:`espnet2_cltm.bin.hubert_targets` writes it. Where ``grounding_weight`` is not 0,
``--pictures`` names the directory that :mod:`espnet2_cltm.bin.hubert_pictures` makes:
the captions that it lists have batches of their own. Where ``feature_weight`` is not 0,
``segment`` and ``other_segment`` have the phone of each frame.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.iterators.sequence_iter_factory import RawSampler
from espnet2.samplers.abs_sampler import AbsSampler
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.distributed_utils import DistributedOption

from espnet2_cltm.corpus.augmentation import Augmentation
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.crops import (
    CropCollate,
    EpochIterFactory,
    GroupedBatches,
    InTurns,
)
from espnet2_cltm.pretraining.model import MaskedHubert, MaskedPredictionModel
from espnet2_cltm.pretraining.pictures import Captions, read_captions
from espnet2_cltm.tasks.espnet import ClassChoices, Trainer
from espnet2_cltm.tasks.parts import build_part, scale_waveform
from espnet2_cltm.tasks.speech_data import SpeechTask

frontend_choices = ClassChoices(
    name="frontend",
    classes={"hubert": MaskedHubert},
    type_check=MaskedHubert,
    default="hubert",
)
augmentation_choices = ClassChoices(
    name="augmentation",
    classes={"simulated": Augmentation},
    type_check=Augmentation,
    default=None,
    optional=True,
)
model_choices = ClassChoices(
    name="model",
    classes={"masked_prediction": MaskedPredictionModel},
    type_check=AbsESPnetModel,
    default="masked_prediction",
)


class PretrainingPreprocessor:
    """Scales waveforms; targets stay as they are."""

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return float32 ``speech`` and all targets."""
        return {
            name: scale_waveform(value) if name.endswith("speech") else value
            for name, value in data.items()
        }


class PretrainingTask(SpeechTask):
    """ESPnet's task interface for :class:`.pretraining.model.MaskedPredictionModel`."""

    num_optimizers = 1
    train_command = "hubert_pretrain"
    trainer = Trainer
    class_choices_list = [  # noqa: RUF012 (ESPnet's interface)
        frontend_choices,
        augmentation_choices,
        model_choices,
    ]

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add ``--crop_seconds``, ``--num_clusters``, ``--frontend`` and so on."""
        group = parser.add_argument_group(description="Task related")
        group.add_argument(
            "--num_clusters", type=int, default=100, help="number of clusters in target"
        )
        group.add_argument(
            "--crop_seconds",
            type=float,
            default=3.0,
            help="length of the crops; no utterance may be shorter",
        )
        group.add_argument(
            "--batch_groups",
            default=None,
            help="table of utterances with their groups, such as utt2lang: a training "
            "batch then holds utterances of one group",
        )
        group.add_argument(
            "--pictures",
            default=None,
            help="directory of pictures and their captions, for grounding_weight",
        )
        group.add_argument(
            "--caption_seconds",
            type=float,
            default=8.0,
            help="length that captions of pictures are cut to",
        )
        for choices in cls.class_choices_list:
            choices.add_arguments(group)

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> CropCollate:
        """Crop, and in training disturb, the utterances of a batch."""
        return CropCollate(
            crop_seconds=args.crop_seconds,
            seed=args.seed,
            augmentation=build_part(augmentation_choices, args) if train else None,
            moving=train,
            paired=args.model_conf.get("contrast_weight", 0) > 0,
            captions=_captions(args, "train" if train else "dev"),
            caption_seconds=args.caption_seconds,
        )

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> PretrainingPreprocessor:
        """Scale waveforms."""
        return PretrainingPreprocessor()

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that must be given."""
        return ("speech",) if inference else ("speech", "target")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that may be given."""
        return (
            *("speaker", "other_speech", "other_target"),
            *("segment", "other_segment"),
        )

    @classmethod
    def build_iter_factory(
        cls,
        args: argparse.Namespace,
        distributed_option: DistributedOption,
        mode: str,
        kwargs: dict | None = None,
    ) -> AbsIterFactory:
        """Build ESPnet's iterator factory of a phase, which tells draws the epoch.

        Raises:
            UserError: Another kind of iterator is asked for.
        """
        if args.iterator_type != "sequence" or args.valid_iterator_type not in (
            None,
            "sequence",
        ):
            raise UserError(
                "Pretraining crops utterances itself: set iterator_type to sequence."
            )
        factory = super().build_iter_factory(args, distributed_option, mode, kwargs)
        captions = _captions(args, "train" if mode == "train" else "dev")
        groups = args.batch_groups if mode == "train" else None
        if groups or captions:
            utts = [utt for batch in factory.sampler.generate(0) for utt in batch]
            processes = distributed_option.dist_world_size or 1
            size = max(1, args.batch_size // processes)
            factory.sampler = _batches(utts, groups, captions, size, mode == "train")
            factory.shuffle_within_batch = False
        if captions:
            factory.shuffle = False  # of batches, which take turns
        return EpochIterFactory(factory, factory.collate_fn)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> MaskedPredictionModel:
        """Build the model; its new parts depend on ``args.seed`` alone."""
        frontend = build_part(frontend_choices, args)
        captions = _captions(args, "train")
        torch.manual_seed(args.seed)
        return build_part(
            model_choices,
            args,
            hubert=frontend,
            num_clusters=args.num_clusters,
            picture_size=captions.pictures.shape[1] if captions else 0,
        )


def _captions(args: argparse.Namespace, split: str) -> Captions | None:
    """Return the captions of a split; None where training is not grounded."""
    if not args.model_conf.get("grounding_weight", 0) > 0:
        return None
    if not args.pictures:
        raise UserError(
            "grounding_weight in model_conf needs pictures: give --pictures, as "
            "run.sh --grounding_weight does, or set it to 0."
        )
    return read_captions(Path(args.pictures), split)


def _batches(
    utts: Sequence[str],
    groups: str | None,
    captions: Captions | None,
    size: int,
    train: bool,
) -> AbsSampler:
    """Return the batches of utterances of one group each, and those of captions.

    In training they are drawn anew in each epoch, and the two kinds take turns.
    """
    captioned = [utt for utt in utts if captions and utt in captions.picture_of]
    plain = sorted({*utts} - {*captioned})
    group_of = read_table(Path(groups)) if groups else dict.fromkeys(plain, "")
    kinds: list[AbsSampler] = []
    if plain:
        kinds.append(GroupedBatches(plain, group_of, size, groups or ""))
    if captioned:
        one = dict.fromkeys(captioned, "")
        kinds.append(GroupedBatches(captioned, one, size, ""))
    if not train:
        return RawSampler([batch for kind in kinds for batch in kind.generate(0)])
    return kinds[0] if len(kinds) == 1 else InTurns(*kinds)
