"""Find out how large N must be: learning curves and the dynamic regime of one task.

Stage 6 of an experiment with --regime_budgets; also reads ``results.tsv`` of one for a
matrix, whose single and double runs tell of its N. Writes ``learning_curves.tsv``,
``regime.png``, ``regime.pdf`` and, last, ``regime.json``. Takes seconds, so it always
does all.
"""

import argparse

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.bin.results_options import add_results_options, strategy_directories
from espnet2_cltm.files import write_json
from espnet2_cltm.matrix.languages import describe, read_languages
from espnet2_cltm.matrix.regime import RegimeSettings, find_regime, read_curves
from espnet2_cltm.matrix.regime_files import (
    regime_text,
    summarise_regime,
    write_learning_curves,
)
from espnet2_cltm.options import TRUTH, Option, above_zero, add_options, from_zero
from espnet2_cltm.report.drawing import write_figures
from espnet2_cltm.report.figures import REGIME_FIGURES
from espnet2_cltm.report.regime_figure import FoundRegime

ABOVE_ZERO = above_zero("a number above 0")
OPTIONS = (
    Option(
        "tau",
        "gain that is enough, as a share of Perf(N)",
        ABOVE_ZERO,
        str(RegimeSettings.tau),
    ),
    Option(
        "z",
        "gain that is enough, in standard errors",
        ABOVE_ZERO,
        str(RegimeSettings.z),
    ),
    Option(
        "epsilon",
        "gain that is enough, for every factor e in N",
        ABOVE_ZERO,
        str(RegimeSettings.epsilon),
    ),
    Option(
        "threshold",
        "median of CI_min from which on an N is in the regime",
        ABOVE_ZERO,
        str(RegimeSettings.threshold),
    ),
    Option(
        "smoothing",
        "standard deviation of the Gaussian, in points of the curve's 200",
        from_zero("a number from 0 on"),
        str(RegimeSettings.smoothing),
    ),
    Option(
        "drop_outliers",
        "whether a grid with eight or more N and their doubles loses an N whose median "
        "lies beyond Q3 + 1.5 IQR",
        TRUTH,
        str(RegimeSettings.drop_outliers).lower(),
    ),
)


def get_parser() -> argparse.ArgumentParser:
    """Define the options."""
    parser = Parser(
        description="Find the N at which twice the data helps most: learning curves, "
        "the index CI_min, and the dynamic regime."
    )
    add_results_options(parser, "results.tsv with several N")
    add_options(parser, OPTIONS)
    return parser


def run(args: argparse.Namespace) -> None:
    """Find the regime of each strategy, or of the one asked for."""
    for strategy, outdir in strategy_directories(args):
        _find(argparse.Namespace(**{**vars(args), "outdir": outdir}), strategy)


def _find(args: argparse.Namespace, strategy: str | None) -> None:
    """Read, compute, write and print."""
    known = read_languages(args.languages_conf)
    curves = read_curves(args.results, args.task, args.metric, strategy)
    settings = RegimeSettings(
        *(args.tau, args.z, args.epsilon),
        *(args.threshold, args.smoothing, args.drop_outliers),
    )
    regime = find_regime(curves, settings)
    write_learning_curves(args.outdir / "learning_curves.tsv", curves, regime.indices)
    write_figures(args.outdir, REGIME_FIGURES, FoundRegime(curves, regime))
    summary = summarise_regime(curves, regime, describe(curves.languages, known))
    write_json(args.outdir / "regime.json", summary)
    print(regime_text(curves, regime))
    print(f"Written to {args.outdir}: regime.json, learning_curves.tsv, regime.png/pdf")


main = command(get_parser, run)

if __name__ == "__main__":
    main()
