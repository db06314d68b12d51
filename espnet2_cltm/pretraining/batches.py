"""Batches of one language each, drawn anew in every epoch.

In a batch of many languages speakers are told apart by what they speak; in a batch of
one, by their voices.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from espnet2.samplers.abs_sampler import AbsSampler

from espnet2_cltm.errors import UserError


class GroupedBatches(AbsSampler):
    """Draws batches of utterances of one group.

    Args:
        utts: All utterances.
        group_of: Each one's group.
        batch_size: About so many utterances a batch: a group's are divided evenly.
        source: File of ``group_of``, for messages.

    Raises:
        UserError: An utterance has no group.
    """

    def __init__(
        self,
        utts: Sequence[str],
        group_of: Mapping[str, str],
        batch_size: int,
        source: str,
    ):
        self._groups: dict[str, list[str]] = {}
        for utt in sorted(utts):
            if utt not in group_of:
                raise UserError(
                    f"{source} has no line for the utterance {utt}: add it."
                )
            self._groups.setdefault(group_of[utt], []).append(utt)
        self._parts = {
            group: max(1, round(len(members) / batch_size))
            for group, members in self._groups.items()
        }

    def __len__(self) -> int:
        return sum(self._parts.values())

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self.generate(0))

    def generate(self, seed: int) -> list[tuple[str, ...]]:
        """Draw the batches of an epoch, in an order that is drawn as well."""
        random = np.random.default_rng(seed)
        batches = [
            tuple(part)
            for group, members in sorted(self._groups.items())
            for part in np.array_split(random.permutation(members), self._parts[group])
        ]
        return [batches[place] for place in random.permutation(len(batches))]
