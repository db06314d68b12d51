"""Speech recognition as an ESPnet task: ESPnet's own, with a HuBERT and CTC.

Data: ``speech`` (``wav.scp``, type ``sound`` or ``kaldi_ark``, 16 kHz) and ``text``
(type ``text``); ``--token_list`` holds the tokens. Parts are chosen by name from those
of ESPnet's task, the frontend ``ssl``, the encoder ``identity`` and the model
``ctc``, which are the defaults.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espnet2_cltm.asr.metrics import ASR_METRICS, metrics_of
from espnet2_cltm.asr.model import CtcModel, IdentityEncoder
from espnet2_cltm.asr.text import normalise
from espnet2_cltm.asr.tokens import BLANK, END, PHONES, TOKEN_TYPES, UNKNOWN
from espnet2_cltm.asr.trainer import AsrTrainer
from espnet2_cltm.errors import UserError, foreign, require_known
from espnet2_cltm.files import read_text
from espnet2_cltm.frontend.families import NAMES
from espnet2_cltm.tasks.adaptation import AdaptingTask, adapt, strategy_choices
from espnet2_cltm.tasks.espnet import asr
from espnet2_cltm.tasks.parts import scale_waveform

# ESPnet builds its parts from these lists; the frontend is there (foreign_imports).
asr.encoder_choices.classes["identity"] = IdentityEncoder
asr.model_choices.classes["ctc"] = CtcModel


class TextPreprocessor:
    """Scale waveforms and turn transcripts into tokens.

    Args:
        espnet: ESPnet's preprocessor.
        normalises: Whether transcripts are brought to their normal form; phones are
            not.
    """

    def __init__(self, espnet: asr.CommonPreprocessor, normalises: bool):
        self.espnet = espnet
        self.normalises = normalises

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return float32 ``speech`` and, where there is a transcript, int64 ``text``.

        Raises:
            UserError: The transcript is empty, or has what is not among the tokens.
        """
        data = {**data, "speech": scale_waveform(data["speech"])}
        if "text" in data:
            text = normalise(data["text"]) if self.normalises else data["text"]
            if not text:
                raise UserError(
                    f"The transcript of utterance {uid} has no letter or number: "
                    "correct it, or take the utterance out."
                )
            known = self.espnet.token_id_converter.token2id
            tokens = self.espnet.tokenizer.text2tokens(text)
            unknown = [token for token in tokens if token not in known]
            if unknown:
                raise UserError(
                    f"The transcript of utterance {uid} has {unknown[0]!r}, which is "
                    "not in --token_list: add it there, or take the utterance out."
                )
            data["text"] = text
        return self.espnet(uid, data)


class AsrTask(AdaptingTask, asr.ASRTask):
    """ESPnet's task of speech recognition, for :class:`.model.CtcModel`."""

    train_command = "asr_train"
    trainer = AsrTrainer
    class_choices_list = [  # noqa: RUF012 (ESPnet's interface)
        *asr.ASRTask.class_choices_list,
        strategy_choices,
    ]

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add ESPnet's arguments for the task, and those for validation."""
        super().add_task_arguments(parser)
        parser.set_defaults(
            frontend=NAMES[0],
            encoder="identity",
            model="ctc",
            normalize=None,
            token_type="char",
        )
        for action in parser._actions:
            if action.dest == "token_list":
                action.nargs = "+"  # a file, or what ESPnet makes of it: the tokens
        group = parser.add_argument_group(description="Validation")
        group.add_argument(
            "--valid_utt2lang",
            default=None,
            help="table of the validation utterances' languages, to report error rates "
            "of each",
        )
        group.add_argument(
            "--checkpoint",
            choices=(*(metric.name for metric in ASR_METRICS), "last"),
            default="last",
            help="epoch whose model an experiment tests: the one with the lowest error "
            "rate on the dev set of the tested language, or the last",
        )

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Return the names of the optional data."""
        return ("text",) if inference else ()

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> TextPreprocessor:
        """Build what turns ESPnet's data into the model's.

        Raises:
            UserError: The list of tokens or the model of pieces cannot be used.
        """
        read_token_list(args)
        with foreign("The tokens cannot be used", "correct --token_list or --bpemodel"):
            espnet = super().build_preprocess_fn(args, train)
        return TextPreprocessor(espnet, args.token_type != PHONES)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> CtcModel:
        """Build ESPnet's model; what CTC adds depends on ``args.seed`` alone.

        Raises:
            UserError: A part cannot be built, or the list of tokens cannot be used.
        """
        require_known("token_type", args.token_type, TOKEN_TYPES)
        known = ["last", *(metric.name for metric in metrics_of(args.token_type))]
        if args.checkpoint not in known:
            raise UserError(
                f"checkpoint: {args.checkpoint} is not a rate of token_type: "
                f"{args.token_type}: give one of {', '.join(known)}."
            )
        read_token_list(args)
        require_known("model", args.model, ("ctc",))  # ESPnet's others write no text
        args.model_conf = {**args.model_conf, "token_type": args.token_type}
        with foreign("The model cannot be built", "correct its configuration"):
            model = super().build_model(args)
        torch.manual_seed(args.seed)
        model.ctc.ctc_lo.reset_parameters()
        return adapt(model, args)


def read_token_list(args: argparse.Namespace) -> None:
    """Put the tokens in the place of the file that ``args.token_list`` names.

    Raises:
        UserError: The file cannot be read, or does not hold a list of tokens.
    """
    tokens, name = args.token_list, "--token_list"
    if not tokens:
        raise UserError(f"{name} is missing: give a file with a token a line.")
    if len(tokens) == 1:
        (name,) = tokens
        lines = read_text(Path(name), "give a file with a token a line").split("\n")
        tokens = [line.rstrip() for line in lines if line.strip()]
    ends = tokens[:2] == [BLANK, UNKNOWN] and tokens[-1] == END and len(tokens) > 3
    if not ends or len({*tokens}) < len(tokens):
        raise UserError(
            f"{name} is not a list of tokens: write {BLANK}, {UNKNOWN}, the tokens, "
            f"each once, and {END}, a line each."
        )
    args.token_list = list(tokens)
