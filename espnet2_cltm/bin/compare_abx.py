"""Compare the ABX errors of two or more kinds of features, speaker by speaker."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from espnet2_cltm.abx.averaging import (
    LEVEL,
    Difference,
    compare_errors,
    read_speaker_errors,
)
from espnet2_cltm.abx.measuring import read_results, speaker_errors_path
from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_rows
from espnet2_cltm.options import SEED, WHOLE, Option, add_options

OPTIONS = (
    Option(
        "draws",
        f"draws of speakers for the interval of {LEVEL:.0%}; 0 for none",
        WHOLE,
        "1000",
    ),
    Option("seed", "seed of these draws", SEED, "0"),
)
HEADER = (
    *("test", "features", "other", "error", "other_error", "difference", "low", "high"),
    *("pairs", "speakers"),
)
_MADE_BY = "write <directory>:<features>:<layer>, as local/abx.py measured them"
_ALIKE = ("on", "unit", "speaker", "context")
"""Columns of ``abx.tsv`` that have to be the same."""


class Measured(NamedTuple):
    """Features and layer in a directory that ``local/abx.py`` wrote."""

    outdir: Path
    features: str
    layer: int

    def __str__(self) -> str:
        return f"{self.outdir}:{self.features}:{self.layer}"


def get_parser() -> argparse.ArgumentParser:
    """Define the arguments."""
    parser = Parser(
        description="Compare the ABX error of some features with those of others, that "
        "local/abx.py has measured on the same items: the difference, and its interval "
        "by a bootstrap in which a speaker counts the same in both."
    )
    what = "<directory>:<features>:<layer> of abx.tsv, such as exp/abx:hubert-small:1"
    parser.add_argument("features", metavar="FEATURES", help=what)
    parser.add_argument(
        "others", metavar="OTHER", nargs="+", help="what they are compared with"
    )
    parser.add_argument("--outfile", type=Path, help="table to write as well")
    add_options(parser, OPTIONS)
    return parser


def run(args: argparse.Namespace) -> None:
    """Compare, print, and write."""
    ours, *others = (_parse(text) for text in (args.features, *args.others))
    rows: list[tuple[object, ...]] = [HEADER]
    for test, other, found in compare_measured(ours, others, args.draws, args.seed):
        numbers = (found.error, found.other, found.difference, found.low, found.high)
        counts = (found.pairs, found.speakers)
        names = (test, str(ours), str(other))
        shown = ["" if number != number else repr(number) for number in numbers]
        rows.append((*names, *shown, *counts))
        print(_told(*names, found))
    if args.outfile:
        write_rows(args.outfile, rows)


def _parse(text: str) -> Measured:
    outdir, _, rest = text.partition(":")
    features, _, layer = rest.rpartition(":")
    if not (outdir and features and layer.isdecimal()):
        raise UserError(f"'{text}' does not name features: {_MADE_BY}.")
    return Measured(Path(outdir), features, int(layer))


def compare_measured(
    ours: Measured, others: Sequence[Measured], draws: int, seed: int
) -> Iterator[tuple[str, Measured, Difference]]:
    """Yield each test that both have measured, the others, and the difference.

    Raises:
        UserError: Nothing was measured on the same, or not alike.
    """
    our_tests = _tests(ours)
    for other in others:
        tests = _tests(other)
        common = [test for test in our_tests if test in tests]
        if not common:
            raise UserError(
                f"{ours} has {', '.join(our_tests)} and {other} has "
                f"{', '.join(tests)}: measure both on the same."
            )
        for test in common:
            for name in _ALIKE:
                here, there = our_tests[test][name], tests[test][name]
                if here != there:
                    raise UserError(
                        f"{test} of {ours} was measured with --{name} {here}, of "
                        f"{other} with {there}: measure both alike."
                    )
            table, others_table = (
                read_speaker_errors(speaker_errors_path(outdir, test, features, layer))
                for outdir, features, layer in (ours, other)
            )
            found = compare_errors(table, others_table, draws, seed)
            if found is None:
                raise UserError(
                    f"{test} of {ours} and of {other} have no speakers and phones in "
                    "common: measure both on the same speech."
                )
            yield test, other, found


def _tests(measured: Measured) -> dict[str, dict[str, str]]:
    """Return the lines of ``abx.tsv`` of features, by test."""
    rows = read_results(measured.outdir, _MADE_BY)
    tests = {
        row["test"]: row
        for row in rows
        if (row["features"], row["layer"]) == (measured.features, str(measured.layer))
    }
    if not tests:
        known = dict.fromkeys(f"{row['features']}:{row['layer']}" for row in rows)
        raise UserError(
            f"{measured.outdir} has no {measured.features} with layer "
            f"{measured.layer}, but {', '.join(known)}: {_MADE_BY}."
        )
    return tests


def _told(test: str, ours: str, other: str, found: Difference) -> str:
    interval = ""
    if found.low == found.low:
        interval = f" [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
    return (
        f"{test}: {ours} {100 * found.error:.2f}, {other} {100 * found.other:.2f}, "
        f"difference {100 * found.difference:+.2f}{interval}"
    )


main = command(get_parser, run)

if __name__ == "__main__":
    main()
