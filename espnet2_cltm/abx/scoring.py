"""The error of each cell, and of a whole test.

The error of a cell is the share of its triples in which X is farther from A, of its own
label, than from B; a tie counts half. Chance is 0.5. :mod:`.averaging` has what they
come to.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from espnet2_cltm.abx.averaging import (
    FEWEST_SPEAKERS,
    Average,
    by_speakers,
    draw_speakers,
    error_draws,
    percentiles,
    speakers_of,
)
from espnet2_cltm.abx.cells import Cells
from espnet2_cltm.abx.distances import DISTANCES, align
from espnet2_cltm.progress import progress

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
        by_speakers: Table of errors by speaker, which all of this averages.
    """

    error: float
    low: float
    high: float
    contrasts: pd.DataFrame
    by_speakers: pd.DataFrame


def cell_errors(
    frames: np.ndarray,
    spans: np.ndarray,
    cells: Cells,
    distance: str,
    description: str,
    nj: int = 1,
) -> np.ndarray:
    """Compute the error of every cell.

    Args:
        frames: (frames, size), prepared by :func:`.prepare_frames`.
        spans: (items, 2) first frame of each item, and that behind its last.
        cells: Cells.
        distance: One of :data:`.DISTANCES`.
        description: What the progress bar says.
        nj: Number of threads, on which nothing else depends.

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
            frames, spans, cells.groups, np.stack([x, y], axis=1), distance, nj
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
    nj: int,
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

    def compare(part: tuple[int, int]) -> np.ndarray:
        costs, offsets, strides, lengths = [], [], [], []
        filled = 0
        for x, y in pairs[slice(*part)]:
            found = DISTANCES[distance](frames[places[x]], frames[places[y]])
            costs.append(found.ravel())
            corner = begins[x][:, None] * total[y] + begins[y]
            offsets.append(filled + corner.ravel())
            strides.append(np.full(corner.size, total[y]))
            both = np.meshgrid(n_frames[groups[x]], n_frames[groups[y]], indexing="ij")
            lengths.append(np.stack([one.ravel() for one in both], axis=1))
            filled += found.size
        parts_of = (costs, offsets, strides, lengths)
        return align(*(np.concatenate(part) for part in parts_of))

    ranges = list(itertools.pairwise(edges))
    pool = ThreadPoolExecutor(nj)  # numpy lets go of Python's lock
    try:
        for (first, last), found in zip(ranges, pool.map(compare, ranges), strict=True):
            yield first, last, found
    finally:
        pool.shutdown(cancel_futures=True)


def collapse(cells: Cells, errors: np.ndarray, draws: int, seed: int) -> Score:
    """Average (cells,) errors over contexts, then speakers, then pairs of labels.

    Args:
        cells: Cells.
        errors: Their errors.
        draws: Draws of the bootstrap; 0 for no interval.
        seed: Its seed.
    """
    table = by_speakers(cells, errors)
    speakers = speakers_of(table)
    average = Average(table, speakers)
    of_pairs = average.by_pair()
    low = high = np.nan
    if draws and len(speakers) >= FEWEST_SPEAKERS:
        weights = draw_speakers(len(speakers), draws, seed)
        low, high = percentiles(error_draws(average, weights))
    contrasts = pd.DataFrame(average.pairs, columns=["label", "other"])
    n_triples = pd.DataFrame(cells.labels).assign(n=cells.n_triples())
    contrasts["error"] = of_pairs
    contrasts["triples"] = n_triples.groupby([0, 1], sort=True)["n"].sum().to_numpy()
    return Score(float(of_pairs.mean()), low, high, contrasts, table)
