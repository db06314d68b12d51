"""Distances between languages, as symmetric matrices in the order of some languages.

Shipped is ``espnet2_cltm/data/languages/distances.tsv``, computed from URIEL (its
README tells how): geographic, genetic, syntactic, phonological and inventory distance,
0 for the same to 1. A file of the user's own, with the same columns, adds pairs or
takes the place of shipped ones. NaN stands for not known, the diagonal is 0.
"""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from espnet2_cltm import data
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.languages import UNLISTED, Language, family
from espnet2_cltm.matrix.text_table import (
    TextTable,
    read_text_table,
    require_language_codes,
)

LANGUAGE_COLUMNS = ("language_a", "language_b")
TYPOLOGICAL_PARTS = ("syntactic", "phonological", "inventory")
DISTANCES = ("geographic", "genetic", *TYPOLOGICAL_PARTS)
TYPOLOGICAL = "typological"
SHIPPED = Path(data.__file__).parent / "languages" / "distances.tsv"

Pairs = dict[tuple[str, str], tuple[float, ...]]


def language_distances(
    codes: Sequence[str], own_file: Path | str | None = None
) -> dict[str, np.ndarray]:
    """Read all distances between some languages.

    Args:
        codes: The n languages.
        own_file: More pairs; where a pair is shipped too, this file counts.

    Returns:
        (n, n) by name: those of :data:`DISTANCES`, and ``typological``, the mean of
        the syntactic, phonological and inventory distance where all three are known.

    Raises:
        UserError: A file cannot be read as a table of distances; names the line.
    """
    pairs = read_pairs(SHIPPED)
    if own_file is not None:
        pairs |= read_pairs(own_file)
    n = len(codes)
    stacked = np.full((len(DISTANCES), n, n), np.nan)
    for i, a in enumerate(codes):
        stacked[:, i, i] = 0.0
        for j, b in enumerate(codes[:i]):
            found = pairs.get((min(a, b), max(a, b)))
            if found is not None:
                stacked[:, i, j] = stacked[:, j, i] = found
    distances = dict(zip(DISTANCES, stacked, strict=True))
    parts = [distances[part] for part in TYPOLOGICAL_PARTS]
    return {**distances, TYPOLOGICAL: np.mean(parts, axis=0)}


def read_pairs(path: Path | str) -> Pairs:
    """Read a table of distances.

    Args:
        path: Tab-separated, with the columns ``language_a``, ``language_b`` and those
            of :data:`DISTANCES`, in any order; an empty field is not known.

    Returns:
        The distances in the order of :data:`DISTANCES`, by pair; the code that sorts
        first stands first.

    Raises:
        UserError: It is no such table; names the file and line.
    """
    path = Path(path)
    table = _read_table(path)
    for column in LANGUAGE_COLUMNS:
        require_language_codes(table, column)
    numbers = [_to_distances(table, column) for column in DISTANCES]
    first_line: dict[tuple[str, str], int] = {}
    pairs: Pairs = {}
    for line, a, b, *values in zip(
        table.rows.index,
        *(table.rows[column] for column in LANGUAGE_COLUMNS),
        *numbers,
        strict=True,
    ):
        if a == b:
            raise UserError(
                f"{path}, line {line}: a pair of {a} with itself; remove the line (a "
                "language is at distance 0 from itself)."
            )
        pair = (min(a, b), max(a, b))
        if pair in pairs:
            raise UserError(
                f"{path}, lines {first_line[pair]} and {line}: the pair {a} {b} twice; "
                "remove one of the two."
            )
        first_line[pair] = line
        pairs[pair] = tuple(values)
    return pairs


def _read_table(path: Path) -> TextTable:
    expected = " ".join((*LANGUAGE_COLUMNS, *DISTANCES))
    if not path.is_file():
        raise UserError(
            f"{path} is no file: give a tab-separated table of distances between "
            f"languages with the columns {expected}."
        )
    if path.stat().st_size == 0:
        raise UserError(
            f"{path} is empty: a table of distances has the columns {expected}."
        )
    table = read_text_table(path)
    absent = [x for x in (*LANGUAGE_COLUMNS, *DISTANCES) if x not in table.rows.columns]
    if absent:
        raise UserError(
            f"{path} has no column {absent[0]}: a table of distances has the columns "
            f"{expected}, tab-separated; leave fields empty that are not known."
        )
    return table


def _to_distances(table: TextTable, column: str) -> list[float]:
    """Convert a column to numbers from 0 to 1; an empty field becomes NaN."""
    return [
        _to_distance(f"{table.path}, line {line}: {column}", text.strip())
        for line, text in table.rows[column].items()
    ]


def _to_distance(what: str, text: str) -> float:
    if not text:
        return math.nan
    if not re.fullmatch(r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,2})?", text):
        raise UserError(
            f"{what} is '{text}', not a distance from 0 to 1; leave it empty if it is "
            "not known."
        )
    value = float(text)
    if value > 1:
        raise UserError(
            f"{what} is {text}; distances are shares from 0 (the same) to 1."
        )
    return value


def same_family(languages: Iterable[Language]) -> np.ndarray:
    """Tell which languages are of one family.

    Constructed languages, creoles and isolates are of one family with no other.

    Returns:
        (n, n), 1 or 0, the diagonal 1; NaN for a language that is not listed.
    """
    languages = list(languages)
    families = [family(language) for language in languages]
    same = np.array(
        [[float(a == b and a is not None) for b in families] for a in families]
    ).reshape(len(languages), len(languages))
    np.fill_diagonal(same, 1.0)
    unlisted = np.array([x.family == UNLISTED for x in languages], dtype=bool)
    same[unlisted[:, None] | unlisted[None, :]] = np.nan
    return same
