"""Frames of features, one after another, and where those of each file begin.

They come from a directory of ``<file>.npy``, from Kaldi matrices that a ``.scp`` lists,
or from an encoder (:mod:`.extraction`), which leaves the frames of each of its layers
in a file of their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import kaldiio
import numpy as np
import pandas as pd

from espnet2_cltm.abx.items import frames_of
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.progress import progress

MODEL, RANDOM = "model", "random"
LOG_MEL, NORMALISED = "log-mel", "log-mel-cmvn"
"""Kinds of features that are computed: :data:`LOG_MEL` are 80 bands every 10 ms, in
:data:`NORMALISED` each with zero mean and unit variance over an utterance."""

SLACK = 3
"""Frames that an item may end after the last: convolutions leave out the edge."""


@dataclass(frozen=True)
class Frames:
    """Features of several files.

    Attributes:
        name: What messages call them.
        values: (frames, size) of all files.
        starts: First frame of each file.
        lengths: Number of frames of each.
        rate: Frames a second.
    """

    name: str
    values: np.ndarray
    starts: Mapping[str, int]
    lengths: Mapping[str, int]
    rate: float

    def spans(self, items: pd.DataFrame) -> np.ndarray:
        """Return where the frames of items lie.

        Args:
            items: Items of files that are there.

        Returns:
            (items, 2) first frame, and that behind the last; equal where an item is
            shorter than a frame.

        Raises:
            UserError: An item ends more than :data:`SLACK` frames behind its file's.
        """
        first, behind = frames_of(items, self.rate)
        lengths = items["file"].map(self.lengths).to_numpy(int)
        beyond = np.flatnonzero(behind > lengths + SLACK)
        if len(beyond):
            row = items.iloc[beyond[0]]
            n = self.lengths[row["file"]]
            raise UserError(
                f"{self.name} has {n} frames of {row['file']}, which are "
                f"{n / self.rate:.2f} s at {self.rate:g} a second, and an item goes "
                f"from {row['onset']:g} to {row['offset']:g} s: correct the item's "
                "times, or --frequency."
            )
        starts = items["file"].map(self.starts).to_numpy(int)
        behind = np.minimum(behind, lengths)
        first = np.minimum(first, behind)
        return np.stack([starts + first, starts + behind], axis=1)


def locate_features(place: Path, files: Iterable[str]) -> dict[str, str]:
    """Return where the features of files are, sorted by the files' names.

    Args:
        place: Directory of ``<file>.npy``, or a ``.scp`` of Kaldi matrices.
        files: Names of files, as items have them.

    Raises:
        UserError: A file has none.
    """
    table = None if place.is_dir() else read_table(place)
    found = {}
    for file in sorted(set(files)):
        path = place / f"{file}.npy"
        if not (path.exists() if table is None else file in table):
            raise UserError(
                f"{place} lacks the features of {file}: add them, or leave its items "
                "out."
            )
        found[file] = str(path) if table is None else table[file]
    return found


def read_features(place: Path, files: Iterable[str], rate: float) -> Frames:
    """Read features from files.

    Args:
        place: Directory of ``<file>.npy``, or a ``.scp`` of Kaldi matrices.
        files: Names of files, as items have them.
        rate: Frames a second.

    Raises:
        UserError: A file's features are missing, cannot be read, or have another shape.
    """
    load = np.load if place.is_dir() else kaldiio.load_mat
    located = locate_features(place, files)
    parts: list[np.ndarray] = []
    starts, lengths = {}, {}
    total = 0
    for file in progress(located, description=f"reading {place}", unit="file"):
        where = located[file]
        with foreign(f"{where} cannot be read as features", "compute them again"):
            values = np.asarray(load(where), np.float32)
        size = parts[0].shape[1] if parts else None
        if values.ndim != 2 or size not in (None, values.shape[1]):
            wanted = f"(frames, {'size' if size is None else size})"
            raise UserError(
                f"{place} has features of the shape {values.shape} for {file}, not "
                f"{wanted}: compute them again."
            )
        starts[file], lengths[file] = total, len(values)
        total += len(values)
        parts.append(values)
    return Frames(str(place), np.concatenate(parts), starts, lengths, rate)
