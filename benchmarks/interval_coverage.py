#!/usr/bin/env python3
"""Coverage of intervals and false discoveries of q-values, on known matrices.

Draws matrices with the self-gains and noise of real results, estimates each as stage 6
does, and counts over identified cells how often Fieller's set and the bootstrap
interval contain the truth, and the share of false discoveries among cells with q <
0.05, 0 for a matrix without discoveries. Also printed is the median estimate of cells
whose CLTM is truly 1, from all runs and after the published pipeline's selection by
scores. Exits with status 1 if Fieller's sets or the q-values miss their bars.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.matrix.estimates import IDENTIFICATION_LEVEL, cell_moments, estimate
from espnet2_cltm.matrix.uncertainty import (
    BOUNDED,
    CellUncertainty,
    IntervalSettings,
    bootstrap_limits,
    cell_uncertainty,
)
from espnet2_cltm.progress import progress
from tests.matrix.simulator import (
    Simulation,
    draw_scores,
    draw_truth,
    select_as_published,
    simulation_of_results,
    unpaired_cltm,
)

COVERAGE_BAR = (0.93, 0.97)
FALSE_DISCOVERY_BAR = 0.055
Q = 0.05


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        description="Measure coverage and false discoveries on simulated matrices.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("exp/demo_gender_n2_speaker_n32/results.tsv"),
        help="real results whose self-gains and noise are used",
    )
    parser.add_argument("--task", nargs="+", default=["gender", "speaker"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--matrices", type=int, default=2000)
    parser.add_argument("--n_languages", type=int, default=20)
    parser.add_argument(
        "--bootstrap_matrices",
        type=int,
        default=200,
        help="number of them with a bootstrap interval",
    )
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument(
        "--gain_factor",
        type=float,
        default=1.0,
        help="factor of the self-gains: below 1 for tasks that are harder to identify",
    )
    parser.add_argument(
        "--identification_level",
        type=float,
        default=IDENTIFICATION_LEVEL,
        help="one-sided level of the test that a self-gain is positive",
    )
    parser.add_argument(
        "--test_run_sd",
        type=float,
        default=0.0,
        help="of what a test set does to a run alike in all seeds (see the simulator)",
    )
    parser.add_argument(
        "--share_no_gain",
        type=float,
        default=0.0,
        help="share of languages of which nothing helps, not even their own data",
    )
    parser.add_argument(
        "--n_speakers",
        type=int,
        default=0,
        help="number of test speakers left out in turn; 0 knows of seeds alone",
    )
    parser.add_argument("--random_seed", type=int, default=0)
    return parser


def simulate(simulation: Simulation, number: int, args: argparse.Namespace) -> dict:
    """Draw and judge one matrix; return arrays to join, by name."""
    generator = np.random.default_rng((args.random_seed, number))
    truth = draw_truth(simulation, generator)
    scores = draw_scores(truth, simulation, generator)
    moments = cell_moments(scores)
    matrix = estimate(moments, args.identification_level)
    cells = cell_uncertainty(scores, moments, matrix, IntervalSettings(resamples=1))
    off = ~np.eye(simulation.n_languages, dtype=bool)
    shown = (matrix.reason == "") & off & (truth.gain > 0)[:, None]
    cross_gain = truth.cltm * truth.gain[:, None]
    counted = {
        "identified": shown[off],
        "cltm": truth.cltm[shown],
        "fieller": cells.fieller.contains(truth.cltm)[shown],
        "bounded": (cells.fieller.kind == BOUNDED)[shown],
        "cross_gain": _inside(cells, cross_gain)[off],
        "self_gain": np.diagonal(_inside(cells, cross_gain)),
        "false_zero": _false_discoveries(cross_gain[off] == 0, cells.q_gain[off]),
        "false_self": _false_discoveries(truth.gain == 0, np.diagonal(cells.q_gain)),
        "false_one": _false_discoveries(truth.cltm[shown] == 1, cells.q_one[shown]),
        "discoveries": (cells.q_gain < Q)[off],
        "own_discoveries": (np.diagonal(cells.q_gain) < Q)[truth.gain != 0],
        "one_from_all": unpaired_cltm(scores)[off & (truth.cltm == 1)],
        "one_selected": unpaired_cltm(select_as_published(scores))[
            off & (truth.cltm == 1)
        ],
    }
    if number < args.bootstrap_matrices:
        settings = IntervalSettings(0.95, args.resamples, number)
        limits = bootstrap_limits(scores, settings, moments.shared)
        inside = (limits.low <= truth.cltm) & (truth.cltm <= limits.high)
        counted["bootstrap"] = inside[shown]
        counted["bootstrap_bounded"] = np.isfinite(limits.high - limits.low)[shown]
    return counted


def _inside(cells: CellUncertainty, gain: np.ndarray) -> np.ndarray:
    return (cells.gain_low <= gain) & (gain <= cells.gain_high)


def _false_discoveries(null: np.ndarray, q: np.ndarray) -> np.ndarray:
    found = q < Q
    return np.array([(found & null).sum() / max(found.sum(), 1)])


def join(parts: Iterable[dict]) -> dict[str, np.ndarray]:
    """Concatenate the arrays of all matrices."""
    joined = defaultdict(list)
    for part in parts:
        for name, values in part.items():
            joined[name].append(values)
    return {name: np.concatenate(values) for name, values in joined.items()}


def report(label: str, all_cells: dict[str, np.ndarray]) -> bool:
    """Print one setting's figures; return whether the bars hold."""
    cltm, fieller = all_cells["cltm"], all_cells["fieller"]
    bounded = all_cells["bounded"]
    coverage = fieller.mean()
    rates = [all_cells[f"false_{name}"].mean() for name in ("zero", "self", "one")]
    gains = [all_cells[name].mean() for name in ("cross_gain", "self_gain")]
    held = COVERAGE_BAR[0] <= coverage <= COVERAGE_BAR[1]
    held &= min(gains) >= COVERAGE_BAR[0]
    held &= max(rates) <= FALSE_DISCOVERY_BAR
    print(f"{label}: {'bars held' if held else 'BARS MISSED'}")
    print(f"  cross-gains, self-gains     {gains[0]:.4f}, {gains[1]:.4f} covered")
    print(f"  cells identified            {all_cells['identified'].mean():.3f}")
    print(f"  Fieller covers              {coverage:.4f} of {len(cltm)}")
    for name, group in (
        ("where CLTM is 0", cltm == 0),
        ("where CLTM is 1", cltm == 1),
        ("elsewhere", (cltm != 0) & (cltm != 1)),
        ("where bounded", bounded),
    ):
        print(f"    {name:<25} {fieller[group].mean():.4f} of {group.sum()}")
    if "bootstrap" in all_cells:
        inside = all_cells["bootstrap"]
        print(f"  bootstrap covers            {inside.mean():.4f} of {len(inside)}")
        print(
            f"    bounded                   {all_cells['bootstrap_bounded'].mean():.3f}"
        )
    print(
        f"  false discoveries, q < {Q}  {rates[0]:.4f} (cross-gain 0), "
        f"{rates[1]:.4f} (self-gain 0), {rates[2]:.4f} (CLTM 1)"
    )
    cells, own = (all_cells[x].mean() for x in ("discoveries", "own_discoveries"))
    print(
        f"  told from 0                 {cells:.3f} of cells, {own:.3f} of self-gains"
    )
    print(
        f"  median where CLTM is 1      {np.median(all_cells['one_from_all']):.2f}, "
        f"selected {np.median(all_cells['one_selected']):.2f}",
        flush=True,
    )
    return held


def measure(args: argparse.Namespace) -> None:
    """Go through tasks and numbers of seeds."""
    held = True
    for task in args.task:
        real = simulation_of_results(args.results, task, n_languages=args.n_languages)
        real = replace(
            real,
            gain_mean=real.gain_mean * args.gain_factor,
            gain_sd=real.gain_sd * args.gain_factor,
            test_run_sd=args.test_run_sd,
            n_speakers=args.n_speakers,
            share_no_gain=args.share_no_gain,
        )
        print(
            f"{task}: self-gain {real.gain_mean:.3f} ± {real.gain_sd:.3f}, deviation "
            f"over seeds {real.run_sd:.3f}, correlation {real.seed_correlation:.2f}",
            flush=True,
        )
        for n_seeds in args.seeds:
            simulation = replace(real, n_seeds=n_seeds)
            label = f"{task}, {n_seeds} seeds"
            numbers = progress(range(args.matrices), description=label, unit="matrix")
            held &= report(label, join(simulate(simulation, k, args) for k in numbers))
    if not held:
        sys.exit(1)


main = command(get_parser, measure)

if __name__ == "__main__":
    main()
