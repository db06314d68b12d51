"""What errors come to, over neighbours, speakers and pairs, and how sure that is.

As in ZeroSpeech and fastabx, errors are averaged over contexts (and speakers of X),
then over speakers, then over pairs of labels, so that each pair counts the same.

Intervals are percentiles of a bootstrap over speakers: in each draw a speaker counts as
often as it was drawn, a cell of two speakers as often as both together. Two kinds of
features that were measured on the same items are compared draw by draw.

Everything that an average or an interval takes is in a table of errors by speaker,
which is kept in a file. It has, sorted, a line for each pair of labels and pair of
speakers: ``label`` (of A and X), ``other`` (of B), ``speaker`` (of A), ``x_speaker``,
the number of ``cells``, which is that of contexts, and their mean ``error``.
"""

import gzip
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.abx.cells import Cells
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import replacing

LEVEL = 0.95
FEWEST_SPEAKERS = 3
"""Fewest speakers that an interval is drawn from."""

_KEY = ["label", "other", "speaker", "x_speaker"]
_COLUMNS = [*_KEY, "cells", "error"]


def speakers_of(errors: pd.DataFrame) -> list[str]:
    """Return all speakers of a table of errors by speaker, sorted."""
    return sorted({*errors["speaker"], *errors["x_speaker"]})


def by_speakers(cells: Cells, errors: np.ndarray) -> pd.DataFrame:
    """Average the errors of cells over contexts.

    Args:
        cells: Cells.
        errors: (cells,) their errors.
    """
    names = np.concatenate([cells.labels, cells.speakers], axis=1)
    table = pd.DataFrame(names, columns=_KEY).assign(error=errors)
    grouped = table.groupby(_KEY, sort=True)["error"]
    means = pd.DataFrame({"cells": grouped.size(), "error": grouped.mean()})
    return means.reset_index()


def write_speaker_errors(path: Path, errors: pd.DataFrame) -> None:
    """Write a table of errors by speaker, tab-separated and compressed."""
    text = errors.to_csv(sep="\t", index=False, lineterminator="\n")
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))


def read_speaker_errors(path: Path) -> pd.DataFrame:
    """Read what :func:`write_speaker_errors` wrote.

    Raises:
        UserError: The file is missing or damaged.
    """
    types: dict[Hashable, type[object]] = dict.fromkeys(_KEY, str)
    types |= {"cells": int, "error": float}
    with foreign(f"{path} cannot be read", "measure it with local/abx.py"):
        table = pd.read_csv(path, sep="\t", dtype=types, keep_default_na=False)
    if list(table.columns) != _COLUMNS or not len(table):
        raise UserError(
            f"{path} does not have the columns {' '.join(_COLUMNS)}: measure it with "
            "local/abx.py."
        )
    return table


class Average:
    """The error of a test, given how much each speaker counts.

    Args:
        table: Table of errors by speaker.
        speakers: Names of all speakers that are weighed, those of ``table`` among
            them.

    Attributes:
        pairs: (pairs, 2) labels.
    """

    def __init__(self, table: pd.DataFrame, speakers: list[str]):
        place = {name: number for number, name in enumerate(speakers)}
        self._n_speakers = len(speakers)
        self._of_x = table["x_speaker"].map(place).to_numpy(int)
        self._cells = table["cells"].to_numpy(float)
        self._summed = self._cells * table["error"].to_numpy(float)
        of_pair = table.groupby(["label", "other"], sort=True)
        self.pairs = np.array(list(of_pair.groups))
        # Rows of a pair and a speaker of A.
        of_a = table["speaker"].map(place).to_numpy(int)
        rows = of_pair.ngroup().to_numpy(int) * len(speakers) + of_a
        keys, self._row = np.unique(rows, return_inverse=True)
        self._row_pair, self._row_speaker = np.divmod(keys, len(speakers))

    def by_pair(self, weight: np.ndarray | None = None) -> np.ndarray:
        """Return the (pairs,) errors; nan where no speaker counts.

        Args:
            weight: (speakers,) how much each counts; None for once.
        """
        if weight is None:
            weight = np.ones(self._n_speakers)
        of_x = weight[self._of_x]
        n_rows, n_pairs = len(self._row_pair), len(self.pairs)
        of_row = np.bincount(self._row, of_x * self._cells, n_rows)
        summed = np.bincount(self._row, of_x * self._summed, n_rows)
        with np.errstate(invalid="ignore"):
            row_error = summed / of_row
            counts = np.where(of_row > 0, weight[self._row_speaker], 0.0)
            of_pair = np.bincount(self._row_pair, counts, n_pairs)
            counted = counts * np.nan_to_num(row_error)
            return np.bincount(self._row_pair, counted, n_pairs) / of_pair

    def error(self, weight: np.ndarray | None = None) -> float:
        """Return the error; nan where no pair has a speaker that counts."""
        errors = self.by_pair(weight)
        return float(np.nanmean(errors)) if not np.isnan(errors).all() else np.nan


def draw_speakers(n_speakers: int, draws: int, seed: int) -> np.ndarray:
    """Return (draws, speakers) how often each speaker is in each draw."""
    generator = np.random.default_rng(seed)
    equal = np.full(n_speakers, 1 / n_speakers)
    return generator.multinomial(n_speakers, equal, size=draws).astype(float)


def error_draws(average: Average, weights: np.ndarray) -> np.ndarray:
    """Return the (draws,) errors of draws of speakers, (draws, speakers)."""
    return np.array([average.error(weight) for weight in weights])


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """Return the limits of the middle :data:`LEVEL` of some values, nan left out."""
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """How two kinds of features differ on the same test.

    Attributes:
        error: Error of the first.
        other: Error of the other.
        low: Lower limit of their difference ``error - other``, nan where there is none.
        high: Upper limit.
        pairs: Number of pairs of labels.
        speakers: Number of speakers.
    """

    error: float
    other: float
    low: float
    high: float
    pairs: int
    speakers: int

    @property
    def difference(self) -> float:
        """Difference of the errors, below 0 where the first is better."""
        return self.error - self.other


def compare_errors(
    ours: pd.DataFrame, other: pd.DataFrame, draws: int, seed: int
) -> Difference | None:
    """Compare two tables of errors by speaker, where both have some.

    Args:
        ours: Table of some features.
        other: Table of other features on the same items.
        draws: Draws of the bootstrap; 0 for no interval.
        seed: Its seed.

    Returns:
        None where they have nothing in common.
    """
    common = ours[_KEY].merge(other[_KEY], on=_KEY)
    if not len(common):
        return None
    speakers = speakers_of(common)
    averages = [Average(common.merge(one, on=_KEY), speakers) for one in (ours, other)]
    error, others = (average.error() for average in averages)
    low = high = np.nan
    if draws and len(speakers) >= FEWEST_SPEAKERS:
        weights = draw_speakers(len(speakers), draws, seed)
        drawn = [error_draws(average, weights) for average in averages]
        low, high = percentiles(drawn[0] - drawn[1])
    n_pairs = len(averages[0].pairs)
    return Difference(error, others, low, high, n_pairs, len(speakers))
