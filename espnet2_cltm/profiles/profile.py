"""A language's profile: what an encoder makes of its recordings, small enough to keep.

A profile is made of a sample of utterances and has, of one hidden layer,

* the *tokens*: each frame's cluster, a run of the same cluster counting once;
* the moments of the frames and the means over time of each utterance, each dimension
  with zero mean and unit variance over the languages that clusters were fitted on;
* the utterances' labels.

The utterances are in two halves. How alike these are says what a similarity between
languages is worth: noise alone makes two halves of one language differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.errors import foreign
from espnet2_cltm.files import replacing

_LABEL = "label_"
_REMEDY = "delete it and make it again"


@dataclass(frozen=True)
class Profile:
    """Profile of a language; utterances are in the order of ``utts``.

    Attributes:
        utts: (utterances,) ids.
        half: (utterances,) 0 or 1.
        tokens: (tokens,) int32 clusters of all utterances, one after the other.
        lengths: (utterances,) numbers of tokens.
        means: (utterances, size) float32 means over time.
        counts: (2,) numbers of frames of each half.
        sums: (2, size) sums of their frames.
        products: (2, size, size) sums of their frames' outer products.
        labels: (utterances,) values by the label's name, empty where not known.
        made_of: What the profile was made of; another value asks for a new one.
    """

    utts: np.ndarray
    half: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray
    means: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    labels: Mapping[str, np.ndarray]
    made_of: str

    def of_half(self, half: int | None) -> np.ndarray:
        """Return which utterances are in a half, (utterances,) bool; None for all."""
        return np.ones(len(self.utts), bool) if half is None else self.half == half


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        UserError: It cannot be read.
    """
    with foreign(f"{path} is not a language's profile", _REMEDY):
        return Profile(**read_arrays(path))


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays, and ``labels`` by name, as one file, whole or not at all."""
    flat = {name: value for name, value in arrays.items() if name != "labels"}
    flat |= {f"{_LABEL}{name}": values for name, values in arrays["labels"].items()}
    with replacing(path) as temporary, temporary.open("wb") as output:
        np.savez(output, **flat)


def read_arrays(path: Path) -> dict[str, Any]:
    """Read what :func:`write_arrays` wrote.

    Raises:
        UserError: It cannot be read.
    """
    with (
        foreign(f"{path} is damaged", _REMEDY),
        np.load(path, allow_pickle=False) as arrays,
    ):
        found = {name: arrays[name] for name in arrays.files}
        names = [name for name in found if name.startswith(_LABEL)]
        labels = {name.removeprefix(_LABEL): found.pop(name) for name in names}
        return {**found, "made_of": str(found["made_of"]), "labels": labels}
