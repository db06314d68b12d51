"""Options of the entry points that read results and name languages."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import Parser
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import shipped
from espnet2_cltm.matrix.results import Choice, read_strategies_of
from espnet2_cltm.matrix.scores import known_task
from espnet2_cltm.registry import task_names
from espnet2_cltm.results_format import FULL


def add_results_options(parser: Parser, results: str, matrix: str = "") -> None:
    """Add which results are read, and where files are written.

    Args:
        parser: Parser to add to.
        results: Kind of file that is read, for the help text.
        matrix: Help text of ``--matrix``, which may be given instead; empty for none.
    """
    source = parser.add_mutually_exclusive_group(required=True) if matrix else parser
    source.add_argument("--results", type=Path, help=results, required=not matrix)
    if matrix:
        source.add_argument("--matrix", help=matrix)
    parser.add_path("outdir", "directory to write the files to")
    add_choice_options(parser)
    parser.add_argument(
        "--languages_conf",
        type=shipped,
        default=shipped("conf/languages.yaml"),
        help="names and families of languages (default: conf/languages.yaml)",
    )


def strategy_directories(
    args: argparse.Namespace, first: Sequence[str] = ()
) -> list[tuple[str | None, Path]]:
    """Return what is made of results of several strategies, and where.

    Args:
        args: Values of the options.
        first: Strategies in the order of the experiment.

    Returns:
        The strategy asked for, or all of the task, each with its directory: ``full``,
        or else the first, has ``--outdir``, the others one of their name in it.
    """
    if args.strategy is not None or args.results is None:
        return [(args.strategy, args.outdir)]
    names = read_strategies_of(args.results, args.task)
    ordered = sorted(
        names,
        key=lambda name: (
            name != FULL,
            first.index(name) if name in first else len(first),
        ),
    )
    outdirs = [args.outdir, *(args.outdir / name for name in ordered[1:])]
    return list(zip(ordered, outdirs, strict=True))


def choice_of(args: argparse.Namespace) -> Choice:
    """Return what is chosen from ``--results``."""
    rows = getattr(args, "rows", None)
    return Choice(
        args.task, args.metric, args.budget, rows=rows, strategy=args.strategy
    )


def refuse_choice(args: argparse.Namespace, *options: str) -> None:
    """Refuse options that choose from ``--results``, where ``--matrix`` is given."""
    for option in options:
        if getattr(args, option) is not None:
            raise UserError(
                f"--{option} chooses from --results; {args.matrix} is one matrix: "
                "leave it out."
            )


def add_choice_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose among the results of a file."""
    names = task_names()
    parser.add_argument(
        "--task", help=f"task, where the results are of several ({', '.join(names)})"
    )
    tasks_with: dict[str, list[str]] = {}
    for spec in filter(None, map(known_task, names)):
        metrics = (m.name + "_<class>" * m.per_class for m in spec.metrics)
        tasks_with.setdefault(" ".join(metrics), []).append(spec.name)
    known = "; ".join(f"{', '.join(of)}: {m}" for m, of in tasks_with.items())
    parser.add_argument(
        "--strategy",
        help="strategy, where the results are of several (default: full, or else the "
        "first by name)",
    )
    parser.add_argument(
        "--metric", help=f"metric (default: the task's first; known are, of {known})"
    )
