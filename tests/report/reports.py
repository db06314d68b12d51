"""Experiments of known scores, and the pages that are made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from espnet2_cltm.matrix.languages import (
    Language,
    describe,
    language_distances,
    read_languages,
)
from espnet2_cltm.matrix.noise import cell_noise
from espnet2_cltm.matrix.origin import find_origin
from espnet2_cltm.matrix.scores import ResultsSource, RunScores, SeedScores
from espnet2_cltm.matrix.uncertainty import Analysis, IntervalSettings, analyse
from espnet2_cltm.report.contents import Report, both_numbers
from espnet2_cltm.report.provenance import Provenance
from tests.matrix.results_files import perf_rows
from tests.matrix.simulator import Simulation, draw_scores, draw_truth

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf" / "languages.yaml"
FAST = IntervalSettings(resamples=100)
FEW = {"n_permutations": 99, "shuffles": 9}

# Three groups of languages that help each other.
GROUPS = (("ca", "es", "gl"), ("de", "en", "nl"), ("ky", "tr", "uz"))
NINE = tuple(sorted(code for group in GROUPS for code in group))
NOT_IDENTIFIED = "ky"
NOT_MEASURED = (("ca", "uz"), ("de", "tr"), ("en", "es"), ("gl", "tr"))
SEEDS = (42, 43, 44, 45)
GAIN = 0.1


def nine_languages(metrics: Sequence[str] = ("macro_f1",)) -> list[list[str]]:
    """All lines of an experiment in which ``ky`` gains nothing of itself.

    Four pairs are not measured. The scores of a second metric are lower by 0.05.
    """
    return [
        row
        for number, metric in enumerate(metrics)
        for row in perf_rows(NINE, SEEDS, _perf(0.05 * number), metric)
        if not (row[2] == "pair" and tuple(row[3].split("+")) in NOT_MEASURED)
    ]


def _perf(lower: float):
    generator = np.random.default_rng(0)

    def perf(kind: str, tested: str, donor: str, seed: int) -> float:
        base = 0.6 + 0.01 * NINE.index(tested) - lower + generator.normal(0, 0.004)
        related = any(tested in group and donor in group for group in GROUPS)
        if kind == "single":
            return base - (0 if tested == donor else 0.05 if related else 0.15)
        if kind == "double":
            return base + (-0.01 if tested == NOT_IDENTIFIED else GAIN)
        worth = (0.9 if related else 0.2) + 0.03 * NINE.index(donor) - 0.1
        return base + worth * GAIN

    return perf


def simulated(n_languages: int, n_seeds: int = 10, **changes: float) -> SeedScores:
    """Scores of the first languages of the list, or of invented ones."""
    simulation = Simulation(n_languages=n_languages, n_seeds=n_seeds, **changes)
    generator = np.random.default_rng(1)
    scores = draw_scores(draw_truth(simulation, generator), simulation, generator)
    known = sorted(list(yaml.safe_load(CONF.read_text()))[:n_languages])
    tested_elsewhere = np.broadcast_to(scores.single - 0.1, scores.zero_shot.shape)
    zero_shot = np.where(np.isnan(scores.zero_shot), tested_elsewhere, scores.zero_shot)
    return replace(
        scores,
        source=ResultsSource("results.tsv", "0" * 64, "gender", "macro_f1", 60),
        languages=tuple(known),
        test_languages=tuple(known),
        zero_shot=zero_shot,
    )


def analysed(scores: RunScores) -> Analysis:
    """Everything known of scores, with few resamples."""
    return analyse(scores, FAST)


def make_report(
    scores: Sequence[RunScores],
    names: Mapping[str, Language] | None = None,
    **parts: object,
) -> Report:
    """Make a report without the command line, in as little time as possible."""
    analyses = [analysed(one) for one in scores]
    main = analyses[0]
    codes = main.matrix.languages
    languages = describe(codes, names if names is not None else read_languages(CONF))
    distances = language_distances(codes)
    described = [languages[code] for code in codes]
    return Report(
        analyses=analyses,
        languages=languages,
        numbers=both_numbers(main.scores, main.matrix, languages, FAST),
        origin=find_origin(
            main.matrix.cltm,
            cell_noise(main.scores, main.matrix),
            described,
            distances,
            **FEW,
        ),
        **{
            "provenance": Provenance("./run.sh --corpus demo"),
            "build_command": "python3 -m espnet2_cltm.bin.build_matrix",
            **parts,
        },
    )
