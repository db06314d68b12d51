#!/usr/bin/env python3
"""How sharp the matrices of one experiment are with different encoders.

The experiments are complete (stages 3 to 6), on the same languages and seeds. Printed
for each are the mean scores of single and double runs, the share of identified targets
and, for the off-diagonal cells, the number with a bounded (Fieller's) interval, the
mean width of bounded intervals, and the median width of all, unbounded ones being
infinite.

    benchmarks/compare_encoders.py --task gender pretrained=exp/a random=exp/b
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.errors import UserError


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=("gender", "speaker"), required=True)
    parser.add_argument("experiments", nargs="+", metavar="NAME=EXP")
    return parser


def describe(path: Path) -> str:
    """Return an experiment's columns of the table.

    Args:
        path: The experiment's ``cells.tsv``.

    Raises:
        UserError: The file is missing.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: run stages 3 to 6.")
    cells = pd.read_csv(path, sep="\t")
    targets = cells.groupby("target").first()
    off = cells[cells["target"] != cells["donor"]]
    width = off["fieller_high"] - off["fieller_low"]
    bounded = width[np.isfinite(width)]
    identified = (targets["identified"] == "yes").mean()
    columns = (
        f"{targets['single'].mean():.3f}",
        f"{targets['double'].mean():.3f}",
        f"{identified:.0%} of {len(targets)}",
        f"{len(bounded)} of {len(off)}",
        f"{bounded.mean():.2f}" if len(bounded) else "-",
        f"{width.fillna(float('inf')).median():.2f}",
    )
    return " | ".join(columns)


def compare(args: argparse.Namespace) -> None:
    """Print the table."""
    header = [
        "encoder",
        "single",
        "double",
        "identified",
        "bounded",
        "mean_width",
        "median_width",
    ]
    print(f"| {' | '.join(header).replace('_', ' ')} |")
    print(f"|{'---|' * len(header)}")
    for experiment in args.experiments:
        name, _, root = experiment.partition("=")
        print(f"| {name} | {describe(Path(root) / 'cltm' / args.task / 'cells.tsv')} |")


def main() -> None:
    """Run the comparison."""
    args = get_parser().parse_args()
    run_command(lambda: compare(args))


if __name__ == "__main__":
    main()
