#!/usr/bin/env python3
"""How many runs tell the best donors: pairs chosen in rounds, at random, by distance.

A published matrix stands for what ten seeds of every pair give. Fewer seeds of a cell
give that and noise, as a sample of the ten does; all ten give the matrix itself. The
noise of ten seeds is taken to have a share (--noise) of the variance that targets and
donors leave in a target's row: the figures that were published tell no variances.

After each round the model ranks every target's donors by what it expects of them. Of
these rankings are told

- regret: what the best donor is worth beyond the one that is ranked first, relative to
  what it is worth beyond an average donor; mean over targets;
- found: share of targets whose three donors that are ranked first are the best three.

For each matrix and way to choose: the share of all pair runs from which on the regret
stays within a tenth and nine targets of ten are found, and both at 40% of the runs,
means over repetitions. Single and double runs, which all ways make, are not counted.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.experiment.pair_selection import balanced_order
from espnet2_cltm.matrix.adaptive import (
    BEST,
    FIRST_SHARE,
    ROUND_SHARE,
    Measured,
    choose_runs,
    first_runs,
    judge,
)
from espnet2_cltm.matrix.decomposition import fit_additive
from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.matrix.matrix_files import PUBLISHED, read_published
from espnet2_cltm.matrix.prediction import closeness
from espnet2_cltm.progress import progress

WAYS = ("adaptive", "random", "distance")
SEEDS = 10
REGRET, FOUND, AT = 0.1, 0.9, 0.4

Runs = list[tuple[int, int, int]]


class Matrix:
    """A matrix that is measured seed by seed.

    Args:
        name: Name of a published matrix.
        share: Share of the residual variance that is noise of ten seeds.
        seed: Seed of the noise and of the languages' order.
    """

    def __init__(self, name: str, share: float, seed: int):
        published = read_published(name)
        self.truth = np.array(published.values, dtype=float)
        n = len(self.truth)
        np.fill_diagonal(self.truth, np.nan)
        self.relations = closeness(language_distances(published.rows))
        fit = fit_additive(self.truth)
        assert fit is not None
        left = np.nanvar(self.truth - fit.fitted, axis=1)
        self.noise = np.repeat(np.sqrt(share * left * SEEDS)[:, None], n, axis=1)
        generator = np.random.default_rng(seed)
        noise = generator.standard_normal((SEEDS, n, n)) * self.noise
        self.sums = np.cumsum(noise - noise.mean(axis=0), axis=0)
        order = generator.permutation(n)
        self.pairs = [
            (int(order[i]), int(order[j])) for i, j in balanced_order([*range(n)])
        ]
        self.n_seeds = np.zeros((n, n), dtype=int)

    def make(self, runs: Runs) -> None:
        """Make runs: pairs and how many seeds they have then."""
        for i, j, seeds in runs:
            self.n_seeds[i, j] = self.n_seeds[j, i] = seeds

    def measured(self) -> Measured:
        """Return what the runs made so far tell."""
        n, count = len(self.truth), np.maximum(self.n_seeds, 1)
        rows, columns = np.indices((n, n))
        values = self.truth + self.sums[count - 1, rows, columns] / count
        errors = self.noise * np.sqrt(np.maximum(1 / count - 1 / SEEDS, 1e-9))
        is_made = self.n_seeds > 0
        return Measured(
            np.where(is_made, values, np.nan),
            np.where(is_made, errors, np.nan),
            self.noise,
            self.n_seeds,
            np.ones(n, dtype=bool),
        )

    def share_made(self) -> float:
        """Return the share of all pair runs that are made."""
        return float(self.n_seeds.sum() / 2 / (len(self.pairs) * SEEDS))


def rounds(matrix: Matrix, way: str) -> Iterator[np.ndarray]:
    """Measure a matrix in rounds; yield share of runs, regret and share found."""
    truth = matrix.truth
    n_runs = max(round(ROUND_SHARE * SEEDS * len(matrix.pairs)), 1)
    near = matrix.relations.mean(axis=-1)
    queue = {
        "random": matrix.pairs,
        "distance": sorted(matrix.pairs, key=lambda pair: -near[pair]),
    }.get(way)
    best = np.nanmax(truth, axis=1)
    last = -np.sort(-np.nan_to_num(truth, nan=-np.inf), axis=1)[:, BEST - 1]
    while True:
        if queue is not None:
            count = max(n_runs // SEEDS, len(truth) if not matrix.n_seeds.any() else 1)
            matrix.make([(i, j, SEEDS) for i, j in queue[:count]])
            queue = queue[count:]
        elif not matrix.n_seeds.any():
            matrix.make(first_runs(matrix.pairs, len(truth), SEEDS, FIRST_SHARE))
        standing = judge(matrix.measured(), matrix.relations, SEEDS)
        chosen = np.take_along_axis(truth, standing.best, axis=1)
        regret = (best - chosen[:, 0]) / (best - np.nanmean(truth, axis=1))
        found = (chosen >= last[:, None]).all(axis=1)
        yield np.array([matrix.share_made(), regret.mean(), found.mean()])
        if queue is None:
            runs = choose_runs(standing, matrix.n_seeds, SEEDS, n_runs)
            if not runs:
                return
            matrix.make(runs)
        elif not queue:
            return


def from_which_on(shares: np.ndarray, is_good: np.ndarray) -> float:
    """Return the first share behind which all is good."""
    bad = np.flatnonzero(~is_good)
    place = bad[-1] + 1 if len(bad) else 0
    return float(shares[place]) if place < len(shares) else 1.0


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        description="Simulate designs on the published matrices.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--matrices", nargs="+", choices=tuple(PUBLISHED), default=list(PUBLISHED)
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--repetitions", type=int, default=3)
    return parser


def measure(args: argparse.Namespace) -> None:
    """Simulate all matrices and ways, and print a line of each."""
    header = ("matrix", "pairs", "regret ≤ 0.1", "9 of 10", "regret, 40%", "found, 40%")
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|", flush=True)
    for name in args.matrices:
        for way in args.ways:
            found = []
            for seed in progress(range(args.repetitions), description=f"{name} {way}"):
                table = np.array(list(rounds(Matrix(name, args.noise, seed), way)))
                at = min(np.searchsorted(table[:, 0], AT), len(table) - 1)
                enough = from_which_on(table[:, 0], table[:, 1] <= REGRET)
                all_best = from_which_on(table[:, 0], table[:, 2] >= FOUND)
                found.append((enough, all_best, *table[at, 1:]))
            enough, all_best, regret, share = np.mean(found, axis=0)
            cells = (
                f"{enough:.0%}",
                f"{all_best:.0%}",
                f"{regret:.2f}",
                f"{share:.0%}",
            )
            print(f"| {name} | {way} | {' | '.join(cells)} |", flush=True)


main = command(get_parser, measure)

if __name__ == "__main__":
    main()
