#!/usr/bin/env python3
"""Coverage of the intervals of summary numbers, strengths and ranks.

Draws known matrices with the self-gains and noise of the demo's runs, or of other
results, estimates each as stage 6 does, and counts how often each interval contains the
number of the true matrix over the same cells. Also printed are the median width, and
the distance of estimate and corrected number from the truth (median over matrices).
There are two kinds of truth: ``independent`` cells, normal, 0.6 with deviation 0.4,
some exactly 0 and 1 with ``--share_zero`` and ``--share_one``; and ``additive`` ones,
0.5 with effects of targets (deviation 0.3), donors (0.25) and pairs (0.2), as the
published matrices are mostly made of. Takes about a quarter of an hour.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.estimates import cell_moments, estimate
from espnet2_cltm.matrix.property_intervals import (
    MatrixNumbers,
    matrix_numbers,
    matrix_numbers_with_intervals,
)
from espnet2_cltm.matrix.uncertainty import IntervalSettings
from espnet2_cltm.progress import progress
from tests.matrix.simulator import (
    Simulation,
    Truth,
    draw_scores,
    draw_truth,
    simulation_of_results,
)

# As simulation_like finds them in the 280 runs of either task of the demo.
DEMO = {
    "gender": Simulation(
        gain_mean=0.071, gain_sd=0.023, run_sd=0.051, seed_correlation=0.37
    ),
    "speaker": Simulation(
        gain_mean=0.085, gain_sd=0.005, run_sd=0.063, seed_correlation=0.12
    ),
}
FAMILY_SIZE = 4  # languages of one made-up family
ADDITIVE_MEAN = 0.5
ADDITIVE_DEVIATIONS = (0.3, 0.25, 0.2)  # of targets, donors and pairs
SETTINGS = ("share_zero", "share_one", "test_run_sd", "n_speakers")  # of simulations
LEVEL = 0.95
BAR = 0.9


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        description="Measure the coverage of summary numbers' intervals.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--results", type=Path, help="results whose self-gains and noise are used"
    )
    parser.add_argument("--task", nargs="+", default=["gender", "speaker"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--n_languages", type=int, nargs="+", default=[9, 20])
    parser.add_argument("--matrices", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument(
        "--truth",
        nargs="+",
        choices=("independent", "additive"),
        default=["independent", "additive"],
    )
    parser.add_argument("--share_zero", type=float, default=0.0)
    parser.add_argument("--share_one", type=float, default=0.0)
    parser.add_argument("--test_run_sd", type=float, default=0.0)
    parser.add_argument("--n_speakers", type=int, default=0)
    parser.add_argument("--random_seed", type=int, default=0)
    return parser


class Count:
    """Coverage of one interval over matrices, or over languages and matrices."""

    def __init__(self) -> None:
        self.held: list[bool] = []
        self.width: list[float] = []
        self.bias: list[float] = []
        self.corrected_bias: list[float] = []

    def add(self, interval, truth: float) -> None:
        """Count an interval with ``low``, ``high``, ``value`` and ``corrected``."""
        tolerance = 1e-9 * max(1.0, abs(truth))
        self.held.append(interval.low - tolerance <= truth <= interval.high + tolerance)
        self.width.append(interval.high - interval.low)
        self.bias.append(interval.value - truth)
        if interval.corrected is not None:
            self.corrected_bias.append(interval.corrected - truth)


def count(counts: dict[str, Count], found: MatrixNumbers, truth: MatrixNumbers) -> None:
    """Compare one matrix's numbers with those of the truth."""
    for name, interval in found.properties.items():
        true_value = truth.properties[name].value
        if interval.low is not None and true_value is not None:
            counts[name].add(interval, true_value)
    for name, languages in found.strengths.items():
        for one, true_one in zip(languages, truth.strengths[name], strict=True):
            if one.rank_low is not None:
                counts[name].add(one, true_one.value)
                rank = counts[f"rank by {name}"]
                rank.held.append(one.rank_low <= true_one.rank <= one.rank_high)
                rank.width.append(one.rank_high - one.rank_low)


def simulations(args: argparse.Namespace) -> dict[str, Simulation]:
    """Return every task's self-gains and noise."""
    found = {}
    for task in args.task:
        if args.results is None:
            if task not in DEMO:
                raise UserError(
                    f"no figures are known of task {task}: give --results, or one of "
                    f"{', '.join(DEMO)}."
                )
            found[task] = DEMO[task]
            continue
        found[task] = simulation_of_results(args.results, task)
    return {
        task: replace(one, **{name: getattr(args, name) for name in SETTINGS})
        for task, one in found.items()
    }


def measure(args: argparse.Namespace) -> None:
    """Print the figures of every setting, and the lowest coverage of all."""
    lowest: dict[str, dict[str, float]] = {"identified": {}, "all": {}}
    for kind, (task, simulation) in product(args.truth, simulations(args).items()):
        for n in args.n_languages:
            family = np.arange(n) // FAMILY_SIZE
            related = (family[:, None] == family) & ~np.eye(n, dtype=bool)
            for n_seeds in args.seeds:
                setting = replace(simulation, n_languages=n, n_seeds=n_seeds)
                label = f"{kind}, {task}, {n} languages, {n_seeds} seeds"
                counts = _simulate(kind, setting, related, label, args)
                for targets, by_name in counts.items():
                    _report(f"{label}, {targets} targets", by_name)
                    for name, one in by_name.items():
                        held = float(np.mean(one.held))
                        before = lowest[targets].get(name, 1.0)
                        lowest[targets][name] = min(held, before)
    for targets, by_name in lowest.items():
        print(f"lowest coverage, {targets} targets")
        for name, held in by_name.items():
            print(f"  {name:<28}{held:.3f}{'  BELOW' if held < BAR else ''}")


def additive(truth: Truth, generator: np.random.Generator) -> Truth:
    """Replace independent cells by effects of targets, donors and pairs."""
    n = len(truth.gain)
    cltm = ADDITIVE_MEAN + sum(
        generator.normal(0, deviation, shape)
        for deviation, shape in zip(
            ADDITIVE_DEVIATIONS, ((n, 1), (1, n), (n, n)), strict=True
        )
    )
    np.fill_diagonal(cltm, 1.0)
    return Truth(truth.gain, cltm)


def _simulate(
    kind: str,
    setting: Simulation,
    related: np.ndarray,
    label: str,
    args: argparse.Namespace,
) -> dict[str, dict[str, Count]]:
    counts = {"identified": defaultdict(Count), "all": defaultdict(Count)}
    for number in progress(range(args.matrices), description=label, unit="matrix"):
        generator = np.random.default_rng((args.random_seed, number))
        truth = draw_truth(setting, generator)
        if kind == "additive":
            truth = additive(truth, generator)
        scores = draw_scores(truth, setting, generator)
        matrix = estimate(cell_moments(scores))
        for targets, values in (
            ("identified", matrix.cltm),
            ("all", matrix.raw_cltm),
        ):
            settings = IntervalSettings(LEVEL, args.resamples, number)
            found = matrix_numbers_with_intervals(scores, values, related, settings)
            true_values = np.where(np.isfinite(values), truth.cltm, np.nan)
            count(counts[targets], found, matrix_numbers(true_values, related))
    return counts


def _report(label: str, counts: dict[str, Count]) -> None:
    print(f"{label}\n  {'':<28}covers   of  width   bias  corrected")
    for name, one in counts.items():
        biases = [
            f"{np.median(values):+.3f}" if values else "     -"
            for values in (one.bias, one.corrected_bias)
        ]
        print(
            f"  {name:<28}{np.mean(one.held):.3f} {len(one.held):5d} "
            f"{np.median(one.width):6.3g} {biases[0]} {biases[1]}",
            flush=True,
        )


main = command(get_parser, measure)

if __name__ == "__main__":
    main()
