"""Batches of equal size: none is made of what an epoch's end leaves over.

ESPnet shares out utterances evenly, so that 6 at a batch size of 4 make one batch of 6.
Where trainings of different amounts of data shall have the same updates, all batches
must be equal: :class:`WholeBatches` cuts them from one random order of the utterances
after another, across the borders of these orders and of epochs.
"""

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.iterators.sequence_iter_factory import SequenceIterFactory
from espnet2.samplers.abs_sampler import AbsSampler
from espnet2.train.distributed_utils import DistributedOption
from espnet2.utils.types import str2bool

from espnet2_cltm.errors import UserError
from espnet2_cltm.tasks.batch_options import WHOLE_BATCHES_NEED
from espnet2_cltm.tasks.speech_data import SpeechTask


class WholeBatches(AbsSampler):
    """The batches of every epoch, from an endless row of random orders.

    Args:
        utterances: Ids of all utterances.
        batch_size: Number of utterances in every batch.
        n_batches: Number of batches in an epoch.
        seed: Seed of the random orders.
    """

    def __init__(
        self, utterances: Sequence[str], batch_size: int, n_batches: int, seed: int
    ):
        self.utterances = list(utterances)
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.seed = seed

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self.n_batches

    def __iter__(self):
        """Iterate over the batches of the first epoch."""
        return iter(self.generate(self.seed + 1))

    def generate(self, seed: int) -> list[list[str]]:
        """Return the batches of an epoch.

        Args:
            seed: The sampler's seed plus the number of the epoch, from 1, as
                :class:`~espnet2.iterators.sequence_iter_factory.SequenceIterFactory`
                gives it.
        """
        n_in_epoch = self.n_batches * self.batch_size
        start = (seed - self.seed - 1) * n_in_epoch
        first, skipped = divmod(start, len(self.utterances))
        last = (start + n_in_epoch - 1) // len(self.utterances)
        row = [
            self.utterances[place]
            for number in range(first, last + 1)
            for place in np.random.default_rng((self.seed, number)).permutation(
                len(self.utterances)
            )
        ][skipped : skipped + n_in_epoch]
        return [
            row[begin : begin + self.batch_size]
            for begin in range(0, n_in_epoch, self.batch_size)
        ]


class WholeBatchesTask(SpeechTask):
    """ESPnet's task with the option ``--whole_batches``."""

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the option to those of the task."""
        super().add_task_arguments(parser)
        parser.add_argument_group(description="Batches").add_argument(
            "--whole_batches",
            type=str2bool,
            default=False,
            help="train on num_iters_per_epoch batches of exactly batch_size "
            "utterances in each epoch, cut from one random order of all utterances "
            "after another",
        )

    @classmethod
    def build_iter_factory(
        cls,
        args: argparse.Namespace,
        distributed_option: DistributedOption,
        mode: str,
        kwargs: dict[str, Any] | None = None,
    ) -> AbsIterFactory:
        """Build ESPnet's iterators of whatever type.

        Raises:
            UserError: Whole batches are asked for, and an option makes other ones.
        """
        if mode == "train" and args.whole_batches:
            require_whole_batches(args, distributed_option.distributed)
        return super().build_iter_factory(args, distributed_option, mode, kwargs)

    @classmethod
    def build_sequence_iter_factory(
        cls, args: argparse.Namespace, iter_options: argparse.Namespace, mode: str
    ) -> AbsIterFactory:
        """Build ESPnet's iterators, with whole batches for training if asked for."""
        factory = super().build_sequence_iter_factory(args, iter_options, mode)
        if mode != "train" or not args.whole_batches:
            return factory
        assert isinstance(factory, SequenceIterFactory)
        utterances = list(itertools.chain(*factory.sampler))
        factory.sampler = WholeBatches(
            utterances, args.batch_size, args.num_iters_per_epoch, args.seed
        )
        factory.num_iters_per_epoch = None
        factory.shuffle = False
        return factory


def require_whole_batches(args: argparse.Namespace, distributed: bool = False) -> None:
    """Refuse options of ESPnet that make other batches than whole ones.

    Raises:
        UserError: One of the options does.
    """
    wanted = {
        f"{option}: {str(needed).lower()}": getattr(args, option) == needed
        for option, (needed, _) in WHOLE_BATCHES_NEED.items()
    }
    wanted["num_iters_per_epoch"] = bool(args.num_iters_per_epoch)
    wanted["a single GPU"] = not distributed
    for need in (name for name, is_so in wanted.items() if not is_so):
        raise UserError(f"whole_batches: true needs {need}: correct the configuration.")
