#!/usr/bin/env python3
"""How well unmeasured cells of the published matrices are predicted from the others.

Keeps a share of the off-diagonal cells at random, or of the unordered pairs of
languages, whose run measures (i,j) and (j,i); values are clipped to ± 3. Prints for
each matrix, kind of mask and share, averaged over masks, Pearson's r between predicted
and left-out cells by the additive fit and by the model with its standard error over
masks, the model's RMSE, how many left-out cells lie in their 95% interval, and the
seconds that a prediction took. Where cells fall apart into groups, the additive fit
predicts some of the left-out cells only; it is judged by these. Lines come as they are
found; the whole table, as Markdown, comes last.

``--oracle`` tells how much there is to find: r of an additive fit to all cells, and r
from the kept cells when donors' or targets' effects in the whole matrix, or also their
leading profile beyond these, are known and only the other side is estimated.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.matrix.decomposition import fit_additive
from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.matrix.matrix_files import PUBLISHED, read_published
from espnet2_cltm.matrix.prediction import LIMIT, closeness, predict_pairs
from espnet2_cltm.matrix.prediction_model import ModelSettings
from espnet2_cltm.progress import progress

MASKS = ("cells", "pairs")
MEASURED = ("additive r", "model r", "se of r", "rmse", "coverage", "seconds")
ORACLES = (
    "additive fit of all",
    "donor effects known",
    "and donor profile",
    "target effects known",
    "and target profile",
)


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(
        description="Measure predictions of left-out cells of the published matrices.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--matrices", nargs="+", choices=tuple(PUBLISHED), default=list(PUBLISHED)
    )
    parser.add_argument("--kept", type=float, nargs="+", default=[0.1, 0.2, 0.4])
    parser.add_argument("--mask", nargs="+", choices=MASKS, default=list(MASKS))
    parser.add_argument(
        "--masks", type=int, default=20, help="random masks, seeds from 0"
    )
    parser.add_argument(
        "--oracle", action="store_true", help="tell how much there is to find instead"
    )
    return parser


def keep_at_random(n: int, share: float, mask: str, seed: int) -> np.ndarray:
    """Draw which cells are kept: (n, n) bool, none on the diagonal."""
    candidates = ~np.eye(n, dtype=bool)
    if mask == "pairs":
        candidates = np.triu(candidates)
    cells = np.argwhere(candidates)
    order = np.random.default_rng(seed).permutation(len(cells))
    kept = np.zeros((n, n), dtype=bool)
    kept[tuple(cells[order[: round(share * len(cells))]].T)] = True
    return kept | kept.T if mask == "pairs" else kept


def judge(
    matrix: np.ndarray, relations: np.ndarray, kept: np.ndarray
) -> tuple[float, float, float, float]:
    """Give r of the additive fit, and r, RMSE and coverage of the model."""
    left = ~kept & ~np.eye(len(matrix), dtype=bool)
    measured = np.where(kept, matrix, np.nan)
    additive = fit_additive(measured).fitted
    told = left & np.isfinite(additive)
    prediction = predict_pairs(measured, relations, settings=ModelSettings())
    if prediction is None:
        return (_pearson(additive[told], matrix[told]), np.nan, np.nan, np.nan)
    difference = (prediction.mean - matrix)[left]
    inside = (prediction.low <= matrix) & (matrix <= prediction.high)
    return (
        _pearson(additive[told], matrix[told]),
        _pearson(prediction.mean[left], matrix[left]),
        float(np.sqrt(np.mean(difference**2))),
        float(inside[left].mean()),
    )


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 3 or not min(np.ptp(a), np.ptp(b)) > 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def judge_oracles(matrix: np.ndarray, kept: np.ndarray) -> tuple[float, ...]:
    """Give r of the oracles, in the order of :data:`ORACLES`."""
    off = ~np.eye(len(matrix), dtype=bool)
    left = ~kept & off
    whole = np.where(off, matrix, np.nan)
    fit = fit_additive(whole)
    of_target, of_donor = _leading_profiles(np.where(off, whole - fit.fitted, np.nan))
    measured = np.where(kept, matrix, np.nan)
    predictions = [fit.fitted]
    for columns, effect, profile in (
        (measured, fit.donor, of_donor),
        (measured.T, fit.target, of_target),
    ):
        for known in (None, np.stack([effect, profile], axis=1)):
            found = _estimate_rows(columns, effect, known)
            predictions.append(found if columns is measured else found.T)
    return tuple(_pearson(found[left], matrix[left]) for found in predictions)


def _leading_profiles(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the leading factor of what is left, targets' and donors' side.

    The empty diagonal is filled by the factor itself, again and again.
    """
    filled = np.nan_to_num(rest)
    for _ in range(100):
        left, singular, right = np.linalg.svd(filled)
        factor = singular[0] * np.outer(left[:, 0], right[0])
        filled = np.where(np.isfinite(rest), rest, factor)
    scale = np.nanstd(rest)
    return (
        left[:, 0] / left[:, 0].std() * scale,
        right[0] / right[0].std() * scale,
    )


def _estimate_rows(
    matrix: np.ndarray, effect: np.ndarray, known: np.ndarray | None
) -> np.ndarray:
    """Estimate each row's own effect, and its slopes on what is known, by ridge."""
    n = len(matrix)
    mean = np.nanmean(matrix)
    design = np.ones((n, 1)) if known is None else np.column_stack([np.ones(n), known])
    # A slope's prior deviation is 1; an effect counts as half-known by one cell.
    noise = np.nanvar(matrix) / 2
    penalty = np.diag([1.0] + [noise] * (design.shape[1] - 1))
    predicted = np.empty((n, n))
    for row in range(n):
        there = np.isfinite(matrix[row])
        part = design[there]
        left = matrix[row, there] - mean - effect[there]
        slopes = np.linalg.solve(part.T @ part + penalty, part.T @ left)
        predicted[row] = mean + effect + design @ slopes
    return predicted


def measure(args: argparse.Namespace) -> None:
    """Go through matrices, kinds of masks and shares."""
    columns = ORACLES if args.oracle else MEASURED
    header = ("matrix", "mask", "kept", *columns)
    print("\t".join(header), flush=True)
    lines = []
    for name in args.matrices:
        published = read_published(name)
        matrix = np.clip(published.values, -LIMIT, LIMIT)
        relations = closeness(language_distances(published.rows))
        for mask in args.mask:
            for share in args.kept:
                found = []
                label = f"{name} {mask} {share:.0%}"
                for seed in progress(range(args.masks), description=label):
                    kept = keep_at_random(len(matrix), share, mask, seed)
                    if args.oracle:
                        found.append(judge_oracles(matrix, kept))
                        continue
                    start = time.perf_counter()
                    numbers = judge(matrix, relations, kept)
                    found.append((*numbers, time.perf_counter() - start))
                numbers = _means(np.array(found))
                if not args.oracle:
                    numbers.insert(2, _standard_error(np.array(found)[:, 1]))
                line = [name, mask, f"{share:.0%}", *(f"{x:.3f}" for x in numbers)]
                print("\t".join(line), flush=True)
                lines.append(line)
    print()
    for line in (header, ["---"] * len(header), *lines):
        print("| " + " | ".join(line) + " |")


def _means(table: np.ndarray) -> list[float]:
    """Average columns over the masks that have a number."""
    return [
        float(np.mean(column[np.isfinite(column)]))
        if np.isfinite(column).any()
        else np.nan
        for column in table.T
    ]


def _standard_error(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return (
        float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
    )


def main(cmd: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = get_parser().parse_args(cmd)
    run_command(lambda: measure(args))


if __name__ == "__main__":
    main()
