"""How far two transfer matrices agree, over the off-diagonal cells that both have.

Takes two matrices A and B of whatever languages, brings those in common into one order
(sorted), and gives correlations with Mantel's p, distances, signs, the largest
differences and, where A has intervals, how often B lies inside them. Differences are
B - A throughout.

A matrix is a directory of stage 6, a ``cltm.csv``, or a published matrix. Only a
directory tells more than the matrix: its ``cells.tsv`` has the estimates of targets
that are not identified, and Fieller's intervals. Sets that are not bounded are not
intervals and count as none.

Chance, for intervals, is what remains when B's languages are permuted, rows and columns
alike: B keeps its values, its strong and weak targets and donors, but not whose they
are.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, rankdata, spearmanr

from espnet2_cltm.counting import counted
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.matrix_files import (
    PUBLISHED,
    LabelledMatrix,
    published_path,
    read_cells,
    read_matrix,
)
from espnet2_cltm.matrix.relatedness import (
    FEWEST_FOR_CORRELATION,
    LanguagePermutations,
    mantel_p_value,
    off_diagonal,
    permute_languages,
)
from espnet2_cltm.matrix.uncertainty import BOUNDED, LEVEL

FEWEST_LANGUAGES = 3


@dataclass(frozen=True)
class ComparedMatrix:
    """A matrix with what is known of its cells; arrays are (targets, donors).

    Attributes:
        name: Name, as the user gave it.
        description: Task and encoder of a published matrix; else empty.
        path: File of the matrix.
        sha256: Digest of its bytes.
        matrix: Cells that are identified, NaN elsewhere.
        raw: All estimates, identified or not.
        low: Lower end of each cell's interval, NaN where there is none.
        high: Upper end.
        intervals: How intervals were made; empty where there is none.
    """

    name: str
    description: str
    path: Path
    sha256: str
    matrix: LabelledMatrix
    raw: np.ndarray
    low: np.ndarray
    high: np.ndarray
    intervals: str


def read_compared(name: str, rows: str | None = None) -> ComparedMatrix:
    """Read what is to be compared.

    Args:
        name: A directory or a file, else the name of a published matrix.
        rows: What the lines of a file are, see :func:`.read_matrix`.

    Raises:
        UserError: It is none of these, or can't be read.
    """
    path = Path(name)
    if not path.exists() and name in PUBLISHED:
        return _only_matrix(name, published_path(name), PUBLISHED[name])
    if path.is_dir():
        if not (path / "cltm.csv").exists():
            raise UserError(
                f"{path} has no cltm.csv: give a directory that stage 6 wrote, such as "
                "exp/<tag>/cltm/<task>."
            )
        compared = _only_matrix(name, path / "cltm.csv")
        cells = path / "cells.tsv"
        return _with_cells(compared, cells) if cells.exists() else compared
    if path.exists():
        return _only_matrix(name, path, rows=rows)
    raise UserError(
        f"{name} is not a directory of stage 6, nor a file, nor a published matrix; "
        f"published are {', '.join(PUBLISHED)}."
    )


def _only_matrix(
    name: str, path: Path, description: str = "", rows: str | None = None
) -> ComparedMatrix:
    matrix = read_matrix(path, rows)
    nothing = np.full(matrix.values.shape, np.nan)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ComparedMatrix(
        name, description, path, digest, matrix, matrix.values, nothing, nothing, ""
    )


def _with_cells(compared: ComparedMatrix, path: Path) -> ComparedMatrix:
    found = read_cells(
        path,
        compared.matrix.rows,
        compared.matrix.columns,
        ("cltm", "fieller_low", "fieller_high"),
        ("fieller_kind",),
    )
    _require_same(compared, path, found["cltm"])
    bounded = found["fieller_kind"] == BOUNDED
    return replace(
        compared,
        raw=found["cltm"],
        low=np.where(bounded, found["fieller_low"], np.nan),
        high=np.where(bounded, found["fieller_high"], np.nan),
        intervals=f"Fieller's, {LEVEL:.0%}" if bounded.any() else "",
    )


def _require_same(compared: ComparedMatrix, path: Path, raw: np.ndarray) -> None:
    """Refuse two files that are not of one matrix."""
    values = compared.matrix.values
    for row, column in np.argwhere(np.isfinite(values) & (values != raw)):
        target, donor = compared.matrix.rows[row], compared.matrix.columns[column]
        if target != donor:
            raise UserError(
                f"{path} and {compared.path.name} beside it do not belong together "
                f"({target} from {donor} is {raw[row, column]:g} in one and "
                f"{values[row, column]:g} in the other): build the matrix again, or "
                "give the file alone."
            )


@dataclass(frozen=True)
class Agreement:
    """Numbers over the off-diagonal cells available in both; None if undefined.

    Attributes:
        n_cells: Number of cells.
        pearson: Pearson's r.
        pearson_mantel_p: Its two-sided p-value by Mantel's test.
        spearman: Spearman's rho.
        spearman_mantel_p: Its p-value, Mantel's test of ranks.
        rmse: Root mean square of B - A.
        mean_difference: Mean of B - A.
        sign_agreement: Share of cells with the same sign, 0 being a sign of its own.
        sign_agreement_expected: That share if signs of A and B were unrelated.
    """

    n_cells: int
    pearson: float | None
    pearson_mantel_p: float | None
    spearman: float | None
    spearman_mantel_p: float | None
    rmse: float
    mean_difference: float
    sign_agreement: float
    sign_agreement_expected: float


@dataclass(frozen=True)
class IntervalCheck:
    """Whether B lies inside A's intervals more often than chance.

    Attributes:
        n_cells: Identified cells that have a bounded interval in A and a value in B.
        share_inside: Share of them with B inside.
        share_by_chance: Mean of that share over permutations of B's languages.
        p_value: One-sided p-value of a share as large as this, by permutation.
        intervals: How A's intervals were made.
    """

    n_cells: int
    share_inside: float
    share_by_chance: float
    p_value: float
    intervals: str


@dataclass(frozen=True)
class Comparison:
    """Everything about two matrices.

    Attributes:
        languages: The languages in common, sorted.
        cells: Off-diagonal cells that both have, row by row: ``target``, ``donor``,
            CLTM in ``a`` and ``b``, whether ``identified`` in both, and ``low`` and
            ``high`` of A's interval, NaN where there is none.
        permutations: Number of orders of languages that were tried.
        exact: Whether these are all there are.
        agreement: Numbers over identified cells.
        agreement_of_all: Numbers over all estimates; None where these are the same
            cells.
        interval_check: Whether B lies inside A's intervals; None where A has none.
    """

    languages: tuple[str, ...]
    cells: pd.DataFrame
    permutations: int
    exact: bool
    agreement: Agreement
    agreement_of_all: Agreement | None
    interval_check: IntervalCheck | None

    @property
    def differences(self) -> pd.DataFrame:
        """The identified cells with B - A, their ``difference``, the largest first."""
        cells = self.cells[self.cells["identified"]]
        cells = cells.assign(difference=cells["b"] - cells["a"])
        cells = cells.assign(size=-cells["difference"].abs())
        return cells.sort_values(["size", "target", "donor"]).drop(columns="size")


def compare(
    a: ComparedMatrix, b: ComparedMatrix, n_permutations: int, seed: int
) -> Comparison:
    """Compare two matrices.

    Args:
        a: One matrix.
        b: The other; its languages are permuted.
        n_permutations: Number of orders drawn; all where there are no more.
        seed: Seed of the draw.

    Raises:
        UserError: They have too few languages or cells in common.
    """
    of_a, of_b = ({*x.matrix.rows, *x.matrix.columns} for x in (a, b))
    languages = tuple(sorted(of_a & of_b))
    if len(languages) < FEWEST_LANGUAGES:
        which = f" ({' '.join(languages)})" if languages else ""
        raise UserError(
            f"{a.name} and {b.name} have {counted(len(languages), 'language')} in "
            f"common{which}; a comparison needs at least {FEWEST_LANGUAGES}."
        )
    matrix_a, matrix_b = (_square(x.matrix, x.matrix.values, languages) for x in (a, b))
    raw_a, raw_b = (_square(x.matrix, x.raw, languages) for x in (a, b))
    low, high = (_square(a.matrix, ends, languages) for ends in (a.low, a.high))
    identified = np.isfinite(matrix_a) & np.isfinite(matrix_b)
    n_cells = int(identified.sum())
    if n_cells < FEWEST_FOR_CORRELATION:
        raise UserError(
            f"{a.name} and {b.name} have {counted(n_cells, 'identified cell')} off the "
            f"diagonal in common; a comparison needs at least {FEWEST_FOR_CORRELATION}."
        )
    permutations = permute_languages(len(languages), n_permutations, seed)
    both = np.isfinite(raw_a) & np.isfinite(raw_b)
    agreement_of_all = None
    if both.sum() > identified.sum():
        agreement_of_all = agreement(raw_a, raw_b, permutations)
    i, j = np.nonzero(both)
    codes = np.array(languages)
    numbers = {"a": raw_a, "b": raw_b, "identified": identified}
    numbers |= {"low": low, "high": high}
    of_cells = {name: values[i, j] for name, values in numbers.items()}
    return Comparison(
        languages=languages,
        cells=pd.DataFrame({"target": codes[i], "donor": codes[j], **of_cells}),
        permutations=len(permutations.orders),
        exact=permutations.exact,
        agreement=agreement(matrix_a, matrix_b, permutations),
        agreement_of_all=agreement_of_all,
        interval_check=check_intervals(
            np.where(np.isfinite(matrix_a), low, np.nan),
            np.where(np.isfinite(matrix_a), high, np.nan),
            matrix_b,
            permutations,
            a.intervals,
        ),
    )


def _square(
    labels: LabelledMatrix, values: np.ndarray, languages: tuple[str, ...]
) -> np.ndarray:
    return off_diagonal(replace(labels, values=values).square(languages))


def agreement(
    a: np.ndarray, b: np.ndarray, permutations: LanguagePermutations
) -> Agreement:
    """Compute the numbers of agreement.

    Args:
        a: (n, n), NaN where not available and on the diagonal.
        b: (n, n), the other matrix, NaN as in ``a``.
        permutations: Orders of the n languages.
    """
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both], b[both]
    varies = np.ptp(x) > 0 and np.ptp(y) > 0
    signs_x, signs_y = np.sign(x), np.sign(y)
    return Agreement(
        n_cells=len(x),
        pearson=float(pearsonr(x, y)[0]) if varies else None,
        pearson_mantel_p=mantel_p_value(a, b, permutations) if varies else None,
        spearman=float(spearmanr(x, y)[0]) if varies else None,
        spearman_mantel_p=(
            mantel_p_value(_ranks(a), _ranks(b), permutations) if varies else None
        ),
        rmse=float(np.sqrt(np.mean((y - x) ** 2))),
        mean_difference=float(np.mean(y - x)),
        sign_agreement=float(np.mean(signs_x == signs_y)),
        sign_agreement_expected=float(
            sum(np.mean(signs_x == s) * np.mean(signs_y == s) for s in (-1, 0, 1))
        ),
    )


def _ranks(matrix: np.ndarray) -> np.ndarray:
    ranks = np.full(matrix.shape, np.nan)
    there = np.isfinite(matrix)
    ranks[there] = rankdata(matrix[there])
    return ranks


def check_intervals(
    low: np.ndarray,
    high: np.ndarray,
    b: np.ndarray,
    permutations: LanguagePermutations,
    intervals: str,
) -> IntervalCheck | None:
    """Count how often B lies inside A's intervals, and how often by chance.

    Args:
        low: (n, n), NaN where A has no interval.
        high: (n, n).
        b: (n, n), NaN where not available and on the diagonal.
        permutations: Orders of the n languages.
        intervals: How A's intervals were made.

    Returns:
        None where no cell has an interval and a value.
    """
    share, count = _share_inside(low, high, b[None])
    if not count[0]:
        return None
    by_chance = np.concatenate(
        [_share_inside(low, high, some)[0] for some in permutations.reorder(b)]
    )
    # An order that leaves nothing to count is taken for extreme: p is never too small.
    extreme = int((~(by_chance < share[0])).sum())
    return IntervalCheck(
        n_cells=int(count[0]),
        share_inside=float(share[0]),
        share_by_chance=float(np.nanmean(by_chance)),
        p_value=permutations.p_value(extreme),
        intervals=intervals,
    )


def _share_inside(
    low: np.ndarray, high: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Share inside and number of cells, for each of (k, n, n)."""
    with np.errstate(invalid="ignore"):
        inside = ((low <= b) & (b <= high)).sum(axis=(1, 2))
        count = (np.isfinite(low) & np.isfinite(b)).sum(axis=(1, 2))
        return inside / np.where(count, count, np.nan), count
