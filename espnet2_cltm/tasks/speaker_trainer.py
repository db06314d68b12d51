"""ESPnet's trainer with validation by the EER of trials.

The loss of a closed set says little of speakers that were not trained on, so every
epoch is validated on trials between them, one list a language. Each utterance is
embedded once, as in testing, however many trials name it.
"""

import argparse
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import SubReporter
from espnet2.train.trainer import Trainer, TrainerOptions
from espnet2.utils.build_dataclass import build_dataclass

from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.embedding import embed_utterances
from espnet2_cltm.speaker.metrics import score_speaker
from espnet2_cltm.speaker.scoring import cosine_scores
from espnet2_cltm.speaker.trials import read_trials


@dataclasses.dataclass
class SpeakerTrainerOptions(TrainerOptions):
    """ESPnet's options and what validation by trials needs.

    Attributes:
        valid_trials: (path of a Kaldi trial list, its name) pairs.
        valid_shape_file: Lengths of the validation utterances, in samples.
        embedding_batch_bins: Most samples in a batch.
        checkpoint: ``eer`` or ``last``, which needs no trials.
    """

    valid_trials: Sequence[tuple[str, str]]
    valid_shape_file: Sequence[str]
    embedding_batch_bins: int
    checkpoint: str


class SpeakerTrainer(Trainer):
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
        iterator: Iterable,
        reporter: SubReporter,
        options: SpeakerTrainerOptions,
        distributed_option: DistributedOption,
    ) -> None:
        """Score every trial list and report the EER of each.

        Args:
            model: The model, or DistributedDataParallel around it.
            iterator: ESPnet's loader of the validation utterances.
            reporter: Takes the statistics.
            options: With the trial lists.
            distributed_option: Unused: every process does the same.

        Raises:
            UserError: There are no trials, or they name other utterances.
        """
        if not options.valid_trials:
            if options.checkpoint == "last":
                return
            raise UserError(
                "Validation needs trials: give --valid_trials <trials>,<name>, or "
                "--checkpoint last, which needs none."
            )
        num_samples = {
            utt: int(value.split(",")[0])
            for utt, value in read_table(options.valid_shape_file[0]).items()
        }
        dataset = iterator.dataset

        def read_waveform(utt: str) -> np.ndarray:
            return dataset[utt][1]["speech"]

        stats = {}
        for path, name in options.valid_trials:
            trials = read_trials(Path(path))
            unknown = set(trials.utts) - num_samples.keys()
            if unknown:
                raise UserError(
                    f"{path} names the utterance {min(unknown)}, which is not in the "
                    "validation data: give trials between its utterances."
                )
            embeddings = embed_utterances(
                getattr(model, "module", model),
                {utt: num_samples[utt] for utt in trials.utts},
                read_waveform,
                options.embedding_batch_bins,
                "cuda" if options.ngpu > 0 else "cpu",
            )
            scores = score_speaker(cosine_scores(embeddings, trials), trials.is_target)
            stats[f"eer_{name}"] = scores["eer"]
            stats[f"auc_{name}"] = scores["roc_auc"]
        eers = [stats[f"eer_{name}"] for _, name in options.valid_trials]
        reporter.register({"eer": sum(eers) / len(eers), **stats})
