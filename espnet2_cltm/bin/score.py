#!/usr/bin/env python3
"""Stage 5: gather the scores of all runs in results.tsv."""

import sys

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.data_table import write_data_table
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.measures import Measures
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.recipe_options import STAGE_5_OPTIONS
from espnet2_cltm.experiment.results import collect_results, write_results
from espnet2_cltm.experiment.states import runs_left, without_layers
from espnet2_cltm.progress import progress

get_parser = parser_of(__doc__, STAGE_5_OPTIONS, exp="exp/<tag>")


def score(directory: ExperimentDir, rescore: bool) -> None:
    """Write ``results.tsv`` and what lies beside it, and say which runs it lacks.

    Raises:
        UserError: No run is done.
    """
    plan = read_plan(directory.plan)
    left = runs_left(directory, plan)
    if len(left) == len(plan):
        raise UserError(
            f"None of the {len(plan)} runs of {directory.plan} is done: run stage 4."
        )
    measures = Measures(directory)
    runs = progress(plan, description="Scoring", unit="run")
    results = collect_results(directory, runs, rescore, measures)
    n_lines = write_results(
        directory.results, results, directory.confusion, directory.held_out
    )
    if measures.write() and (lacking := without_layers(directory, plan)):
        print(lacking, file=sys.stderr)
    write_data_table(directory, plan)
    if measures.uncalibrated:
        print(
            f"{measures.uncalibrated} runs are of an older version, which calibrated "
            "nothing on dev: metrics that take a calibration are nan for them; give a "
            "new --tag to make them anew.",
            file=sys.stderr,
        )
    if left:
        print(
            f"{len(left)} of {len(plan)} runs are not done, {left[0].run.name} first: "
            "run stage 4 again.",
            file=sys.stderr,
        )
    print(f"{directory.results}: {n_lines} results of {len(plan) - len(left)} runs")


main = command(get_parser, lambda args: score(ExperimentDir(args.exp), args.rescore))

if __name__ == "__main__":
    main()
