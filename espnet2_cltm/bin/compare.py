"""Compare two transfer matrices: numbers, the largest differences, a scatter plot.

Each of A and B is a directory that stage 6 wrote, a ``cltm.csv``, or the name of a
published matrix. Writes ``comparison.txt``, ``scatter.png``, ``scatter.pdf`` and, last,
``comparison.json``. Takes seconds, so it always does all.
"""

import argparse

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.files import write_json, write_text
from espnet2_cltm.matrix.comparison import compare, read_compared
from espnet2_cltm.matrix.matrix_files import PUBLISHED
from espnet2_cltm.options import DRAWS, WHOLE, Option, add_options
from espnet2_cltm.report.comparison import comparison_text, summarise_comparison
from espnet2_cltm.report.drawing import write_figures
from espnet2_cltm.report.figures import COMPARISON_FIGURES
from espnet2_cltm.report.scatter import ComparedPair

OPTIONS = (
    Option(
        "permutations",
        "number of orders of languages that the permutation tests draw",
        DRAWS,
        "9999",
    ),
    Option("seed", "seed of the permutations", WHOLE, "42"),
    Option(
        "largest",
        "number of the largest differences that are printed and labelled",
        WHOLE,
        "10",
    ),
)


def get_parser() -> argparse.ArgumentParser:
    """Define the options."""
    parser = Parser(
        description="Compare two cross-lingual transfer matrices.",
        epilog="Published matrices: "
        + "; ".join(f"{name} ({what})" for name, what in PUBLISHED.items()),
    )
    what = "directory that stage 6 wrote, a cltm.csv, or a published matrix's name"
    parser.add_argument("a", metavar="A", help=f"{what}; its intervals are used")
    parser.add_argument("b", metavar="B", help=what)
    parser.add_path("outdir", "directory to write the files to")
    add_options(parser, OPTIONS)
    return parser


def run(args: argparse.Namespace) -> None:
    """Read, compare, write and print."""
    a, b = read_compared(args.a), read_compared(args.b)
    comparison = compare(a, b, args.permutations, args.seed)
    text = comparison_text(a, b, comparison, args.largest)
    write_text(args.outdir / "comparison.txt", text + "\n")
    pair = ComparedPair(a, b, comparison, args.largest)
    write_figures(args.outdir, COMPARISON_FIGURES, pair)
    summary = summarise_comparison(a, b, comparison, args.seed)
    write_json(args.outdir / "comparison.json", summary)
    print(text)
    print(f"Written to {args.outdir}: comparison.json, comparison.txt, scatter.png/pdf")


main = command(get_parser, run)

if __name__ == "__main__":
    main()
