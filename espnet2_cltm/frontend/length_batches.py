"""Batches of utterances of similar length.

They follow from the lengths and ``batch_bins`` alone, so that the command line and
the runner give the same numbers to the last bit.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def length_batches(
    num_samples: Mapping[Key, int], batch_bins: int, equal_lengths: bool = False
) -> list[list[Key]]:
    """Cut utterances, sorted by length, into batches of bounded padded size.

    Args:
        num_samples: Length of each utterance, in samples; the keys can be ordered.
        batch_bins: Most samples in a batch, padding counted; a longer utterance
            makes a batch of its own.
        equal_lengths: Whether a batch holds utterances of one length only.

    Returns:
        Batches of keys; every one of ``num_samples`` stands in one batch.
    """
    batches: list[list[Key]] = []
    for key in sorted(num_samples, key=lambda key: (num_samples[key], key)):
        fits = batches and (len(batches[-1]) + 1) * num_samples[key] <= batch_bins
        if equal_lengths and batches:
            fits = fits and num_samples[batches[-1][0]] == num_samples[key]
        if fits:
            batches[-1].append(key)
        else:
            batches.append([key])
    return batches
