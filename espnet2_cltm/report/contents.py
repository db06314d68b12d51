"""What a report is made of: everything that its sections and figures may show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from espnet2_cltm.matrix.languages import Language, display_order
from espnet2_cltm.matrix.origin import Origin
from espnet2_cltm.matrix.prediction import MissingPairs
from espnet2_cltm.matrix.uncertainty import Analysis
from espnet2_cltm.report.comparison import PublishedComparison, published_comparisons
from espnet2_cltm.report.provenance import Provenance
from espnet2_cltm.report.summary import BothNumbers


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
        missing: Predictions of cells that were not measured; None where there are none.
        regime: Content of ``regime.json``; None where there is none.
        confusion: Classes taken for each other, see
            :func:`espnet2_cltm.report.confusion.read_confusion`; None where not known.
        files: Text of the files to download, by name.
        figures: Names of the files of the figures beside the page.
    """

    analyses: Sequence[Analysis]
    languages: Mapping[str, Language]
    numbers: BothNumbers
    origin: Origin
    provenance: Provenance
    build_command: str
    missing: MissingPairs | None = None
    regime: Mapping[str, Any] | None = None
    confusion: pd.DataFrame | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    figures: Sequence[str] = ()

    @property
    def main(self) -> Analysis:
        """The analysis of the matrix's own metric."""
        return self.analyses[0]

    @cached_property
    def display_languages(self) -> list[Language]:
        """The matrix's languages in the order of display."""
        return display_order(
            self.languages[code] for code in self.main.matrix.languages
        )

    @cached_property
    def display_index(self) -> list[int]:
        """Positions in the matrix of :attr:`display_languages`."""
        codes = self.main.matrix.languages
        return [codes.index(language.code) for language in self.display_languages]

    @cached_property
    def published(self) -> list[PublishedComparison]:
        """Comparisons with the published matrices of the task."""
        return list(published_comparisons(self.main))
