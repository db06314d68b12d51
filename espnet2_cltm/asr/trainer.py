"""ESPnet's trainer with validation by error rates.

The validation utterances are transcribed as in testing. Where ``--valid_utt2lang``
tells their languages, the rates of each are reported as well.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import SubReporter
from espnet2.utils.build_dataclass import build_dataclass
from torch.utils.data import DataLoader

from espnet2_cltm.asr.metrics import count_errors, score_counts
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.tasks.adaptation import AdaptingTrainer
from espnet2_cltm.tasks.espnet import TrainerOptions


@dataclasses.dataclass
class AsrTrainerOptions(TrainerOptions):
    """ESPnet's options, and those of validation.

    Attributes:
        valid_utt2lang: Table of the validation utterances' languages, or None.
    """

    valid_utt2lang: str | None


class AsrTrainer(AdaptingTrainer):
    """Trainer whose validation reports error rates, those of :func:`.metrics_of`.

    Those of a language are ``cer_<lang>`` and so on.
    """

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> AsrTrainerOptions:
        """Build the options."""
        return build_dataclass(AsrTrainerOptions, args)

    @classmethod
    def validate_one_epoch(
        cls,
        model: torch.nn.Module,
        iterator: DataLoader,
        reporter: SubReporter,
        options: AsrTrainerOptions,
        distributed_option: DistributedOption,
    ) -> None:
        """Transcribe the validation utterances and report the error rates.

        Arguments are ESPnet's.

        Raises:
            UserError: An utterance has no language.
        """
        bare: Any = getattr(model, "module", model)
        bare.eval()
        reference: dict[str, str] = {}
        predicted: dict[str, str] = {}
        device = "cuda" if options.ngpu > 0 else "cpu"
        for utts, batch in iterator:
            texts = bare.transcribe(
                batch["speech"].to(device), batch["speech_lengths"].to(device)
            )
            predicted |= dict(zip(utts, texts, strict=True))
            rows = zip(utts, batch["text"], batch["text_lengths"], strict=True)
            reference |= {u: bare.text_of(t[:n].tolist()) for u, t, n in rows}
        if distributed_option.distributed:  # each process has a share of every batch
            parts: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(parts, (reference, predicted))
            for others in parts:
                reference |= others[0]
                predicted |= others[1]
        groups = {"": sorted(reference), **_by_language(reference, options)}
        stats = {}
        for name, utts in groups.items():
            counts = count_errors(
                [reference[u] for u in utts], [predicted[u] for u in utts]
            )
            end = f"_{name}" if name else ""
            for metric, value in score_counts(counts, bare.token_type).metrics.items():
                stats[metric + end] = value
        reporter.register(stats)


def _by_language(
    reference: Mapping[str, str], options: AsrTrainerOptions
) -> dict[str, list[str]]:
    if options.valid_utt2lang is None:
        return {}
    languages = read_table(options.valid_utt2lang)
    groups: dict[str, list[str]] = {}
    for utt in sorted(reference):
        if utt not in languages:
            raise UserError(
                f"{options.valid_utt2lang} has no language of utterance {utt}: add it."
            )
        groups.setdefault(languages[utt], []).append(utt)
    return groups
