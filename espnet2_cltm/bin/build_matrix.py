"""Build the transfer matrix of one task from its results: tables, figures, report.

Stage 6. Reads ``results.tsv`` or the published framework's CSV files; writes
``cltm.csv``, ``relative_gain.csv``, ``zero_shot.csv``, ``cells.tsv``, figures as PNG
and PDF, ``summary.json`` and, last, ``report.html``; where runs were tested on
cross-language trials, ``cross_language.csv`` too, and where pairs were not measured,
``predicted.tsv`` (if enough others were). Takes less than a minute, so it always does
all.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.bin.results_options import (
    add_results_options,
    choice_of,
    refuse_choice,
    strategy_directories,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.recipe_options import DISTANCES
from espnet2_cltm.files import remove_if_there, write_json
from espnet2_cltm.matrix import pool_results, strategies
from espnet2_cltm.matrix.alone import analyse_alone
from espnet2_cltm.matrix.comparison import read_compared
from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.languages import (
    Language,
    describe,
    language_distances,
    read_languages,
)
from espnet2_cltm.matrix.matrix_files import (
    ASK,
    PUBLISHED,
    LabelledMatrix,
    write_cells,
    write_cross_language,
    write_matrix,
)
from espnet2_cltm.matrix.noise import CellNoise, cell_noise
from espnet2_cltm.matrix.origin import Origin, find_origin
from espnet2_cltm.matrix.pool_results import (
    PoolResults,
    read_pool_results,
    write_pool_results,
)
from espnet2_cltm.matrix.prediction import (
    MissingPairs,
    predict_missing,
    why_not_predicted,
    write_predicted,
)
from espnet2_cltm.matrix.regime_files import read_regime
from espnet2_cltm.matrix.results import read_every_metric, read_published_steps
from espnet2_cltm.matrix.scores import (
    RunScores,
    SeedScores,
    cross_language_of,
    zero_shot_means,
)
from espnet2_cltm.matrix.steps_share import StepsShare, steps_share
from espnet2_cltm.matrix.strategies import (
    StrategyComparison,
    compare_strategies,
    read_strategy_costs,
    write_strategies,
)
from espnet2_cltm.matrix.uncertainty import Analysis, IntervalSettings, analyse
from espnet2_cltm.options import (
    AMOUNT,
    DRAWS,
    LEVEL,
    WHOLE,
    Option,
    add_options,
    one_of,
)
from espnet2_cltm.progress import progress
from espnet2_cltm.report.confusion import read_confusion
from espnet2_cltm.report.contents import Report, both_numbers
from espnet2_cltm.report.drawing import write_figures
from espnet2_cltm.report.evidence import read_evidence
from espnet2_cltm.report.figures import MATRIX_FIGURES
from espnet2_cltm.report.findings import gains_line, headline, next_steps
from espnet2_cltm.report.page.write import write_page
from espnet2_cltm.report.pools import pool_sentences
from espnet2_cltm.report.provenance import read_provenance, strategy_order
from espnet2_cltm.report.summary import summarise, summary_text

DOWNLOADS = (
    "cltm.csv",
    "relative_gain.csv",
    "zero_shot.csv",
    "cells.tsv",
    "predicted.tsv",
    "cross_language.csv",
    pool_results.FILE,
    strategies.FILE,
    "summary.json",
)


OPTIONS = (
    Option("budget", "N, where the results have several", AMOUNT),
    DISTANCES,
    Option(
        "rows",
        "what the lines of --matrix, or lang_src of the framework's CSV, are, where "
        "they do not say",
        one_of("targets", "donors"),
    ),
    Option("regime", "regime.json of the same task, to show in the report"),
    Option(
        "confidence", "level of the intervals", LEVEL, str(IntervalSettings.confidence)
    ),
    Option(
        "resamples",
        "number of resamples of the seeds",
        DRAWS,
        str(IntervalSettings.resamples),
    ),
    Option(
        "bootstrap_seed",
        "seed of the resamples",
        WHOLE,
        str(IntervalSettings.bootstrap_seed),
    ),
)


def get_parser() -> argparse.ArgumentParser:
    """Define the options."""
    parser = Parser(description="Build the cross-lingual transfer matrix of one task.")
    add_results_options(
        parser,
        "results.tsv, or the published framework's CSV (per seed or aggregated), whose "
        "lang_src is the target, the row, and lang_tgt the donor",
        "a matrix alone, to draw and describe: a cltm.csv, a directory of stage 6, or "
        f"the name of a published one ({', '.join(PUBLISHED)})",
    )
    add_options(parser, OPTIONS)
    return parser


def build(args: argparse.Namespace) -> None:
    """Build the matrix of each strategy, or of the one asked for.

    The first one's report compares all.
    """
    settings = IntervalSettings(args.confidence, args.resamples, args.bootstrap_seed)
    order = strategy_order(args.results) if args.results else ()
    (first, _), *others = strategy_directories(args, order)
    main = _analyses(_namespace(args, strategy=first), settings)
    _require_cells(args.results or Path(args.matrix), main[0])
    rivals: dict[str, Analysis] = {}
    for strategy, outdir in others:
        own = _namespace(args, strategy=strategy, outdir=outdir)
        try:
            analyses = _analyses(own, settings)
            _require_cells(args.results, analyses[0])
        except UserError as error:  # it was added, and is not made yet
            print(f"{strategy} is left out: {error}", file=sys.stderr)
            continue
        report = _build(own, settings, analyses)
        print(f"{strategy}: {headline(report)} See {outdir / 'report.html'}.\n")
        rivals[str(strategy)] = analyses[0]
    comparison = None
    if rivals:
        costs = read_strategy_costs(args.results, main[0].scores.source)
        of_metric = {str(first): main[0], **rivals}
        comparison = compare_strategies(of_metric, costs, settings)
    print(_found(_build(args, settings, main, comparison, rivals), args))


def _namespace(args: argparse.Namespace, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(args), **changes})


def _build(
    args: argparse.Namespace,
    settings: IntervalSettings,
    analyses: Sequence[Analysis],
    comparison: StrategyComparison | None = None,
    rivals: Mapping[str, Analysis] = MappingProxyType({}),
) -> Report:
    """Estimate and write one matrix, and return its report.

    Args:
        args: Values of the options.
        settings: How intervals are made.
        analyses: Analyses of all metrics, the matrix's own first.
        comparison: Comparison of all strategies, where there are several.
        rivals: Analyses of the others by strategy.
    """
    known = read_languages(args.languages_conf)
    main_analysis = analyses[0]
    task = main_analysis.scores.source.task
    regime = read_regime(Path(args.regime), task) if args.regime is not None else None
    origin_file = args.results or Path(args.matrix)
    scores, matrix = main_analysis.scores, main_analysis.matrix
    provenance = read_provenance(origin_file, scores.source)
    distances = language_distances(matrix.languages, args.distances)
    languages = describe(matrix.languages, known)

    numbers = both_numbers(scores, matrix, languages, settings)
    noise = cell_noise(scores, matrix)
    origin = _origin(matrix, matrix.cltm, noise, languages, distances)
    missing = predict_missing(matrix, distances)
    report = Report(
        analyses=analyses,
        languages=languages,
        numbers=numbers,
        origin=origin,
        provenance=provenance,
        build_command=_build_command(args),
        steps=_steps_share(scores, args, settings.confidence),
        missing=missing,
        regime=regime,
        confusion=read_confusion(origin_file, scores.source),
        evidence=read_evidence(origin_file, scores.source),
        strategies=comparison,
        rivals=rivals,
        pools=_pools(args, scores, settings),
    )
    summary = summarise(report)
    summary["origin"] = {
        "identified_targets": asdict(origin),
        "all_targets": asdict(
            _origin(matrix, matrix.raw_cltm, noise, languages, distances)
        ),
    }
    error = missing.error if missing else None
    summary["prediction_error"] = asdict(error) if error else None

    # They are written last: never beside tables that they do not belong to.
    remove_if_there(args.outdir / "report.html", args.outdir / "summary.json")
    _write_tables(args.outdir, main_analysis, missing)
    _write_if_any(args.outdir / pool_results.FILE, write_pool_results, report.pools)
    _write_if_any(args.outdir / strategies.FILE, write_strategies, comparison)
    figures = write_figures(args.outdir, MATRIX_FIGURES, report)
    write_json(args.outdir / "summary.json", summary)
    report = replace(report, files=_downloads(args.outdir), figures=figures)
    write_page(args.outdir / "report.html", report)
    return report


def _found(report: Report, args: argparse.Namespace) -> str:
    """Return what was found, and what to do next."""
    matrix, missing = report.matrix, report.missing
    origin_file = args.results or Path(args.matrix)
    return "\n".join(
        [
            summary_text(report),
            *(missing.sentences if missing else why_not_predicted(matrix)),
            "",
            *([gains_line(report)] if matrix.n_seeds.any() else []),
            *(pool_sentences(report.pools, report.languages) if report.pools else []),
            headline(report),
            "Next:",
            *(
                f"  {step}"
                for step in next_steps(report, origin_file, args.outdir / "report.html")
            ),
        ]
    )


def _pools(
    args: argparse.Namespace, scores: RunScores, settings: IntervalSettings
) -> PoolResults | None:
    """Read what targets without data can have, where an experiment has such runs."""
    if not isinstance(scores, SeedScores):
        return None
    return read_pool_results(args.results, scores.source, settings)


def _steps_share(
    scores: RunScores, args: argparse.Namespace, level: float
) -> StepsShare | None:
    """Compare with the published design, where the experiment has its runs, too."""
    if not isinstance(scores, SeedScores):
        return None
    choice = replace(choice_of(args), strategy=scores.source.strategy)
    published = read_published_steps(args.results, choice)
    if published is None:
        return None
    return steps_share(scores, published, level)


def _analyses(args: argparse.Namespace, settings: IntervalSettings) -> list[Analysis]:
    """Read and analyse the matrix's own metric, and all others of the task."""
    if args.matrix is not None:
        refuse_choice(args, "metric", "budget", "strategy")
        compared = read_compared(args.matrix, args.rows or ASK)
        return [analyse_alone(compared, args.task, settings)]
    first, *others = read_every_metric(args.results, choice_of(args))
    return [analyse(first, settings), *_other_analyses(others, settings)]


def _other_analyses(
    every: Sequence[RunScores], settings: IntervalSettings
) -> list[Analysis]:
    """Analyse the task's other metrics; one that gives no cell is left out."""
    with progress(every, description="Other metrics", unit="metric") as waiting:
        found = [analyse(scores, settings) for scores in waiting]
    return [analysis for analysis in found if _has_cells(analysis.matrix)]


def _origin(
    matrix: TransferMatrix,
    cells: np.ndarray,
    noise: CellNoise,
    languages: Mapping[str, Language],
    distances: Mapping[str, np.ndarray],
) -> Origin:
    described = [languages[code] for code in matrix.languages]
    return find_origin(cells, noise, described, distances)


def _has_cells(matrix: TransferMatrix) -> bool:
    off_diagonal = ~np.eye(len(matrix.languages), dtype=bool)
    usable = np.isfinite(matrix.raw_cltm) | np.isfinite(matrix.relative_gain)
    return bool(usable[off_diagonal].any())


def _require_cells(path: Path, analysis: Analysis) -> None:
    """Refuse results of which no cell at all can be made."""
    scores, matrix = analysis.scores, analysis.matrix
    n = len(matrix.languages)
    if n < 2:
        raise UserError(
            f"{path} has runs of one language only ({matrix.languages[0]}): a matrix "
            "needs at least two."
        )
    if not _has_cells(matrix):
        raise UserError(
            f"{path} gives none of the {n * (n - 1)} cells of the matrix of "
            f"{scores.source.metric} (the first, {matrix.languages[0]} from "
            f"{matrix.languages[1]}: {matrix.reason[0, 1]}); run stages 4 and 5 to "
            "their end, or take another N (--regime_budgets finds it)."
        )


def _write_tables(
    outdir: Path, analysis: Analysis, missing: MissingPairs | None
) -> None:
    scores, matrix = analysis.scores, analysis.matrix
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
    write_cells(outdir / "cells.tsv", matrix, analysis.uncertainty)
    across = cross_language_of(scores)
    _write_if_any(outdir / "cross_language.csv", write_cross_language, across)
    _write_if_any(outdir / "predicted.tsv", write_predicted, missing)


def _write_if_any(path: Path, write: Callable[[Path, Any], None], found: Any) -> None:
    if found is None:
        remove_if_there(path)
    else:
        write(path, found)


def _downloads(outdir: Path) -> dict[str, str]:
    return {
        name: (outdir / name).read_text(encoding="utf-8")
        for name in DOWNLOADS
        if (outdir / name).exists()
    }


def _build_command(args: argparse.Namespace) -> str:
    """Return the command that builds this matrix, with the options that differ."""
    words = ["python3", "-m", "espnet2_cltm.bin.build_matrix"]
    defaults = get_parser()
    for name, value in vars(args).items():
        if value is not None and value != defaults.get_default(name):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


main = command(get_parser, build)

if __name__ == "__main__":
    main()
