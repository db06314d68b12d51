"""How much gains depend on who is tested: noise that all seeds share.

Seeds differ in the training utterances and the initial weights; the test set is one and
the same, so where it happens to suit one kind of run, it does in every seed, and no
spread over seeds tells. ``held_out.tsv``, beside ``results.tsv``, holds every run's
Perf without each of G groups of test speakers in turn. With d[a, s, g] the departure of
run a of seed s without group g from its mean over groups, the jackknife's covariance
between the test noise of two runs, of the seeds s and t, is

    J[a, b, s, t] = (G - 1) / G sum_g d[a, s, g] d[b, t, g]

The part with s = t holds what is of one seed and its test items alone, which the spread
over seeds shows already. What all seeds share is the mean of J over pairs of different
seeds (Cameron, Gelbach and Miller, J. Bus. Econ. Stat. 29 (2011), 238-249, for two-way
clusters): it is added to the covariance of the means over seeds.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import file_version
from espnet2_cltm.matrix.text_table import TextTable, read_text_table, require_columns
from espnet2_cltm.results_format import HELD_OUT_COLUMNS

REMEDY = "run stage 5 again"
RELATIVE_TOLERANCE = 1e-9  # of a variance beside the largest
HeldOutValues = dict[tuple[str, str], np.ndarray]


@dataclass(frozen=True)
class HeldOutScores:
    """Perf without each group of a target's test speakers, NaN where not known.

    Groups of a target are the same for all runs; G is the largest number of them, and
    where a target has fewer the last are NaN.

    Attributes:
        single: (n, s, G), of the single runs.
        double: (n, s, G), of the double runs.
        pair: (n, n, s, G), of the pair runs, rows targets.
    """

    single: np.ndarray
    double: np.ndarray
    pair: np.ndarray


def read_held_out(path: Path, metric: str) -> HeldOutValues:
    """Read what a file of stage 5 holds of a metric: by run and test language.

    Raises:
        UserError: The file is damaged.
    """
    rows = _read_version(path, file_version(path)).rows
    rows = rows[rows["metric"] == metric]
    columns = (rows[name].tolist() for name in ("run", "test_language", "values"))
    found = {}
    for number, *key, text in zip(rows.index, *columns, strict=True):
        try:
            found[key[0], key[1]] = np.array(text.split(), dtype=float)
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}: values are not numbers ({error}): {REMEDY}."
            ) from error
    return found


@lru_cache(maxsize=1)
def _read_version(path: Path, version: tuple[int, ...]) -> TextTable:
    """Read the file; the last is kept, of which every metric has a part."""
    table = read_text_table(path, REMEDY)
    require_columns(table, HELD_OUT_COLUMNS, REMEDY)
    return table


def arrange_held_out(
    records: pd.DataFrame,
    values: HeldOutValues,
    languages: tuple[str, ...],
    seeds: tuple[int, ...],
) -> HeldOutScores | None:
    """Arrange the values of some runs into arrays; None where there are none.

    Args:
        records: Columns ``run``, ``kind``, ``donor``, ``tested`` and ``seed``.
        values: What the file holds of their metric.
        languages: The n languages.
        seeds: The s seeds.
    """
    columns = (records[x].tolist() for x in ("run", "kind", "donor", "tested", "seed"))
    found = [
        (kind, donor, tested, seed, values[run, tested])
        for run, kind, donor, tested, seed in zip(*columns, strict=True)
        if (run, tested) in values
    ]
    if not found:
        return None
    most = max(len(held_out) for *_, held_out in found)
    n, s = len(languages), len(seeds)
    single, double = (np.full((n, s, most), np.nan) for _ in range(2))
    pair = np.full((n, n, s, most), np.nan)
    at = {code: k for k, code in enumerate(languages)}
    of_seed = {seed: k for k, seed in enumerate(seeds)}
    for kind, donor, tested, seed, held_out in found:
        if kind != "pair" and tested != donor:
            continue  # zero-shot
        target = at[tested]
        into = {"single": single, "double": double, "pair": pair[:, at[donor]]}
        into[kind][target, of_seed[seed], : len(held_out)] = held_out
    return HeldOutScores(single, double, pair)


def shared_covariance(
    held_out: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of runs' means over seeds that their test set makes.

    Args:
        held_out: (..., r, s, G), values of r runs without each group.
        used: (..., s) bool, seeds that the means are over.

    Returns:
        (..., r, r), positive semidefinite, 0 where not known; (...) numbers of groups,
        0 there.
    """
    covariance, count = _unbiased_covariance(held_out, used)
    size, directions = np.linalg.eigh(covariance)
    kept = np.maximum(size, 0.0)  # as a variance that is estimated may be below 0
    covariance = np.einsum("...ak,...k,...bk->...ab", directions, kept, directions)
    return covariance, count


def sources_of_test_sets(of_all: HeldOutScores) -> np.ndarray:
    """Return what independent sources of noise in test sets change in every run.

    Runs that lack a seed which single and double have are taken as undisturbed.

    Returns:
        (n, n + 1, q): along the runs tested on a target are its pairs, in whose own
        place the double is, and the single. Products of two runs of a target sum to
        the covariance of their means over seeds; sources of different targets are
        different ones. q is 0 where nothing is known.
    """
    found = []
    for target in range(len(of_all.single)):
        runs = np.concatenate([of_all.pair[target], of_all.single[target][None]])
        runs[target] = of_all.double[target]
        groups = np.isfinite(of_all.single[target]).any(axis=0)
        used = np.isfinite(runs[[target, -1]][:, :, groups]).all(axis=(0, 2))
        known = np.isfinite(runs[:, used][..., groups]).all(axis=(1, 2))
        undisturbed = np.where(groups, 0.0, np.nan)
        runs = np.where(known[:, None, None], runs, undisturbed)
        covariance, _ = _unbiased_covariance(runs, used)
        size, directions = np.linalg.eigh(covariance)
        kept = np.maximum(size, 0.0)
        # What is cut below 0 would be too much variance: the trace stays as it is.
        kept *= max(size.sum(), 0.0) / max(kept.sum(), np.finfo(float).tiny)
        some = kept > RELATIVE_TOLERANCE * kept.max()
        found.append(directions[:, some] * np.sqrt(kept[some]))
    most = max(sources.shape[1] for sources in found)
    return np.stack([np.pad(one, ((0, 0), (0, most - one.shape[1]))) for one in found])


def _unbiased_covariance(
    held_out: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    groups = np.isfinite(held_out) | ~used[..., None, :, None]
    groups = groups.all(axis=(-3, -2)) & np.isfinite(held_out).any(axis=(-3, -2))
    seeds, count = used.sum(axis=-1), groups.sum(axis=-1)
    # A group that some run lacks, such as all of a class, leaves nothing to tell.
    there = np.isfinite(held_out).any(axis=(-3, -2)).sum(axis=-1)
    known = (seeds >= 2) & (count >= 2) & (count == there)
    taken = used[..., None, :, None] & groups[..., None, None, :]
    values = np.where(taken, held_out, 0.0)
    g = np.maximum(count, 1)[..., None, None]
    mean = values.sum(axis=-1) / g
    departure = np.where(taken, values - mean[..., None], 0.0)
    summed = departure.sum(axis=-2)  # over seeds
    of_sum = np.einsum("...ag,...bg->...ab", summed, summed)
    of_each = np.einsum("...asg,...bsg->...ab", departure, departure)
    pairs = np.maximum(seeds * (seeds - 1), 1)[..., None, None]
    covariance = (g - 1) / g * (of_sum - of_each) / pairs
    covariance = np.where(known[..., None, None], covariance, 0.0)
    return covariance, np.where(known, count, 0)
