"""Gender identification as an ESPnet task.

Data: ``speech`` (``wav.scp``, type ``sound`` or ``kaldi_ark``, 16 kHz) and
``label`` (``utt2gender``, type ``text``, ``f`` or ``m``). The parts are chosen by
name: ``frontend``, ``pooling``, ``projector``, ``classifier``.
"""

import espnet2_cltm.tasks  # noqa: F401 (prepares ESPnet's import)

# isort: split
import argparse
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.asr.frontend.default import DefaultFrontend
from espnet2.spk.pooling.abs_pooling import AbsPooling
from espnet2.spk.pooling.mean_pooling import MeanPooling
from espnet2.spk.pooling.stat_pooling import StatsPooling
from espnet2.spk.projector.abs_projector import AbsProjector
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.class_choices import ClassChoices
from espnet2.train.collate_fn import CommonCollateFn

from espnet2_cltm.corpus.datadir import GENDERS
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.label.classifier import AbsGenderClassifier, LinearClassifier
from espnet2_cltm.label.model import GenderModel
from espnet2_cltm.tasks.adaptation import (
    AdaptingTask,
    AdaptingTrainer,
    adapt,
    strategy_choices,
)
from espnet2_cltm.tasks.linear_projector import LinearProjector
from espnet2_cltm.tasks.parts import build_part
from espnet2_cltm.tasks.waveform import scale_waveform

frontend_choices = ClassChoices(
    name="frontend",
    classes={"hubert": HubertFrontend, "default": DefaultFrontend},
    type_check=AbsFrontend,
    default="hubert",
)
pooling_choices = ClassChoices(
    name="pooling",
    classes={"mean": MeanPooling, "stats": StatsPooling},
    type_check=AbsPooling,
    default="mean",
)
projector_choices = ClassChoices(
    name="projector",
    classes={"linear": LinearProjector},
    type_check=AbsProjector,
    default="linear",
)
classifier_choices = ClassChoices(
    name="classifier",
    classes={"linear": LinearClassifier},
    type_check=AbsGenderClassifier,
    default="linear",
)
model_choices = ClassChoices(
    name="model",
    classes={"gender": GenderModel},
    type_check=AbsESPnetModel,
    default="gender",
)


class GenderPreprocessor:
    """Scales waveforms and turns ``f`` and ``m`` into class indices."""

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Give float32 ``speech`` and, where there is a label, int64 ``label`` (1,).

        Raises:
            UserError: The label is neither ``f`` nor ``m``.
        """
        ready = {"speech": scale_waveform(data["speech"])}
        if "label" in data:
            if data["label"] not in GENDERS:
                raise UserError(
                    f"Utterance {uid} is labelled {data['label']!r}: write f or m in "
                    "its utt2gender."
                )
            ready["label"] = np.array([GENDERS.index(data["label"])], dtype=np.int64)
        return ready


class GenderTask(AdaptingTask):
    """ESPnet's task interface for :class:`espnet2_cltm.label.model.GenderModel`."""

    num_optimizers = 1
    train_command = "gender_train"
    trainer = AdaptingTrainer
    class_choices_list = [  # noqa: RUF012 (ESPnet's interface)
        frontend_choices,
        pooling_choices,
        projector_choices,
        classifier_choices,
        model_choices,
        strategy_choices,
    ]

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add ``--frontend``, ``--frontend_conf`` and so on."""
        group = parser.add_argument_group(description="Task related")
        for choices in cls.class_choices_list:
            choices.add_arguments(group)

    @classmethod
    def build_collate_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Callable[
        [Collection[tuple[str, dict[str, np.ndarray]]]],
        tuple[list[str], dict[str, torch.Tensor]],
    ]:
        """Pad a batch with zeros."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Callable[[str, dict[str, Any]], dict[str, np.ndarray]]:
        """Scale waveforms and encode labels."""
        return GenderPreprocessor()

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that must be given."""
        return ("speech",) if inference else ("speech", "label")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that may be given."""
        return ("label",) if inference else ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> GenderModel:
        """Build the model; the head's weights depend on ``args.seed`` alone.

        The generator is seeded again once the frontend stands, so that the same
        seed gives the same head whatever the frontend drew.
        """
        frontend = build_part(frontend_choices, args)
        torch.manual_seed(args.seed)
        pooling = build_part(pooling_choices, args, input_size=frontend.output_size())
        projector = build_part(
            projector_choices, args, input_size=pooling.output_size()
        )
        classifier = build_part(
            classifier_choices, args, input_size=projector.output_size()
        )
        model = build_part(
            model_choices,
            args,
            frontend=frontend,
            pooling=pooling,
            projector=projector,
            classifier=classifier,
        )
        return adapt(model, args)
