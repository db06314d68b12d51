"""The error of each cell, and what they come to.

The error of a cell is the share of its triples in which X is farther from A, of its own
label, than from B; a tie counts half. Chance is 0.5. As in ZeroSpeech and fastabx,
errors are averaged over contexts (and speakers of X), then over speakers, then over
pairs of labels, so that each pair counts the same.

Intervals are percentiles of a bootstrap over speakers: in each draw a speaker counts as
often as it was drawn, a cell of two speakers as often as both together.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from espnet2_cltm.abx.cells import Cells
from espnet2_cltm.abx.distances import DISTANCES, align
from espnet2_cltm.progress import progress

LEVEL = 0.95
FEWEST_SPEAKERS = 3
"""Fewest speakers that an interval is drawn from."""

_MOST_COSTS = 1 << 23  # frame distances held at once


@dataclass(frozen=True)
class Score:
    """Outcome of a test.

    Attributes:
        error: Error, from 0 to 1.
        low: Lower end of its interval, nan where there is none.
        high: Upper end.
        contrasts: A line for each pair of labels, sorted: ``label`` (of A and X),
            ``other`` (of B), ``error``, ``triples``.
    """

    error: float
    low: float
    high: float
    contrasts: pd.DataFrame


def cell_errors(
    frames: np.ndarray,
    spans: np.ndarray,
    cells: Cells,
    distance: str,
    description: str,
) -> np.ndarray:
    """Compute the error of every cell.

    Args:
        frames: (frames, size), prepared by :func:`.prepare_frames`.
        spans: (items, 2) first frame of each item, and that behind its last.
        cells: Cells.
        distance: One of :data:`.DISTANCES`.
        description: What the progress bar says.

    Returns:
        (cells,) errors.
    """
    size = np.array([len(group) for group in cells.groups])
    n_groups = len(size)
    # Every two groups that meet in a cell, X first, are compared once.
    of_a, of_b = (cells.x * n_groups + side for side in (cells.a, cells.b))
    met, places = np.unique(np.concatenate([of_a, of_b]), return_inverse=True)
    x, y = np.divmod(met, n_groups)
    starts = np.concatenate([[0], np.cumsum(size[x] * size[y])])
    distances = np.empty(starts[-1], np.float32)
    with progress(description=description, total=len(met), unit="group") as bar:
        for first, last, found in _compare(
            frames, spans, cells.groups, np.stack([x, y], axis=1), distance
        ):
            distances[starts[first] : starts[last]] = found
            bar.update(last - first)
    to_a, to_b = starts[places[: len(cells)]], starts[places[len(cells) :]]
    errors = np.empty(len(cells))
    shapes = np.stack([size[cells.x], size[cells.a], size[cells.b]], axis=1)
    kinds, kind_of = np.unique(shapes, axis=0, return_inverse=True)
    for kind, (n_x, n_a, n_b) in enumerate(kinds):
        every = np.flatnonzero(kind_of.ravel() == kind)
        for of_kind in np.array_split(every, -(-len(every) * n_x * n_a * n_b // 4**11)):
            from_a = distances[to_a[of_kind, None] + np.arange(n_x * n_a)]
            from_b = distances[to_b[of_kind, None] + np.arange(n_x * n_b)]
            from_a = from_a.reshape(-1, n_x, n_a, 1)
            from_b = from_b.reshape(-1, n_x, 1, n_b)
            wrong = (from_a > from_b) + 0.5 * (from_a == from_b)
            if cells.is_symmetric:
                wrong[:, np.arange(n_x), np.arange(n_x)] = np.nan  # X is A
            errors[of_kind] = np.nanmean(wrong, axis=(1, 2, 3))
    return errors


def _compare(
    frames: np.ndarray,
    spans: np.ndarray,
    groups: list[np.ndarray],
    pairs: np.ndarray,
    distance: str,
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the distances of pairs of groups: first pair, that behind the last, these.

    The distances of a pair are those of each X from each of the others.
    """
    n_frames = spans[:, 1] - spans[:, 0]
    total = np.array([n_frames[group].sum() for group in groups])
    sizes = total[pairs[:, 0]] * total[pairs[:, 1]]
    parts = np.cumsum(sizes) // _MOST_COSTS
    edges = [0, *(np.flatnonzero(np.diff(parts)) + 1), len(pairs)]
    places = [
        np.concatenate([np.arange(*spans[item]) for item in group]) for group in groups
    ]
    begins = [np.concatenate([[0], np.cumsum(n_frames[g])[:-1]]) for g in groups]
    for first, last in itertools.pairwise(edges):
        costs, offsets, strides, lengths = [], [], [], []
        filled = 0
        for x, y in pairs[first:last]:
            found = DISTANCES[distance](frames[places[x]], frames[places[y]])
            costs.append(found.ravel())
            corner = begins[x][:, None] * total[y] + begins[y]
            offsets.append(filled + corner.ravel())
            strides.append(np.full(corner.size, total[y]))
            both = np.meshgrid(n_frames[groups[x]], n_frames[groups[y]], indexing="ij")
            lengths.append(np.stack([one.ravel() for one in both], axis=1))
            filled += found.size
        parts_of = (costs, offsets, strides, lengths)
        yield first, last, align(*(np.concatenate(part) for part in parts_of))


def collapse(cells: Cells, errors: np.ndarray, draws: int, seed: int) -> Score:
    """Average errors over contexts, then speakers, then pairs of labels.

    Args:
        cells: Cells.
        errors: (cells,) their errors.
        draws: Draws of the bootstrap; 0 for no interval.
        seed: Its seed.
    """
    names, speakers = np.unique(cells.speakers, return_inverse=True)
    of_a, of_x = speakers.reshape(-1, 2).T
    labels, pair = np.unique(
        cells.labels[:, 0] + " " + cells.labels[:, 1], return_inverse=True
    )
    # Rows of a pair and a speaker of A.
    row_keys, row = np.unique(pair * len(names) + of_a, return_inverse=True)
    row_pair, row_speaker = np.divmod(row_keys, len(names))

    def by_pair(weight: np.ndarray) -> np.ndarray:
        of_cell = weight[of_x]
        of_row = np.bincount(row, of_cell, len(row_keys))
        with np.errstate(invalid="ignore"):
            row_error = np.bincount(row, of_cell * errors, len(row_keys)) / of_row
        counts = np.where(of_row > 0, weight[row_speaker], 0.0)
        of_pair = np.bincount(row_pair, counts, len(labels))
        summed = np.bincount(row_pair, counts * np.nan_to_num(row_error), len(labels))
        with np.errstate(invalid="ignore"):
            return summed / of_pair

    everyone = np.ones(len(names))
    of_pairs = by_pair(everyone)
    low = high = np.nan
    if draws and len(names) >= FEWEST_SPEAKERS:
        generator = np.random.default_rng(seed)
        drawn = generator.multinomial(len(names), everyone / len(names), size=draws)
        values = [by_pair(weight) for weight in drawn.astype(float)]
        means = [np.nanmean(one) for one in values if not np.isnan(one).all()]
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(means, [tail, 1 - tail])
    split = np.array([label.split(" ") for label in labels])
    triples = np.bincount(pair, cells.n_triples(), len(labels)).astype(int)
    contrasts = pd.DataFrame(
        {
            "label": split[:, 0],
            "other": split[:, 1],
            "error": of_pairs,
            "triples": triples,
        }
    )
    return Score(float(of_pairs.mean()), float(low), float(high), contrasts)
