#!/usr/bin/env python3
"""What a cheaper design costs, and how near its matrix comes to the full one's.

Every experiment has been run to its end (stages 3 to 6) on the same languages and
seeds. Cost is the time in which workers were at work on runs, training and testing.
Likeness is Pearson's r over the off-diagonal cells of the CLTM, predicted cells where
pairs were not measured, and over mean scores Perf by kind of run and tested language,
which tell more where there are few cells.

    benchmarks/cheaper_designs.py --task gender --full exp/full --design cnn=exp/cnn
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan

METRIC = {"gender": "macro_f1", "speaker": "roc_auc"}


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=METRIC, required=True)
    parser.add_argument("--full", type=Path, required=True, help="exp/<tag>")
    parser.add_argument(
        "--design",
        action="append",
        default=[],
        metavar="NAME=EXP",
        help="another experiment, and what to call it",
    )
    return parser


def seconds_of(directory: ExperimentDir, task: str) -> tuple[int, float, float]:
    """Give the number of runs, and seconds of training and of testing."""
    runs = [p.run.name for p in read_plan(directory.plan) if p.run.task == task]
    made = [json.loads(directory.metrics(name).read_text()) for name in runs]
    return (
        len(runs),
        sum(m["train_seconds"] for m in made),
        sum(m["test_seconds"] for m in made),
    )


def read_cells(directory: ExperimentDir, task: str) -> pd.Series:
    """Give the off-diagonal cells, measured or predicted, by target and donor."""
    outdir = directory.root / "cltm" / task
    matrix = pd.read_csv(outdir / "cltm.csv", index_col="target")
    cells = matrix.stack()
    predicted = outdir / "predicted.tsv"
    if predicted.exists():
        table = pd.read_csv(predicted, sep="\t", index_col=["target", "donor"])
        cells = cells.combine_first(table["cltm"])
    targets, donors = (cells.index.get_level_values(level) for level in (0, 1))
    return cells[targets != donors]


def read_scores(directory: ExperimentDir, task: str) -> pd.Series:
    """Give mean scores over seeds by kind, languages and tested language."""
    table = pd.read_csv(directory.results, sep="\t")
    table = table[(table["task"] == task) & (table["metric"] == METRIC[task])]
    return table.groupby(["kind", "languages", "test_language"])["value"].mean()


def likeness(one: pd.Series, other: pd.Series) -> str:
    """Give Pearson's r over what both have."""
    both = pd.concat([one, other], axis=1, join="inner").dropna().to_numpy()
    if len(both) < 3 or np.ptp(both, axis=0).min() == 0:
        return f"- ({len(both)})"
    r = stats.pearsonr(both[:, 0], both[:, 1]).statistic
    rmse = np.sqrt(np.mean((both[:, 0] - both[:, 1]) ** 2))
    return f"{r:.2f}, RMSE {rmse:.3f} ({len(both)})"


def compare(args: argparse.Namespace) -> None:
    """Print the table.

    Raises:
        UserError: An experiment is not finished.
    """
    names = {"full": args.full}
    for design in args.design:
        name, _, path = design.partition("=")
        names[name] = Path(path)
    full = ExperimentDir(args.full)
    print("| design | runs | train s | test s | cost | CLTM cells: r | scores: r |")
    print("|---|---|---|---|---|---|---|")
    cost_of_full = sum(seconds_of(full, args.task)[1:])
    for name, root in names.items():
        directory = ExperimentDir(root)
        if not (root / "cltm" / args.task / "cltm.csv").exists():
            raise UserError(f"{root} has no matrix of {args.task}: run stages 3 to 6.")
        n_runs, train, test = seconds_of(directory, args.task)
        cells = likeness(read_cells(full, args.task), read_cells(directory, args.task))
        scores = likeness(
            read_scores(full, args.task), read_scores(directory, args.task)
        )
        print(
            f"| {name} | {n_runs} | {train:.0f} | {test:.0f} | "
            f"{(train + test) / cost_of_full:.2f} | {cells} | {scores} |"
        )


def main() -> None:
    """Run the comparison."""
    args = get_parser().parse_args()
    run_command(lambda: compare(args))


if __name__ == "__main__":
    main()
