#!/usr/bin/env python3
"""How well unmeasured cells of the published matrices are predicted from the others.

Keeps a share of the off-diagonal cells at random, or of the unordered pairs of
languages, whose run measures (i,j) and (j,i); values are clipped to ± 3. Prints for
each matrix, kind of mask and share, averaged over masks, Pearson's r between predicted
and left-out cells by the additive fit and by the model, the model's RMSE, and how many
left-out cells lie in their 95% interval. Where cells fall apart into groups, the
additive fit predicts some of the left-out cells only; it is judged by these.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from espnet2_cltm.bin.command_line import positive_number, run_command
from espnet2_cltm.matrix.decomposition import fit_additive
from espnet2_cltm.matrix.prediction import (
    LIMIT,
    language_relatedness,
    predict_pairs,
)
from espnet2_cltm.matrix.prediction_model import ModelSettings
from espnet2_cltm.matrix.published import PUBLISHED, read_published
from espnet2_cltm.progress import progress

MASKS = ("cells", "pairs")


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
        "--masks", type=positive_number, default=20, help="random masks, seeds from 0"
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


def measure(args: argparse.Namespace) -> None:
    """Go through matrices, kinds of masks and shares."""
    print(
        "matrix\tmask\tkept\tadditive r\tmodel r\tse of r\trmse\tcoverage", flush=True
    )
    for name in args.matrices:
        published = read_published(name)
        matrix = np.clip(published.values, -LIMIT, LIMIT)
        relations = language_relatedness(published.rows)
        for mask in args.mask:
            for share in args.kept:
                label = f"{name} {mask} {share:.0%}"
                found = [
                    judge(
                        matrix,
                        relations,
                        keep_at_random(len(matrix), share, mask, seed),
                    )
                    for seed in progress(range(args.masks), description=label)
                ]
                table = np.array(found)
                means = [
                    np.mean(column[np.isfinite(column)])
                    if np.isfinite(column).any()
                    else np.nan
                    for column in table.T
                ]
                r = table[:, 1][np.isfinite(table[:, 1])]
                error = r.std(ddof=1) / np.sqrt(len(r)) if len(r) > 1 else np.nan
                print(
                    f"{name}\t{mask}\t{share:.0%}\t{means[0]:.3f}\t{means[1]:.3f}\t"
                    f"{error:.3f}\t{means[2]:.3f}\t{means[3]:.3f}",
                    flush=True,
                )


def main(cmd: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = get_parser().parse_args(cmd)
    run_command(lambda: measure(args))


if __name__ == "__main__":
    main()
