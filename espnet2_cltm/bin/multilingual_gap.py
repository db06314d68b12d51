"""The multilingual gap: tables and figure from the ABX errors of all encoders."""

import argparse

from espnet2_cltm.abx.averaging import LEVEL
from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.files import write_rows
from espnet2_cltm.gap.comparing import (
    Comparison,
    Measured,
    compare,
    measure,
    table_of_errors,
    table_of_gaps,
)
from espnet2_cltm.gap.encoders import list_additions, list_kinds
from espnet2_cltm.gap.figure import FIGURES, Outcome
from espnet2_cltm.gap.options import EXPERIMENT_OPTIONS
from espnet2_cltm.options import DRAWS, Option
from espnet2_cltm.report.drawing import write_figures
from espnet2_cltm.report.wording import level_text

_draws = f"draws of speakers for the intervals of {level_text(LEVEL)}"
get_parser = parser_of(
    "Tell how much worse the multilingual encoder is than the monolingual ones, from "
    "the ABX errors that stage 4 of egs2/cltm/gap1/run.sh leaves: gap.tsv, errors.tsv, "
    "gap.png and gap.pdf.",
    (*EXPERIMENT_OPTIONS, Option("draws", _draws, DRAWS, "1000")),
    exp="experiment",
)


def run(args: argparse.Namespace) -> None:
    """Compare, write and print."""
    additions = list_additions(
        args.grounding_weights, args.grounding_shares, args.feature_weights
    )
    kinds = list_kinds(args.langs, args.references, args.hours, additions)
    measured = measure(args.exp, kinds, args.langs, args.seeds, args.draws)
    gaps = compare(measured, args.langs, args.references, additions)
    write_rows(args.exp / "errors.tsv", table_of_errors(measured))
    outcome = Outcome(
        args.langs, args.references, additions, measured, gaps, args.hours
    )
    written = write_figures(args.exp, FIGURES, outcome)
    write_rows(args.exp / "gap.tsv", table_of_gaps(gaps))
    print(_summary(measured, gaps))
    print(f"Written to {args.exp}: gap.tsv, errors.tsv, {', '.join(written)}")


def _summary(measured: list[Measured], gaps: list[Comparison]) -> str:
    """Return the tables for the terminal."""
    lines = [f"{'encoder':16s} {'language':8s} {'layer':>5s}  ABX error in %"]
    for one in measured:
        seeds = " ".join(f"{100 * error:.2f}" for error in one.errors.by_seed)
        lines.append(
            f"{one.name:16s} {one.lang:8s} {one.layer:5d}  {100 * one.error:5.2f} "
            f"({seeds})"
        )
    lines += ["", f"{'language':8s}  relative difference in %"]
    for gap in gaps:
        found = gap.found
        interval = ""
        if found.low == found.low:
            interval = f" [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
        lines.append(
            f"{gap.lang:8s}  {gap.encoder} to {gap.reference} "
            f"{100 * found.relative:+.1f}{interval}"
        )
    return "\n".join(lines)


main = command(get_parser, run)

if __name__ == "__main__":
    main()
