#!/usr/bin/env python3
"""Encoders side by side: ABX, Perf, gains and transfer, and how sharp the matrices are.

Each encoder has an experiment (stages 3 to 5) or several, such as that of the demo and
that of real speech; those of one place in the lists are compared, task by task, on the
same languages and seeds. In brackets stands the difference to the first encoder with
its interval of 95%, paired by seed as that of strategies is
(``espnet2_cltm/matrix/strategies.py``): means run over languages, intervals over seeds.
Bounded are the off-diagonal cells with a bounded (Fieller's) interval; the mean width
is that of these, the median width that of all, unbounded ones being infinite.

``--abx`` adds ABX errors in % of each encoder, in each language: of the layer with the
lowest mean over languages, which flatters all alike as it is chosen on this table
itself, and of the last layer. Their intervals are a bootstrap over speakers.

    benchmarks/compare_encoders.py hubert-small=exp/demo,exp/real \\
        grounded=exp/demo_grounded,exp/real_grounded \\
        --abx hubert-small=exp/abx grounded=exp/abx_grounded
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet2_cltm.abx.features import LOG_MEL, NORMALISED, RANDOM
from espnet2_cltm.abx.measuring import read_results
from espnet2_cltm.bin.command_line import command
from espnet2_cltm.bin.compare_abx import Measured, compare_measured
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.results import Choice, read_scores
from espnet2_cltm.matrix.scores import SeedScores
from espnet2_cltm.matrix.strategies import (
    PERF,
    Compared,
    StrategyMeasure,
    compare_strategies,
)
from espnet2_cltm.matrix.text_table import read_text_table, require_columns
from espnet2_cltm.matrix.uncertainty import BOUNDED, Analysis, IntervalSettings, analyse
from espnet2_cltm.report.page.strategies import compared_text
from espnet2_cltm.results_format import DATA

DRAWS = 1000
"""Draws of speakers for the intervals of ABX errors."""
ERROR = StrategyMeasure("abx", "ABX error", PERF, scale=0.01, digits=1)

Experiment = dict[str, Analysis]
"""Analyses of an experiment by task."""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", help="task to compare; left out, all of them")
    parser.add_argument("experiments", nargs="+", metavar="NAME=EXP[,EXP...]")
    parser.add_argument(
        "--abx", nargs="+", default=[], metavar="NAME=DIR", help="--outdir of abx.py"
    )
    return parser


def named(texts: Sequence[str]) -> dict[str, str]:
    """Return what stands behind each name.

    Raises:
        UserError: One has no name, or that of another one.
    """
    pairs = [text.partition("=")[::2] for text in texts]
    found = dict(pairs)
    if not all(name and value for name, value in pairs) or len(found) < len(pairs):
        raise UserError(f"'{' '.join(texts)}' is not NAME=PATH, each name once.")
    return found


def analyse_tasks(results: Path, task: str | None) -> Experiment:
    """Analyse the matrix of a task, or of all that an experiment has.

    Raises:
        UserError: It has no such matrix.
    """
    table = read_text_table(results)
    require_columns(table, ["task"], "give an experiment of run.sh")
    tasks = [task] if task else sorted(table.rows["task"].unique())
    return {
        name: analyse(read_scores(results, Choice(task=name)), IntervalSettings())
        for name in tasks
    }


def sharpness(analysis: Analysis) -> dict[str, str]:
    """Return how sharp the off-diagonal cells of a matrix are."""
    sets = analysis.uncertainty.fieller
    off = ~np.eye(len(sets.kind), dtype=bool)
    bounded = (sets.kind == BOUNDED) & off
    width = np.where(bounded, sets.high - sets.low, np.inf)
    return {
        "bounded": f"{bounded.sum()} of {off.sum()}",
        "mean width": f"{width[bounded].mean():.2f}" if bounded.any() else "-",
        "median width": f"{np.median(width[off]):.2f}",
    }


def settings_of(analysis: Analysis) -> dict[str, str]:
    """Return what has to be the same for all encoders."""
    scores, source = analysis.scores, analysis.scores.source
    assert isinstance(scores, SeedScores)
    return {
        "Task": source.task,
        "Metric": source.metric_title,
        "N": f"{source.budget_text}, {source.steps} steps",
        "Languages": " ".join(scores.languages),
        "Seeds": f"seeds {' '.join(map(str, scores.seeds))}",
    }


def compare_task(analyses: Mapping[str, Analysis]) -> Iterator[list[str]]:
    """Yield the rows of a task's table, of the encoders' analyses.

    Raises:
        UserError: The encoders were not measured alike.
    """
    names = list(analyses)
    settings = [settings_of(analysis) for analysis in analyses.values()]
    for name, other in zip(names, settings, strict=True):
        for what, here in settings[0].items():
            if other[what] != here:
                raise UserError(
                    f"{what} of {names[0]}: {here}; of {name}: {other[what]}. Compare "
                    "experiments of the same settings."
                )
    compared = compare_strategies(analyses, {}, IntervalSettings())
    yield [", ".join(settings[0].values()), *names]
    for measure in compared.known:
        of = compared.numbers[measure.name]
        yield [measure.title, *(compared_text(measure, one) for one in of)]
    sharp = [sharpness(analysis) for analysis in analyses.values()]
    yield from ([title, *(one[title] for one in sharp)] for title in sharp[0])


def layers_of(outdir: Path) -> tuple[Measured, Measured]:
    """Return the layer with the lowest mean error over tests, and the last layer.

    Raises:
        UserError: The directory has not the layers of one encoder.
    """
    remedy = "measure it with local/abx.py"
    rows = [
        row
        for row in read_results(outdir, remedy)
        if row["features"] not in (LOG_MEL, NORMALISED, RANDOM)
    ]
    features = sorted({row["features"] for row in rows})
    if len(features) != 1:
        raise UserError(
            f"{outdir} has ABX of {', '.join(features) or 'no encoder'}: {remedy}, a "
            "directory for each encoder."
        )
    errors: dict[int, list[float]] = {}
    for row in rows:
        errors.setdefault(int(row["layer"]), []).append(float(row["error"]))
    best = min(sorted(errors), key=lambda layer: float(np.mean(errors[layer])))
    last = max(errors)
    return Measured(outdir, features[0], best), Measured(outdir, features[0], last)


def compare_abx(directories: Mapping[str, Path]) -> Iterator[list[str]]:
    """Yield the rows of the table of ABX errors.

    Raises:
        UserError: The encoders were not measured alike.
    """
    layers = {name: layers_of(directory) for name, directory in directories.items()}
    yield ["ABX error, %", *layers]
    for number, title in enumerate(("lowest of all layers", "last layer")):
        of_names = {name: both[number] for name, both in layers.items()}
        first, *_ = of_names.values()
        found: dict[str, dict[str, str]] = {}
        for name, one in of_names.items():
            draws = 0 if one is first else DRAWS
            for test, _, errors in compare_measured(one, [first], draws, seed=0):
                change = (errors.difference, errors.low, errors.high)
                shown = Compared(errors.error, *(change if draws else ()))
                text = f"{compared_text(ERROR, shown)}, layer {one.layer}"
                found.setdefault(test, {})[name] = text
        for test, texts in found.items():
            yield [f"{test}, {title}", *(texts.get(name, "-") for name in layers)]


def test_data(exp: Path, task: str) -> dict[str, tuple[str, ...]]:
    """Return what an experiment tests on, by language; empty if it does not say."""
    if not (exp / DATA).exists():
        return {}
    rows = read_text_table(exp / DATA).rows
    rows = rows[(rows["task"] == task) & (rows["split"] == "test")]
    return {row[1]: row for row in rows.itertuples(index=False, name=None)}


def require_same_tests(exps: Sequence[Path], task: str) -> None:
    """Refuse experiments that test on other speech."""
    first = test_data(exps[0], task)
    for exp in exps[1:]:
        for language, data in test_data(exp, task).items():
            if first.get(language, data) != data:
                raise UserError(
                    f"{exps[0]} and {exp} test {task} on other speech of {language} "
                    f"({DATA}): compare experiments on the same data."
                )


def show(rows: Iterator[list[str]]) -> None:
    """Print a table, the names of its columns first."""
    for number, row in enumerate([*rows]):
        print(f"| {' | '.join(row)} |")
        if not number:
            print(f"|{'---|' * len(row)}")
    print()


def compare(args: argparse.Namespace) -> None:
    """Print the tables.

    Raises:
        UserError: An encoder has more experiments than another, or other tasks.
    """
    paths = {
        name: [Path(one) for one in text.split(",")]
        for name, text in named(args.experiments).items()
    }
    if len({len(some) for some in paths.values()}) > 1:
        counts = ", ".join(f"{name} {len(some)}" for name, some in paths.items())
        raise UserError(f"Each encoder needs as many experiments ({counts}).")
    abx = {name: Path(directory) for name, directory in named(args.abx).items()}
    if abx:
        show(compare_abx(abx))
    for exps in zip(*paths.values(), strict=True):
        found = {
            name: analyse_tasks(exp / "results.tsv", args.task)
            for name, exp in zip(paths, exps, strict=True)
        }
        print(f"{' '.join(map(str, exps))}:\n")
        for task in next(iter(found.values())):
            for of_tasks, exp in zip(found.values(), exps, strict=True):
                if task not in of_tasks:
                    raise UserError(f"{exp} has no {task}: give --task, or run it.")
            require_same_tests(exps, task)
            show(compare_task({name: of[task] for name, of in found.items()}))


main = command(get_parser, compare)

if __name__ == "__main__":
    main()
