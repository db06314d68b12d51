"""What a report is made of: everything that its sections and figures may show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from espnet2_cltm.counting import counted
from espnet2_cltm.language_codes import is_donor_only
from espnet2_cltm.matrix.estimates import TransferMatrix
from espnet2_cltm.matrix.languages import Language, display_order, family_pairs
from espnet2_cltm.matrix.origin import Origin
from espnet2_cltm.matrix.pool_results import PoolResults
from espnet2_cltm.matrix.prediction import MissingPairs
from espnet2_cltm.matrix.property_intervals import (
    ALL_COVER_LESS,
    IDENTIFIED_COVER_LESS,
    MatrixNumbers,
    matrix_numbers,
    matrix_numbers_with_intervals,
)
from espnet2_cltm.matrix.scores import ResultsSource, RunScores, SeedScores
from espnet2_cltm.matrix.steps_share import StepsShare
from espnet2_cltm.matrix.strategies import StrategyComparison
from espnet2_cltm.matrix.uncertainty import Analysis, CellUncertainty, IntervalSettings
from espnet2_cltm.progress import progress
from espnet2_cltm.report.comparison import PublishedComparison, published_comparisons
from espnet2_cltm.report.evidence import Evidence
from espnet2_cltm.report.provenance import Provenance
from espnet2_cltm.report.wording import level_text


def possible_targets(matrix: TransferMatrix) -> np.ndarray:
    """(n,) bool: languages that may be tested on, unlike synthetic donors."""
    return np.array([not is_donor_only(code) for code in matrix.languages])


def grey_targets(matrix: TransferMatrix) -> np.ndarray:
    """(n,) bool: targets with a self-gain that is not clearly positive."""
    return ~matrix.target_identified & np.isfinite(np.diagonal(matrix.self_gain))


@dataclass(frozen=True)
class BothNumbers:
    """Summary numbers over the identified targets, and over all with an estimate."""

    identified: MatrixNumbers
    all_targets: MatrixNumbers


def both_numbers(
    scores: RunScores,
    matrix: TransferMatrix,
    languages: Mapping[str, Language],
    settings: IntervalSettings,
) -> BothNumbers:
    """Compute the summary numbers and, where there are seeds, their intervals."""
    related = family_pairs([languages[code] for code in matrix.languages])

    def of(
        values: np.ndarray, cover_less: Mapping[str, float], targets: str
    ) -> MatrixNumbers:
        if not isinstance(scores, SeedScores):
            return matrix_numbers(values, related)
        label = f"summary numbers, {targets} targets"
        track = partial(progress, description=label, unit="batch")
        return matrix_numbers_with_intervals(
            scores, values, related, settings, cover_less, track
        )

    identified = of(matrix.cltm, IDENTIFIED_COVER_LESS, "identified")
    if np.array_equal(matrix.cltm, matrix.raw_cltm, equal_nan=True):
        return BothNumbers(identified, identified)
    return BothNumbers(identified, of(matrix.raw_cltm, ALL_COVER_LESS, "all"))


@dataclass(frozen=True)
class Report:
    """Everything known of one task's matrix.

    Attributes:
        analyses: Analyses of all metrics, the matrix's own first.
        languages: Languages by code.
        numbers: Summary numbers of the first analysis.
        origin: Where its transfer comes from.
        provenance: How the results were made.
        build_command: Command that built the matrix.
        steps: How much of the self-gain optimiser steps explain; None where the
            experiment was not made in both designs.
        strategies: Comparison of several strategies, of which this is the first; None
            where there are no others.
        rivals: Analyses of the others by strategy.
        pools: What targets without data can have; None where no such run was made.
        missing: Predictions of cells that were not measured; None where there are none.
        regime: Content of ``regime.json``; None where there is none.
        confusion: Classes taken for each other, see
            :func:`espnet2_cltm.report.confusion.read_confusion`; None where not known.
        evidence: The data, the trainings and the scores behind the results.
        files: Text of the files to download, by name.
        figures: Names of the files of the figures beside the page.
        left_out: What a large page does without (:mod:`.page.write`).
    """

    analyses: Sequence[Analysis]
    languages: Mapping[str, Language]
    numbers: BothNumbers
    origin: Origin
    provenance: Provenance
    build_command: str
    steps: StepsShare | None = None
    strategies: StrategyComparison | None = None
    rivals: Mapping[str, Analysis] = field(default_factory=dict)
    pools: PoolResults | None = None
    missing: MissingPairs | None = None
    regime: Mapping[str, Any] | None = None
    confusion: pd.DataFrame | None = None
    evidence: Evidence = field(default_factory=Evidence)
    files: Mapping[str, str] = field(default_factory=dict)
    figures: Sequence[str] = ()
    left_out: tuple[str, ...] = ()

    @property
    def main(self) -> Analysis:
        """The analysis of the matrix's own metric."""
        return self.analyses[0]

    @property
    def scores(self) -> RunScores:
        """The scores that the matrix is made of."""
        return self.main.scores

    @property
    def source(self) -> ResultsSource:
        """Where the scores come from, with the names of task and metric."""
        return self.main.scores.source

    @property
    def matrix(self) -> TransferMatrix:
        """The matrix."""
        return self.main.matrix

    @property
    def uncertainty(self) -> CellUncertainty:
        """The uncertainty of the matrix."""
        return self.main.uncertainty

    @property
    def title(self) -> str:
        """Name of the matrix: ``Cross-lingual transfer matrix, speech recognition``."""
        return f"Cross-lingual transfer matrix, {self.source.task_title}"

    @property
    def subtitle(self) -> str:
        """Metric, N, seeds and the number of languages on one line."""
        strategy = self.source.strategy_text
        if self.rivals:
            strategy = f"strategy {self.source.strategy}"
        return self._line(strategy)

    @property
    def strategies_subtitle(self) -> str:
        """The line of a figure of all strategies, which names none."""
        return self._line("")

    def _line(self, strategy: str) -> str:
        names = self.source.metric_title, self.source.budget_text, strategy
        n = counted(len(self.matrix.languages), "language")
        return ", ".join(part for part in (*names, self.seeds_text, n) if part)

    @property
    def seeds_text(self) -> str:
        """How many seeds the cells with an estimate rest on."""
        counts = self.matrix.n_seeds[self.matrix.n_seeds > 0]
        if not len(counts):
            return ""
        low, high = int(counts.min()), int(counts.max())
        if low == high:
            return counted(low, "seed")
        return f"{low} to {high} seeds a cell"

    @property
    def level(self) -> str:
        """The confidence level of all intervals: ``95%``."""
        return level_text(self.uncertainty.settings.confidence)

    @cached_property
    def display_languages(self) -> list[Language]:
        """The matrix's languages in the order of display."""
        return display_order(self.languages[code] for code in self.matrix.languages)

    @cached_property
    def display_index(self) -> list[int]:
        """Positions in the matrix of :attr:`display_languages`."""
        codes = self.matrix.languages
        return [codes.index(language.code) for language in self.display_languages]

    @cached_property
    def published(self) -> list[PublishedComparison]:
        """Comparisons with the published matrices of the task."""
        return list(published_comparisons(self.main))
