"""A coloured table of languages by languages, whatever its values mean.

What every heatmap of the project is drawn from: rows and columns grouped by language
family, values and their colours, and the marks a cell or a row can have. How much is
written depends on the number of languages only: full names, values and second lines
where there is room for them.
"""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.colour_scale import ColourScale

MOST_WITH_NAMES = 24  # more languages than this are labelled by code alone
MOST_WITH_VALUES = 20
MOST_WITH_SECOND_LINES = 6


@dataclass(frozen=True)
class Grid:
    """What is drawn.

    Attributes:
        rows: The r languages of the rows, families together.
        columns: The c languages of the columns, families together.
        values: (r, c), NaN where not available.
        scale: Colours of the values.
        texts: (r, c) str, what a cell says where there is room.
        row_title: Beside the rows; may hold mathtext.
        column_title: Beneath the columns.
        title: First line.
        subtitle: Second line.
        second_lines: (r, c) str, beneath a cell's text where there is much room;
            empty where a cell has none; or None.
        faded_rows: (r,) bool, rows marked † and plain grey where without a value; or
            None.
        dotted: (r, c) bool, cells with a small ring; or None.
        outlined: (r, c) bool, cells with a frame; or None.
        notes: Sentences beneath the picture.
    """

    rows: tuple[Language, ...]
    columns: tuple[Language, ...]
    values: np.ndarray
    scale: ColourScale
    texts: np.ndarray
    row_title: str
    column_title: str
    title: str
    subtitle: str
    second_lines: np.ndarray | None = None
    faded_rows: np.ndarray | None = None
    dotted: np.ndarray | None = None
    outlined: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The larger of the numbers of rows and columns."""
        return max(len(self.rows), len(self.columns))

    @property
    def has_texts(self) -> bool:
        """Whether cells have room for text."""
        return self.size <= MOST_WITH_VALUES

    @property
    def faded(self) -> np.ndarray:
        """(r,) bool, the rows that are marked."""
        if self.faded_rows is None:
            return np.zeros(len(self.rows), dtype=bool)
        return self.faded_rows

    def row_label(self, row: int) -> str:
        """Name a row, with its mark where it has one."""
        mark = " †" if self.faded[row] else ""
        return language_label(self.rows[row], self.size) + mark

    def column_label(self, column: int) -> str:
        """Name a column."""
        return language_label(self.columns[column], self.size)


def language_label(language: Language, n: int) -> str:
    """Name a language, by its code alone where there are many."""
    return language.name if n <= MOST_WITH_NAMES else language.code


def family_runs(languages: tuple[Language, ...]) -> list[tuple[str, int, int]]:
    """Give each run of languages of one family: family, first position, length."""
    runs = []
    start = 0
    for family, members in groupby(languages, key=lambda language: language.family):
        size = len(list(members))
        runs.append((family, start, size))
        start += size
    return runs
