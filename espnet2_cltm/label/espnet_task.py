"""Label tasks as an ESPnet task.

Data: ``speech`` (``wav.scp``, type ``sound`` or ``kaldi_ark``, 16 kHz) and ``label``
(``utt2<label>``, type ``text``); ``--classes`` lists the labels to tell apart. Parts
are chosen by name: ``frontend``, ``pooling``, ``projector``, ``classifier``.
"""

import argparse
from collections.abc import Sequence
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

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.families import NAMES
from espnet2_cltm.label.model import LabelModel, LinearClassifier
from espnet2_cltm.tasks.adaptation import (
    AdaptingTask,
    AdaptingTrainer,
    adapt,
    strategy_choices,
)
from espnet2_cltm.tasks.espnet import ClassChoices, CommonCollateFn
from espnet2_cltm.tasks.parts import (
    FRONTENDS,
    LinearProjector,
    build_part,
    scale_waveform,
)

frontend_choices = ClassChoices(
    name="frontend",
    classes={**FRONTENDS, "default": DefaultFrontend},
    type_check=AbsFrontend,
    default=NAMES[0],
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
    type_check=torch.nn.Module,
    default="linear",
)
model_choices = ClassChoices(
    name="model",
    classes={"label": LabelModel},
    type_check=AbsESPnetModel,
    default="label",
)


class LabelPreprocessor:
    """Scale waveforms and turn labels into class indices.

    Args:
        classes: Classes in the order of the model's outputs.
    """

    def __init__(self, classes: Sequence[str]):
        self.classes = list(classes)

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return float32 ``speech`` and, where there is a label, int64 ``label`` (1,).

        Raises:
            UserError: The label is not one of the classes.
        """
        ready = {"speech": scale_waveform(data["speech"])}
        if "label" in data:
            if data["label"] not in self.classes:
                raise UserError(
                    f"Utterance {uid} is labelled {data['label']!r}, which is not one "
                    f"of --classes: write {' or '.join(self.classes)} in the table of "
                    "labels, or add the class."
                )
            index = self.classes.index(data["label"])
            ready["label"] = np.array([index], dtype=np.int64)
        return ready


class LabelEspnetTask(AdaptingTask):
    """ESPnet's task interface for :class:`espnet2_cltm.label.model.LabelModel`."""

    num_optimizers = 1
    train_command = "label_train"
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
        """Add ``--classes``, ``--frontend``, ``--frontend_conf`` and so on."""
        super().add_task_arguments(parser)
        group = parser.add_argument_group(description="Task related")
        group.add_argument(
            "--classes",
            type=str,
            default="",
            help="labels to tell apart, separated by spaces, in the order of the "
            "outputs",
        )
        for choices in cls.class_choices_list:
            choices.add_arguments(group)

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> CommonCollateFn:
        """Pad a batch with zeros."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> LabelPreprocessor:
        """Scale waveforms and encode labels."""
        return LabelPreprocessor(args.classes.split())

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Return the names of the required data."""
        return ("speech",) if inference else ("speech", "label")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Return the names of the optional data."""
        return ("label",) if inference else ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> LabelModel:
        """Build the model; the head's weights depend on ``args.seed`` alone.

        The generator is seeded again after the frontend is built, so that the same
        seed gives the same head whatever the frontend has drawn.

        Raises:
            UserError: ``--classes`` lists fewer than two, or a part cannot be built.
        """
        classes = args.classes.split()
        if len(set(classes)) < max(2, len(classes)):
            raise UserError(
                f"--classes '{args.classes}' must list two or more different labels, "
                "separated by spaces, such as 'f m'."
            )
        frontend = build_part(frontend_choices, args)
        torch.manual_seed(args.seed)
        pooling = build_part(pooling_choices, args, input_size=frontend.output_size())
        projector = build_part(
            projector_choices, args, input_size=pooling.output_size()
        )
        classifier = build_part(
            classifier_choices,
            args,
            input_size=projector.output_size(),
            n_classes=len(classes),
        )
        model = build_part(
            model_choices,
            args,
            frontend=frontend,
            pooling=pooling,
            projector=projector,
            classifier=classifier,
            classes=classes,
        )
        return adapt(model, args)
