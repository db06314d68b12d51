"""Speaker verification as an ESPnet task.

Data for training: ``speech`` (``wav.scp``, type ``sound`` or ``kaldi_ark``, 16 kHz)
and ``spk_labels`` (``utt2spk``, type ``text``), with ``--spk2utt``; for validation:
``speech``, and one or more Kaldi trial lists with ``--valid_trials``. Parts are chosen
by name from those of ESPnet's speaker task, the frontend ``ssl``, the projector
``linear`` and the losses ``cross_entropy``, ``contrastive`` and ``pair_mlp``.
"""

import argparse
import importlib
from typing import Any

import torch
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2pair_str

from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.frontend.families import NAMES
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.speaker.losses import ContrastiveLoss, CrossEntropy, PairLoss, PairMlp
from espnet2_cltm.speaker.model import EmbeddingSettings, SpeakerModel
from espnet2_cltm.speaker.preprocessor import (
    PairPreprocessor,
    SpeakerPreprocessor,
    read_spk2utt,
)
from espnet2_cltm.speaker.trainer import (
    SpeakerTrainer,
    goes_unvalidated,
    read_valid_trials,
)
from espnet2_cltm.tasks.adaptation import AdaptingTask, adapt, strategy_choices
from espnet2_cltm.tasks.espnet import ClassChoices, spk
from espnet2_cltm.tasks.parts import FRONTENDS, LinearProjector, build_part

frontend_choices = ClassChoices(
    name="frontend",
    classes={**spk.frontend_choices.classes, **FRONTENDS},
    type_check=spk.AbsFrontend,
    default=NAMES[0],
    optional=True,
)
encoder_choices = ClassChoices(
    name="encoder",
    classes=spk.encoder_choices.classes,
    type_check=spk.AbsEncoder,
    default="identity",
)
pooling_choices = ClassChoices(
    name="pooling",
    classes=spk.pooling_choices.classes,
    type_check=spk.AbsPooling,
    default="mean",
)
projector_choices = ClassChoices(
    name="projector",
    classes={**spk.projector_choices.classes, "linear": LinearProjector},
    type_check=spk.AbsProjector,
    default="linear",
    optional=True,
)
preprocessor_choices = ClassChoices(
    name="preprocessor", classes={"spk": SpeakerPreprocessor}, default="spk"
)
loss_choices = ClassChoices(
    name="loss",
    classes={
        **spk.loss_choices.classes,
        "contrastive": ContrastiveLoss,
        "cross_entropy": CrossEntropy,
        "pair_mlp": PairMlp,
    },
    default="aamsoftmax",
)

# ESPnet's batch types that hold ``batch_size`` utterances.
_BATCHES_BY_NUMBER = ("unsorted", "sorted", "folded")


class SpeakerTask(AdaptingTask, spk.SpeakerTask):
    """ESPnet's speaker task, for :class:`espnet2_cltm.speaker.model.SpeakerModel`."""

    train_command = "speaker_train"
    trainer = SpeakerTrainer
    class_choices_list = [  # noqa: RUF012 (ESPnet's interface)
        frontend_choices,
        spk.specaug_choices,
        spk.normalize_choices,
        encoder_choices,
        pooling_choices,
        projector_choices,
        preprocessor_choices,
        loss_choices,
        strategy_choices,
    ]

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add ESPnet's arguments for the task and those for trials and embeddings."""
        super().add_task_arguments(parser)
        group = parser.add_argument_group(description="Trials and embeddings")
        group.add_argument(
            "--valid_trials",
            type=str2pair_str,
            action="append",
            default=[],
            help="Kaldi trial list and a name for it, such as dev/trials,es; several "
            "may be given",
        )
        group.add_argument(
            "--checkpoint",
            choices=("eer", "last"),
            default="eer",
            help="epoch whose model an experiment tests: the one with the lowest EER "
            "on the validation trials of the tested language, or the last",
        )
        group.add_argument(
            "--embedding_conf",
            action=NestedDictAction,
            default={},
            help="source, num_layers, speeds, trim_db, length_multiple",
        )
        group.add_argument(
            "--embedding_batch_bins",
            type=int,
            default=480_000,
            help="most samples in a batch of utterances to embed, padding included",
        )

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Check the validation trials, then train as ESPnet does.

        Raises:
            UserError: The trials cannot be used.
        """
        if not (args.dry_run or args.collect_stats or goes_unvalidated(args)):
            read_valid_trials(args.valid_trials, args.valid_shape_file)
        super().main_worker(args)

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> SpeakerPreprocessor:
        """Build what turns ESPnet's data into the model's.

        Raises:
            UserError: The speakers cannot be read or are more than the model's
                classes, or padded utterances would reach a model that sees padding.
        """
        if not train:
            return SpeakerPreprocessor(train)
        _require_equal_lengths(args)
        if issubclass(loss_choices.classes.get(args.loss, object), PairLoss):
            data = args.train_data_path_and_name_and_type
            preprocessor = _build_preprocessor(PairPreprocessor, args, data=data)
        else:
            preprocessor = _build_preprocessor(SpeakerPreprocessor, args)
        if len(preprocessor.speakers) > args.spk_num:
            raise UserError(
                f"{args.spk2utt} has {len(preprocessor.speakers)} speakers, more than "
                f"spk_num: {args.spk_num}: leave --spk_num out."
            )
        return preprocessor

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Return the names of the required data."""
        return ("speech", "spk_labels") if train else ("speech",)

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Return the names of the optional data."""
        return () if train else ("spk_labels",)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> SpeakerModel:
        """Build the model; what follows the frontend depends on ``args.seed`` alone.

        The number of classes is ``--spk_num``, or else the number of speakers in
        ``--spk2utt``; it is stored in ``args``, so that ``config.yaml`` records it and
        the model can be built again without that file.

        Raises:
            UserError: A part is unknown or cannot be built, or the speakers cannot be
                read.
        """
        if args.spk_num is None:
            args.spk_num = len(read_spk2utt(args.spk2utt))
        frontend = build_part(frontend_choices, args)
        if isinstance(frontend, HubertFrontend):
            frontend.reuses_while_training = not _crops(args)
        torch.manual_seed(args.seed)
        encoder = build_part(
            encoder_choices,
            args,
            input_size=frontend.output_size() if frontend else args.input_size,
        )
        pooling = build_part(pooling_choices, args, input_size=encoder.output_size())
        projector = build_part(
            projector_choices, args, input_size=pooling.output_size()
        )
        embedding = _embedding_settings(args.embedding_conf)
        of_utterance = projector or pooling
        if args.loss == "pair_mlp":  # takes what is tested
            sources = {"hidden_layers": frontend, "pooling": pooling}
            of_utterance = sources.get(embedding.source) or of_utterance
        _check_topk(args)
        loss = build_part(
            loss_choices, args, nout=of_utterance.output_size(), nclasses=args.spk_num
        )
        model = SpeakerModel(
            frontend=frontend,
            specaug=build_part(spk.specaug_choices, args),
            normalize=build_part(spk.normalize_choices, args),
            encoder=encoder,
            pooling=pooling,
            projector=projector,
            loss=loss,
            embedding=embedding,
            autocast=_autocast(args.model_conf),
        )
        return adapt(model, args)


def _check_topk(args: argparse.Namespace) -> None:
    """Refuse more hard negatives than there are wrong classes."""
    k_top = args.loss_conf.get("k_top", 5)
    if args.loss == "aamsoftmax_sc_topk" and k_top >= args.spk_num:
        raise UserError(
            f"loss_conf: k_top: {k_top} must be below the number of speakers, "
            f"{args.spk_num}: lower it."
        )


def _build_preprocessor(
    kind: type[SpeakerPreprocessor], args: argparse.Namespace, **inputs: Any
) -> SpeakerPreprocessor:
    with foreign("preprocessor_conf cannot be used", "correct it"):
        return kind(True, args.spk2utt, **inputs, **args.preprocessor_conf)


def _embedding_settings(conf: dict[str, Any]) -> EmbeddingSettings:
    with foreign("embedding_conf cannot be used", "correct it"):
        settings = EmbeddingSettings(**conf)
        if settings.trim_db is not None:
            # numba behind it needs a place to write to, and fails after training else.
            importlib.import_module("librosa.effects")
    return settings


def _crops(args: argparse.Namespace) -> bool:
    """Return whether training takes random crops of utterances."""
    return bool(args.preprocessor_conf.get("target_duration"))


def _autocast(model_conf: dict[str, Any]) -> str:
    # The latter has no effect here, but ESPnet's recipes give it to every task.
    unknown = model_conf.keys() - {"autocast", "extract_feats_in_collect_stats"}
    if unknown:
        raise UserError(
            f"model_conf has no option {min(unknown)}: give autocast, or leave it out."
        )
    return model_conf.get("autocast", "none")


def _require_equal_lengths(args: argparse.Namespace) -> None:
    """Refuse to train on padding where a part of the model would see it.

    ESPnet's speaker encoders do, and so does the batch norm of attentive pooling.
    """
    hides_padding = (
        args.frontend in FRONTENDS
        and args.encoder == "identity"
        and args.pooling != "chn_attn_stat"
    )
    has_one = args.batch_size == 1 and args.batch_type in _BATCHES_BY_NUMBER
    if not (hides_padding or _crops(args) or has_one):
        raise UserError(
            f"The encoder {args.encoder} with the pooling {args.pooling} would see the "
            "padding of a batch of whole utterances: set preprocessor_conf: "
            "target_duration: 3.0 (seconds), or batch_type: unsorted and batch_size: "
            "1."
        )
