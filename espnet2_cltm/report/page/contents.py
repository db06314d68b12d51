"""What the page says: words and tables. Its scripts draw :mod:`.matrix_data`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from espnet2_cltm.matrix.languages import Language


@dataclass(frozen=True)
class RankingRow:
    """A language in a ranking; ``value`` and ``interval`` are text."""

    name: str
    value: str
    interval: str


@dataclass(frozen=True)
class Ranking:
    """A ranking of donors or of targets.

    Attributes:
        side: ``donors`` or ``targets``.
        title: Its heading.
        explanation: What the number is.
        axis: Name of the number.
        rows: Best first.
    """

    side: str
    title: str
    explanation: str
    axis: str
    rows: Sequence[RankingRow]


@dataclass(frozen=True)
class PairTable:
    """The strongest pairs of one sign.

    Attributes:
        title: Its heading.
        none: What to say where there is none.
        rows: Target, donor, CLTM and its interval as text, the strongest first.
    """

    title: str
    none: str
    rows: Sequence[tuple[str, str, str, str]]


@dataclass(frozen=True)
class NumberRow:
    """A summary number: its name, and a text for each version of it."""

    label: str
    values: Sequence[str]


@dataclass(frozen=True)
class OriginPart:
    """Where transfer comes from: sentences, and the table of Mantel's tests."""

    lines: Sequence[str]
    test_columns: Sequence[str] = ()
    tests: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class ComparisonPart:
    """A comparison with a published matrix.

    Attributes:
        title: Its heading.
        numbers: The agreement in one line.
        text: All numbers, in lines.
    """

    title: str
    numbers: str
    text: str


@dataclass(frozen=True)
class RegimePart:
    """How large N must be, in sentences."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Page:
    """Everything the page says in words and tables.

    Attributes:
        version: Of this software.
        title: Of the page.
        subtitle: Metric, N, seeds, languages.
        formula: Of the CLTM.
        metric_label: Of the metric that tables are of.
        file_stem: Of the names of downloaded figures.
        false_discovery_rate: A cell differs where its q is below.
        languages: In the order of display.
        in_short: What a reader should know first.
        matrix_rows: The matrix as text.
        zero_shot_rows: The zero-shot matrix as text; empty where there is none.
        rankings: Of donors and targets.
        strongest: The strongest pairs, positive and negative; empty where no target is
            identified.
        number_columns: The versions of each summary number.
        numbers: All summary numbers.
        numbers_note: What the versions are.
        number_notes: What else has to be said of them.
        methods: Paragraphs.
        command: That makes the experiment; empty where not known.
        build_command: That builds the matrix from the results.
        versions: Of software and input, name and value.
        configuration: YAML; empty where not known.
        files: Names of the files that the page contains.
        gaps: What is not identified or not available, and why.
        origin: Where transfer comes from.
        comparisons: With published matrices.
        regime: How large N must be.
    """

    version: str
    title: str
    subtitle: str
    formula: str
    metric_label: str
    file_stem: str
    false_discovery_rate: float
    languages: Sequence[Language]
    in_short: Sequence[str]
    matrix_rows: Sequence[tuple[Language, Sequence[str]]]
    zero_shot_rows: Sequence[tuple[Language, Sequence[str]]]
    rankings: Sequence[Ranking]
    strongest: Sequence[PairTable]
    number_columns: Sequence[str]
    numbers: Sequence[NumberRow]
    numbers_note: str
    methods: Sequence[str]
    command: str
    build_command: str
    versions: Sequence[tuple[str, str]]
    configuration: str
    files: Sequence[str]
    number_notes: Sequence[str] = ()
    gaps: Sequence[str] = ()
    origin: OriginPart | None = None
    comparisons: Sequence[ComparisonPart] = field(default_factory=tuple)
    regime: RegimePart | None = None

    @property
    def contents(self) -> list[tuple[str, str]]:
        """List the sections that are there: id and name."""
        sections = (
            ("the-matrix", "Matrix", True),
            ("rankings", "Donors and targets", bool(self.rankings)),
            ("pairs", "Strongest pairs", bool(self.strongest)),
            ("numbers", "Summary numbers", True),
            ("origin", "Where transfer comes from", self.origin),
            ("zero-shot", "Zero-shot", self.zero_shot_rows),
            ("comparison", "Published matrices", self.comparisons),
            ("regime", "How large N must be", self.regime),
            ("gaps", "What is not there", self.gaps),
            ("methods", "Methods", True),
            ("reproduce", "To reproduce", True),
            ("downloads", "Downloads", True),
        )
        return [(id_, name) for id_, name, there in sections if there]

    @property
    def has_brackets(self) -> bool:
        """Whether the matrix's table has a cell that is not identified."""
        return any("(" in cell for _, cells in self.matrix_rows for cell in cells)

    @property
    def has_stars(self) -> bool:
        """Whether it has a cell that differs from 0."""
        return any("*" in cell for _, cells in self.matrix_rows for cell in cells)
