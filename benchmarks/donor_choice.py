#!/usr/bin/env python3
"""How well donors are chosen for a language that was never measured.

As LangRank (Lin et al., ACL 2019, arXiv:1905.12688) is judged: each target of a matrix
is left out, its donors are ranked, and the ranking is held to the measured one by

- NDCG@3: the best donor has relevance 10, the next 9 and so on down to 0, its gain is
  2 ** relevance - 1, and what stands at rank r counts 1 / log2(r + 1);
- Spearman's rank correlation.

Rankers: chance; a distance alone, nearest first; the mean worth of a donor to the other
targets; boosted trees on the distances that come with the package, trained on the other
targets (LangRank's method, with scikit-learn's trees in place of LambdaMART); the model
that recommend uses, with these distances and with all. A language that is the target
is no donor in training either. Donors whose distance is not known stand in the middle.
Intervals (95%) are of the mean over targets, by resampling targets.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import ndcg_score

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.languages import DISTANCES, TYPOLOGICAL, language_distances
from espnet2_cltm.matrix.matrix_files import PUBLISHED
from espnet2_cltm.matrix.phones import articulatory_distances
from espnet2_cltm.matrix.prediction import (
    FEWEST_MEASURED,
    LIMIT,
    closeness,
    predict_pairs,
)
from espnet2_cltm.matrix.prediction_model import ModelSettings
from espnet2_cltm.matrix.recommendation import cells_from_matrix
from espnet2_cltm.progress import progress

HIGHEST, DEPTH = 10, 3  # LangRank's relevance of the best, and NDCG@3
FOLDS = 10
RESAMPLES = 10_000
COMING_ALONG = (*DISTANCES, TYPOLOGICAL)

Distances = dict[str, np.ndarray]
Ranker = Callable[[np.ndarray, Distances], np.ndarray]
"""From (n, n) cells and distances to (n, n) scores, rows made without their target."""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        description="Judge how donors are chosen for targets that are left out.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--matrices",
        nargs="+",
        default=list(PUBLISHED),
        help="published matrices, or directories of stage 6, which are judged by "
        "Perf(i+j) - Perf(i)",
    )
    parser.add_argument(
        "--distances", type=Path, help="table of distances, of measure_distances"
    )
    parser.add_argument("--model", action="store_true", help="fit the model as well")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def judge(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return NDCG@3 and Spearman's correlation of one ranking, chance where tied.

    Args:
        truth: (donors,) what each is worth.
        scores: (donors,) what they are ranked by; NaN stands for the middle.
    """
    known = np.isfinite(scores)
    middle = np.median(scores[known]) if known.any() else 0.0
    scores = np.where(known, scores, middle)
    ranks = np.empty(len(truth))
    ranks[np.argsort(-truth, kind="stable")] = np.arange(len(truth))
    relevance = np.maximum(min(HIGHEST, len(truth)) - ranks, 0)
    ndcg = ndcg_score([2**relevance - 1], [scores], k=DEPTH)
    varies = np.ptp(scores) > 0 and np.ptp(truth) > 0
    return float(ndcg), float(spearmanr(truth, scores)[0]) if varies else 0.0


def chance(cells: np.ndarray, distances: Distances) -> np.ndarray:
    """Score all donors alike."""
    return np.zeros_like(cells)


def nearest(name: str) -> Ranker:
    """Return the ranker by one distance."""
    return lambda cells, distances: -distances[name]


def mean_worth(cells: np.ndarray, distances: Distances) -> np.ndarray:
    """Score donors by their mean over the other targets."""
    scores = np.empty_like(cells)
    for target in range(len(cells)):
        others = np.delete(_standardised(cells), target, axis=0)
        scores[target] = np.nanmean(others, axis=0)
    return scores


def boosted_trees(cells: np.ndarray, distances: Distances) -> np.ndarray:
    """Score donors by trees on distances, trained on the other targets."""
    features = np.stack([distances[name] for name in COMING_ALONG], axis=-1)
    standard = _standardised(cells)
    scores = np.empty_like(cells)
    for target in progress(range(len(cells)), description="trees", unit="target"):
        kept = np.isfinite(standard)
        kept[target] = kept[:, target] = False
        trees = HistGradientBoostingRegressor(max_iter=60, random_state=0)
        trees.fit(features[kept], standard[kept])
        scores[target] = trees.predict(features[target])
    return scores


def model(names: Sequence[str], seed: int) -> Ranker:
    """Return the ranker by the model of recommend, with some distances."""

    def score(cells: np.ndarray, distances: Distances) -> np.ndarray:
        relations = closeness({name: distances[name] for name in names})
        order = np.random.default_rng(seed).permutation(len(cells))
        scores = np.empty_like(cells)
        for part in progress(range(FOLDS), description="model", unit="part"):
            out = np.isin(np.arange(len(cells)), order[part::FOLDS])
            left = np.where(out[:, None] | out, np.nan, cells)
            found = predict_pairs(left, relations, settings=ModelSettings(seed=seed))
            if found is not None:
                scores[out] = found.mean[out]
        return scores

    return score


def _standardised(cells: np.ndarray) -> np.ndarray:
    """Bring each target's donors to mean 0 and deviation 1."""
    centred = cells - np.nanmean(cells, axis=1, keepdims=True)
    return centred / np.maximum(np.nanstd(cells, axis=1, keepdims=True), 1e-12)


def measure(args: argparse.Namespace) -> None:
    """Judge all rankers on all matrices, and print a table of each."""
    for name in args.matrices:
        codes, cells = read_cells(name)
        distances = language_distances(codes, args.distances)
        distances.setdefault("articulatory", articulatory_distances(codes))
        print(f"\n{name}: {len(codes)} languages\n", flush=True)
        print("| donors ranked by | NDCG@3 | Spearman |\n|---|---|---|", flush=True)
        for ranker, function in rankers(args, distances, cells).items():
            scores = function(cells, distances)
            found = np.array(list(rows(cells, scores)))
            numbers = (interval(found[:, place], args.seed) for place in (0, 1))
            print(f"| {ranker} | {' | '.join(numbers)} |", flush=True)


def rankers(
    args: argparse.Namespace, distances: Distances, cells: np.ndarray
) -> dict[str, Ranker]:
    """Return the rankers that a matrix allows, by name."""
    found: dict[str, Ranker] = {"chance": chance}
    found |= {name: nearest(name) for name in distances}
    found["mean worth to other targets"] = mean_worth
    found["URIEL+, boosted trees"] = boosted_trees
    if args.model and np.isfinite(cells).sum() >= 4 * FEWEST_MEASURED:
        found["model, URIEL+"] = model(COMING_ALONG, args.seed)
        found["model, all distances"] = model(tuple(distances), args.seed)
    return found


def read_cells(name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return languages and (n, n) cells, NaN on the diagonal."""
    found = cells_from_matrix(name)
    cells = np.clip(found.cltm if name in PUBLISHED else found.gain, -LIMIT, LIMIT)
    np.fill_diagonal(cells, np.nan)
    kept = np.isfinite(cells).sum(axis=1) > 1
    if not kept.any():
        raise UserError(f"{name} has no target with two donors.")
    return found.languages, cells


def rows(cells: np.ndarray, scores: np.ndarray):
    """Yield what each target's ranking is worth."""
    for truth, of_target in zip(cells, scores, strict=True):
        there = np.isfinite(truth)
        if there.sum() > 1:
            yield judge(truth[there], of_target[there])


def interval(values: np.ndarray, seed: int) -> str:
    """Return the mean of some targets and its interval as text."""
    generator = np.random.default_rng(seed)
    drawn = generator.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


main = command(get_parser, measure)

if __name__ == "__main__":
    main()
