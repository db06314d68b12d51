"""ESPnet's trainer with validation by the EER of trials.

A closed-set loss says little about speakers outside the training data, so every epoch
is validated on trials between such speakers, one list per language. Each utterance is
embedded once, as in testing, however many trials name it.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import SubReporter
from espnet2.utils.build_dataclass import build_dataclass
from torch.utils.data import DataLoader

from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.embedding import embed_utterances, score_pairs
from espnet2_cltm.speaker.metrics import score_trials
from espnet2_cltm.speaker.trials import TrialList, read_trials
from espnet2_cltm.tasks.adaptation import AdaptingTrainer
from espnet2_cltm.tasks.espnet import TrainerOptions
from espnet2_cltm.tasks.parts import scale_waveform


@dataclasses.dataclass
class SpeakerTrainerOptions(TrainerOptions):
    """ESPnet's options, and those of validation by trials.

    Attributes:
        valid_trials: (path, name) pairs of Kaldi trial lists.
        valid_shape_file: Files of the validation utterances' lengths in samples; the
            first is read.
        embedding_batch_bins: Most samples in a batch.
        checkpoint: ``eer``, or ``last``, which needs no trials.
    """

    valid_trials: Sequence[tuple[str, str]]
    valid_shape_file: Sequence[str]
    embedding_batch_bins: int
    checkpoint: str


class SpeakerTrainer(AdaptingTrainer):
    """Trainer whose validation reports ``eer``, ``eer_<name>`` and ``auc_<name>``.

    ``eer`` is the mean over the trial lists.
    """

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> SpeakerTrainerOptions:
        """Build the options."""
        return build_dataclass(SpeakerTrainerOptions, args)

    @classmethod
    def validate_one_epoch(
        cls,
        model: torch.nn.Module,
        iterator: DataLoader,
        reporter: SubReporter,
        options: SpeakerTrainerOptions,
        distributed_option: DistributedOption,
    ) -> None:
        """Score every trial list and report the EER of each.

        Arguments are ESPnet's.

        Raises:
            UserError: See :func:`read_valid_trials`; or a score is not finite.
        """
        if goes_unvalidated(options):
            return
        num_samples = _num_samples(options.valid_shape_file)
        # Of other data, such as spk_labels, one process of several has a share alone.
        dataset: Any = iterator.dataset
        speech = dataset.loader_dict["speech"]
        speaker_model: Any = getattr(model, "module", model)
        stats = {}
        eers = []
        for name, trials in read_valid_trials(
            options.valid_trials, options.valid_shape_file
        ).items():
            embeddings = embed_utterances(
                speaker_model,
                {utt: num_samples[utt] for utt in trials.utts},
                lambda utt: scale_waveform(speech[utt]),
                options.embedding_batch_bins,
                "cuda" if options.ngpu > 0 else "cpu",
            )
            scores = score_trials(
                score_pairs(speaker_model, embeddings, trials), trials.is_target
            ).metrics
            eers.append(scores["eer"])
            stats[f"eer_{name}"] = scores["eer"]
            stats[f"auc_{name}"] = scores["roc_auc"]
        reporter.register({"eer": sum(eers) / len(eers), **stats})


def goes_unvalidated(options: argparse.Namespace | SpeakerTrainerOptions) -> bool:
    """Return whether the last epoch is asked for and no trials are given."""
    return options.checkpoint == "last" and not options.valid_trials


def read_valid_trials(
    valid_trials: Sequence[tuple[str, str]], valid_shape_file: Sequence[str]
) -> dict[str, TrialList]:
    """Read the validation trial lists, by name.

    Args:
        valid_trials: (path, name) pairs.
        valid_shape_file: Files that name the validation utterances.

    Raises:
        UserError: There is no list, two have one name, or a list cannot be read, names
            other utterances, or has trials of one kind only.
    """
    if not valid_trials:
        raise UserError(
            "Validation needs trials: give --valid_trials <trials>,<name>, or "
            "--checkpoint last."
        )
    known = _num_samples(valid_shape_file).keys()
    lists: dict[str, TrialList] = {}
    for path, name in valid_trials:
        if name in lists:
            raise UserError(
                f"--valid_trials names two lists {name}: give them different names."
            )
        trials = lists[name] = read_trials(Path(path))
        unknown = set(trials.utts) - known
        if unknown:
            raise UserError(
                f"{path} names the utterance {min(unknown)}, which is not in the "
                "validation data: give trials between its utterances."
            )
        if trials.is_target.all() or not trials.is_target.any():
            raise UserError(
                f"{path} has trials of one kind only, so it has no EER: give target "
                "and nontarget trials."
            )
    return lists


def _num_samples(valid_shape_file: Sequence[str]) -> dict[str, int]:
    if not valid_shape_file:
        raise UserError("Validation needs --valid_shape_file: give utt2num_samples.")
    (path, *_) = valid_shape_file
    lengths = {}
    for number, (utt, shape) in enumerate(read_table(path).items(), 1):
        samples = shape.partition(",")[0]
        if not samples.isdecimal():
            raise UserError(
                f"{path}, line {number}: {shape!r} is not a number of samples: give "
                "utt2num_samples."
            )
        lengths[utt] = int(samples)
    return lengths
