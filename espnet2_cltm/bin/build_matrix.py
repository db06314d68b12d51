"""Build the transfer matrix of one task from its results: tables, summary, heatmap.

Stage 6. Reads ``results.tsv`` or the published framework's CSV files; writes
``cltm.csv``, ``relative_gain.csv``, ``zero_shot.csv``, ``cells.tsv``, ``heatmap.png``,
``heatmap.pdf`` and, last, ``summary.json``; where runs were tested on cross-language
trials, ``cross_language.csv`` too. Takes seconds, so it always does all.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet2_cltm.bin.command_line import (
    positive_number,
    run_command,
    whole_number,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import cannot_write, write_text
from espnet2_cltm.matrix.choice import Choice
from espnet2_cltm.matrix.estimates import TransferMatrix, estimate
from espnet2_cltm.matrix.languages import (
    Language,
    describe,
    display_order,
    read_languages,
)
from espnet2_cltm.matrix.matrix_files import (
    LabelledMatrix,
    write_cells,
    write_cross_language,
    write_matrix,
)
from espnet2_cltm.matrix.metrics import METRICS
from espnet2_cltm.matrix.moments import cell_moments
from espnet2_cltm.matrix.read_scores import read_scores
from espnet2_cltm.matrix.scores import Scores, cross_language_of, zero_shot_means
from espnet2_cltm.matrix.uncertainty import (
    CellUncertainty,
    IntervalSettings,
    cell_uncertainty,
)
from espnet2_cltm.report.heatmap import write_heatmap
from espnet2_cltm.report.heatmap_contents import Heatmap
from espnet2_cltm.report.summary import (
    both_numbers,
    grey_targets,
    subtitle,
    summarise,
    title,
)
from espnet2_cltm.report.summary_text import summary_text

HEATMAP_NOTE = (
    "CLTM[i, j] = (Perf(i+j) \N{MINUS SIGN} Perf(i)) / (Perf(i+i) \N{MINUS SIGN} "
    "Perf(i)): what N utterances of donor j add to N of target i, relative to what N "
    "more of target i add."
)


def get_parser() -> argparse.ArgumentParser:
    """Define the options."""
    parser = argparse.ArgumentParser(
        description="Build the cross-lingual transfer matrix of one task.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        help="results.tsv, or the published framework's CSV (per seed or aggregated)",
    )
    parser.add_argument(
        "--outdir", type=Path, required=True, help="where the files are written"
    )
    parser.add_argument(
        "--task", help="which task, where the file holds several (gender, speaker)"
    )
    parser.add_argument(
        "--metric",
        help="which metric (default: macro_f1, roc_auc or wer by task); known are "
        + ", ".join(METRICS),
    )
    parser.add_argument(
        "--budget", type=int, help="which N, where the file holds several"
    )
    parser.add_argument(
        "--languages_conf",
        type=Path,
        default=Path("conf/languages.yaml"),
        help="names and families of languages",
    )
    parser.add_argument(
        "--confidence",
        type=_confidence,
        default=IntervalSettings.confidence,
        help="level of the intervals, between 0 and 1",
    )
    parser.add_argument(
        "--resamples",
        type=positive_number,
        default=IntervalSettings.resamples,
        help="of the bootstrap over seeds",
    )
    parser.add_argument(
        "--bootstrap_seed",
        type=whole_number,
        default=IntervalSettings.bootstrap_seed,
        help="of the bootstrap's draws",
    )
    return parser


def _confidence(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"takes a level between 0 and 1, such as 0.95, not '{text}'"
        )
    return value


def build(args: argparse.Namespace) -> None:
    """Read, estimate, write and print."""
    known = read_languages(args.languages_conf)
    scores = read_scores(args.results, Choice(args.task, args.metric, args.budget))
    moments = cell_moments(scores)
    matrix = estimate(moments)
    _require_cells(args.results, scores, matrix)
    settings = IntervalSettings(args.confidence, args.resamples, args.bootstrap_seed)
    uncertainty = cell_uncertainty(scores, moments, matrix, settings)
    languages = describe(matrix.languages, known)
    _write_tables(args.outdir, scores, matrix, uncertainty)
    write_heatmap(
        _heatmap(scores, matrix, languages),
        png=args.outdir / "heatmap.png",
        pdf=args.outdir / "heatmap.pdf",
    )
    numbers = both_numbers(scores, matrix, languages, settings)
    summary = summarise(scores, matrix, uncertainty, languages, numbers)
    write_text(
        args.outdir / "summary.json",
        json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    )
    print(summary_text(scores, matrix, uncertainty, languages, numbers))
    print(f"Written to {args.outdir}: heatmap.png, cltm.csv, summary.json and others")


def _require_cells(path: Path, scores: Scores, matrix: TransferMatrix) -> None:
    """Refuse results of which no cell at all can be made."""
    n = len(matrix.languages)
    if n < 2:
        raise UserError(
            f"{path} has runs of one language only ({matrix.languages[0]}): a matrix "
            "needs at least two."
        )
    off_diagonal = ~np.eye(n, dtype=bool)
    usable = np.isfinite(matrix.raw_cltm) | np.isfinite(matrix.relative_gain)
    if not usable[off_diagonal].any():
        raise UserError(
            f"{path} gives none of the {n * (n - 1)} cells of the matrix of "
            f"{scores.source.metric} (the first, {matrix.languages[0]} from "
            f"{matrix.languages[1]}: {matrix.reason[0, 1]}); run stages 4 and 5 to "
            "their end first."
        )


def _write_tables(
    outdir: Path,
    scores: Scores,
    matrix: TransferMatrix,
    uncertainty: CellUncertainty,
) -> None:
    for name, values in (
        ("cltm.csv", matrix.cltm),
        ("relative_gain.csv", matrix.relative_gain),
    ):
        labelled = LabelledMatrix(matrix.languages, matrix.languages, values)
        write_matrix(outdir / name, "target", labelled)
    tested, zero_shot = zero_shot_means(scores)
    write_matrix(
        outdir / "zero_shot.csv",
        "train",
        LabelledMatrix(scores.languages, tested, zero_shot),
    )
    write_cells(outdir / "cells.tsv", matrix, uncertainty)
    _write_or_remove_cross_language(outdir / "cross_language.csv", scores)


def _write_or_remove_cross_language(path: Path, scores: Scores) -> None:
    cross_language = cross_language_of(scores)
    if cross_language is not None:
        write_cross_language(path, cross_language)
        return
    try:  # of other results, or of another metric
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _heatmap(
    scores: Scores, matrix: TransferMatrix, languages: Mapping[str, Language]
) -> Heatmap:
    order = display_order(languages.values())
    index = [matrix.languages.index(language.code) for language in order]
    square = np.ix_(index, index)
    return Heatmap(
        languages=tuple(order),
        values=matrix.cltm[square],
        errors=matrix.raw_cltm_se[square],
        not_identified=grey_targets(matrix)[index],
        title=title(scores),
        subtitle=subtitle(scores, matrix).replace(" - ", " \N{MINUS SIGN} "),
        notes=(HEATMAP_NOTE,),
    )


def main(cmd: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = get_parser().parse_args(cmd)
    run_command(lambda: build(args))


if __name__ == "__main__":
    main()
