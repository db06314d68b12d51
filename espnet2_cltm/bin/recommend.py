"""Rank donors for a target language, from measured cells and predictions of others.

Reads ``results.tsv`` (or the published framework's CSV), or a matrix: a directory that
stage 6 wrote, a ``cltm.csv``, or the name of a published matrix. Prints the ranking, or
writes it to a file. Takes seconds; where cells are missing, the predictions' error is
found by cross-validation.

With ``--audio``, a directory of untranscribed recordings, a language may be the target
that has no run: its recordings are compared with those of the donors, of which
measure_distances made profiles. Without results or a matrix, donors are ranked by how
alike these are.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.bin.results_options import (
    add_choice_options,
    choice_of,
    refuse_choice,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.recipe_options import DISTANCES
from espnet2_cltm.files import shipped, write_text
from espnet2_cltm.matrix.languages import (
    SHIPPED,
    describe,
    language_distances,
    read_languages,
    read_pairs,
)
from espnet2_cltm.matrix.matrix_files import PUBLISHED
from espnet2_cltm.matrix.pool_results import read_pool_results
from espnet2_cltm.matrix.prediction import (
    BY_LANGUAGE,
    BY_PAIR,
    FEWEST_MEASURED,
    Prediction,
    PredictionError,
    closeness,
    cross_validate,
    predict_pairs,
)
from espnet2_cltm.matrix.prediction_model import ModelSettings
from espnet2_cltm.matrix.recommendation import (
    MeasuredCells,
    cells_from_matrix,
    cells_from_results,
    rank_alike,
    rank_donors,
    with_language,
)
from espnet2_cltm.matrix.results import read_scores
from espnet2_cltm.matrix.uncertainty import IntervalSettings
from espnet2_cltm.options import AMOUNT, POSITIVE, WHOLE, Option, add_options, one_of
from espnet2_cltm.profiles.options import NGRAM
from espnet2_cltm.progress import progress
from espnet2_cltm.report.recommendation import (
    recommendation_table,
    recommendation_text,
    summarise_recommendation,
)

if TYPE_CHECKING:
    from espnet2_cltm.profiles.listening import Heard

OPTIONS = (
    Option("budget", "N, where --results has several", AMOUNT),
    Option("k", "number of donors looked for", POSITIVE, "5"),
    DISTANCES,
    Option("audio", "directory of untranscribed recordings of the target"),
    Option(
        "profiles",
        "directory that local/measure_distances.py wrote, with the donors' profiles",
    ),
    NGRAM,
    Option(
        "format",
        "text, with the best k donors, or tsv or json, with all",
        one_of("text", "tsv", "json"),
        "text",
    ),
    Option("out", "file to write instead of printing"),
    Option("seed", "seed of the model and the simulation", WHOLE, "0"),
)


def get_parser() -> argparse.ArgumentParser:
    """Define the options."""
    parser = Parser(
        description="Rank the donor languages of a target, measured or predicted.",
        epilog="Published matrices: "
        + "; ".join(f"{name} ({what})" for name, what in PUBLISHED.items()),
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--results",
        type=Path,
        help="results.tsv, or the published framework's CSV (per seed or aggregated)",
    )
    source.add_argument(
        "--matrix",
        help="directory that stage 6 wrote, a cltm.csv, or a published matrix's name",
    )
    parser.add_argument("--target", required=True, help="language to find donors for")
    add_choice_options(parser)
    add_options(parser, OPTIONS)
    return parser


def run(args: argparse.Namespace) -> None:
    """Read, listen, predict, rank and write."""
    source = args.results or args.matrix
    if source is None and args.audio is None:
        raise UserError(
            "There is nothing to rank donors by: give --results, --matrix, or --audio "
            "with --profiles."
        )
    if (args.audio is None) != (args.profiles is None):
        raise UserError(
            "--audio, the target's recordings, and --profiles, the directory that "
            "local/measure_distances.py made of the donors' recordings, belong "
            "together: give both or neither."
        )
    cells = None if source is None else _read(args)
    heard = None if args.audio is None else _hear(args)
    based_on = "" if heard is None else "\n".join(heard.sentences)
    prediction = error = None
    if cells is not None:
        cells = _with_target(cells, args, known=heard is not None)
        prediction, error = _predict(cells, args, heard)
        ranking = rank_donors(cells, args.target, args.k, prediction, args.seed)
        if not ranking.donors:
            reason = cells.reasons.get(
                args.target, f"{args.target} has no measured pair"
            )
            raise UserError(
                f"{source} gives no donor for {args.target}: {reason}, and predictions "
                f"need {FEWEST_MEASURED} measured cells of identified targets; run "
                f"pairs with {args.target} first."
            )
    elif heard is not None:
        source = args.profiles
        ranking = rank_alike(
            args.target, heard.donors, heard.similarity, heard.drawn, args.k
        )
    found = (str(source), ranking, prediction, error, based_on)
    if args.format == "text":
        text = recommendation_text(*found)
        text = "\n\n".join([*_without_data(args), text])
    elif args.format == "tsv":
        text = recommendation_table(ranking)
    else:
        text = json.dumps(
            summarise_recommendation(*found), indent=2, ensure_ascii=False
        )
    if args.out is None:
        print(text)
        return
    write_text(args.out, text + "\n")
    print(f"Written to {args.out}")


def _hear(args: argparse.Namespace) -> "Heard":
    # It loads torch, which matrices do without.
    from espnet2_cltm.profiles.listening import hear_target

    return hear_target(
        args.target, Path(args.audio), Path(args.profiles), args.ngram, args.seed
    )


def _read(args: argparse.Namespace) -> MeasuredCells:
    if args.results is not None:
        return cells_from_results(args.results, choice_of(args))
    refuse_choice(args, "task", "metric", "budget", "strategy")
    return cells_from_matrix(args.matrix)


def _without_data(args: argparse.Namespace) -> list[str]:
    """Return sentences on what pools reach for the target, if the results have any."""
    if args.results is None:
        return []
    scores = read_scores(args.results, choice_of(args))
    found = read_pool_results(args.results, scores.source, IntervalSettings())
    if found is None or args.target not in found.targets:
        return []
    # Here, for its imports take seconds, and most results have no pools.
    from espnet2_cltm.report.pools import pool_sentence

    names = describe(scores.languages, read_languages(shipped("conf/languages.yaml")))
    sentence = pool_sentence(found, args.target, names)
    return [sentence] if sentence else []


def _with_target(
    cells: MeasuredCells, args: argparse.Namespace, known: bool
) -> MeasuredCells:
    """Take in a target without runs, if its distances are known."""
    target, own_file = args.target, args.distances
    if target in cells.languages:
        return cells
    pairs = read_pairs(SHIPPED) | (read_pairs(own_file) if own_file else {})
    if not known and target not in {code for pair in pairs for code in pair}:
        raise UserError(
            f"target '{target}' is not in {args.results or args.matrix}, which has "
            f"{' '.join(cells.languages)}, and its distances to other languages are "
            "not known: give one of these, a table of distances by --distances, or "
            "recordings by --audio."
        )
    return with_language(cells, target)


def _predict(
    cells: MeasuredCells, args: argparse.Namespace, heard: "Heard | None"
) -> tuple[Prediction | None, PredictionError | None]:
    """Predict where a cell of the target is missing."""
    row = cells.languages.index(args.target)
    missing = np.isnan(cells.cltm[row])
    missing[row] = False
    if cells.lacks_scale(args.target) or not missing.any():
        return None, None
    distances = language_distances(cells.languages, args.distances)
    if heard is not None:
        distances = heard.extend(distances, cells.languages)
    relations = closeness(distances)
    settings = ModelSettings(seed=args.seed)
    prediction = predict_pairs(cells.cltm, relations, cells.cltm_se, settings)
    if prediction is None:
        return None, None
    # A language without any run is harder to predict than one more pair of others.
    measured = np.isfinite(cells.cltm)
    np.fill_diagonal(measured, False)
    has_run = measured[row].any() or measured[:, row].any()
    error = cross_validate(
        cells.cltm,
        relations,
        cells.cltm_se,
        settings,
        watch=lambda parts: progress(
            parts, description="cross-validation", unit="part"
        ),
        leave_out=BY_PAIR if has_run else BY_LANGUAGE,
    )
    return prediction, error


main = command(get_parser, run)

if __name__ == "__main__":
    main()
