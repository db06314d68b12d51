#!/usr/bin/env python3
"""How well unmeasured cells of the published matrices are predicted from the others.

Keeps a random share of the off-diagonal cells, or of the unordered pairs of languages,
whose run measures (i,j) and (j,i); values are clipped to ± 3. Prints for each matrix,
kind of mask and share, averaged over masks: Pearson's r between predicted and left-out
cells for the additive fit, for ridge regression on targets, donors and distances, and
for the model, with its standard error over masks; the model's RMSE, the share of
left-out cells in their 95% interval, and the seconds of a prediction. Where the kept
cells form separate groups, the additive fit predicts some of the left-out cells only
and is judged by these. Lines are printed as they are found, and the whole table at the
end, as Markdown.
"""

import argparse
import time

import numpy as np
from sklearn.linear_model import RidgeCV

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.matrix.decomposition import fit_additive
from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.matrix.matrix_files import PUBLISHED, read_published
from espnet2_cltm.matrix.prediction import LIMIT, closeness, predict_pairs
from espnet2_cltm.matrix.prediction_model import ModelSettings
from espnet2_cltm.progress import progress

MASKS = ("cells", "pairs")
MEASURED = ("additive r", "ridge r", "model r", "se", "rmse", "coverage", "seconds")
ALPHAS = np.logspace(-2, 3, 26)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
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
        "--masks",
        type=int,
        default=20,
        help="number of random masks, with seeds from 0",
    )
    return parser


def keep_at_random(n: int, share: float, mask: str, seed: int) -> np.ndarray:
    """Draw the cells to keep, (n, n) bool, none on the diagonal."""
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
) -> tuple[float, float, float, float, float]:
    """Return r of the additive fit and of ridge; r, RMSE and coverage of the model."""
    left = ~kept & ~np.eye(len(matrix), dtype=bool)
    measured = np.where(kept, matrix, np.nan)
    additive = fit_additive(measured)
    fitted = np.full(matrix.shape, np.nan) if additive is None else additive.fitted
    told = left & np.isfinite(fitted)
    r = (
        _pearson(fitted[told], matrix[told]),
        _pearson(ridge(measured, relations)[left], matrix[left]),
    )
    prediction = predict_pairs(measured, relations, settings=ModelSettings())
    if prediction is None:
        return (*r, np.nan, np.nan, np.nan)
    difference = (prediction.mean - matrix)[left]
    inside = (prediction.low <= matrix) & (matrix <= prediction.high)
    return (
        *r,
        _pearson(prediction.mean[left], matrix[left]),
        float(np.sqrt(np.mean(difference**2))),
        float(inside[left].mean()),
    )


def ridge(matrix: np.ndarray, relations: np.ndarray) -> np.ndarray:
    """Predict (n, n) cells from targets, donors and distances, penalised alike."""
    n = len(matrix)
    rows, columns = np.indices((n, n)).reshape(2, -1)
    effects = np.eye(n)
    design = np.hstack([effects[rows], effects[columns], relations.reshape(n * n, -1)])
    known = np.isfinite(matrix.ravel())
    fit = RidgeCV(alphas=ALPHAS).fit(design[known], matrix.ravel()[known])
    return np.clip(fit.predict(design), -LIMIT, LIMIT).reshape(n, n)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 3 or not min(np.ptp(a), np.ptp(b)) > 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def measure(args: argparse.Namespace) -> None:
    """Measure all matrices, kinds of masks and shares."""
    header = ("matrix", "mask", "kept", *MEASURED)
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
                    start = time.perf_counter()
                    numbers = judge(matrix, relations, kept)
                    found.append((*numbers, time.perf_counter() - start))
                table = np.array(found)
                means = _means(table)
                means.insert(3, _standard_error(table[:, 2]))
                line = [name, mask, f"{share:.0%}", *(f"{x:.3f}" for x in means)]
                print("\t".join(line), flush=True)
                lines.append(line)
    print()
    for row in (header, ["---"] * len(header), *lines):
        print("| " + " | ".join(row) + " |")


def _means(table: np.ndarray) -> list[float]:
    """Return means of columns over the masks that have a number."""
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


main = command(get_parser, measure)

if __name__ == "__main__":
    main()
