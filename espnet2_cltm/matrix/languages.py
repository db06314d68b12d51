"""Names, families and distances of languages, and the order in which they are shown.

``conf/languages.yaml`` maps a language code, as in the data directories, to its name
and family, in the form ``Indo-European (Romance)``. A language that is not listed
keeps its code for a name, in the family ``unlisted``.

Distances are shipped in ``espnet2_cltm/data/languages/distances.tsv``, computed from
URIEL (its README tells how): geographic, genetic, syntactic, phonological and inventory
distance, 0 for the same to 1. A file of the user's own, with the same columns, adds
pairs or takes the place of shipped ones. Matrices of them are symmetric, in the order
of some languages; NaN stands for not known, the diagonal is 0.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from espnet2_cltm import data
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.text_table import (
    TextTable,
    read_text_table,
    require_language_codes,
)

UNLISTED = "unlisted"
# Listed under these are languages that share no ancestor for it.
NO_FAMILIES = frozenset({"Constructed", "Creole", "Language isolate", UNLISTED})


@dataclass(frozen=True)
class Language:
    """A language as people call it.

    Attributes:
        code: As in the data directories.
        name: English name.
        family: Family, with the branch in brackets where it helps.
    """

    code: str
    name: str
    family: str


def family_of(language: Language) -> str | None:
    """Give the family without its branch; None where a language has none."""
    name = language.family.split(" (")[0]
    return None if name in NO_FAMILIES else name


def read_languages(path: Path | str) -> dict[str, Language]:
    """Read ``conf/languages.yaml``.

    Raises:
        UserError: It cannot be read, or an entry is not ``code: {name, family}``.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: run from the recipe's directory or name the "
            "file with --languages_conf."
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as YAML ({reason}).") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} has no entries of the form code: {{name, family_of}}.")
    languages = {}
    for code, entry in content.items():
        if not isinstance(code, str):
            raise UserError(
                f"{path}: the code {code!r} is not text; put it in quotes (YAML takes "
                "no for false)."
            )
        if not isinstance(entry, Mapping) or not all(
            isinstance(entry.get(key), str) and entry[key] for key in ("name", "family")
        ):
            raise UserError(f"{path}: {code} needs a name and a family, both text.")
        languages[code] = Language(code, entry["name"], entry["family"])
    return languages


def describe(
    codes: Iterable[str], known: Mapping[str, Language]
) -> dict[str, Language]:
    """Give every code its language; one that is not known is ``unlisted``."""
    return {code: known.get(code, Language(code, code, UNLISTED)) for code in codes}


def display_order(languages: Iterable[Language]) -> list[Language]:
    """Sort by family, then name; unlisted languages come last."""
    return sorted(
        languages,
        key=lambda language: (
            language.family == UNLISTED,
            language.family,
            language.name,
            language.code,
        ),
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


def family_pairs(languages: Sequence[Language]) -> np.ndarray:
    """Tell which languages share a family, the part before the bracket.

    Constructed, creole, isolated and unlisted languages share none.

    Returns:
        (n, n) bool; the diagonal is False.
    """
    families = [family_of(language) for language in languages]
    return np.array(
        [
            [i != j and a == b and a is not None for j, b in enumerate(families)]
            for i, a in enumerate(families)
        ],
        dtype=bool,
    ).reshape(len(families), len(families))


def family_relation(languages: Iterable[Language]) -> np.ndarray:
    """Tell which languages are of one family.

    Constructed languages, creoles and isolates are of one family with no other.

    Returns:
        (n, n), 1 or 0, the diagonal 1; NaN for a language that is not listed.
    """
    languages = list(languages)
    families = [family_of(language) for language in languages]
    same = np.array(
        [[float(a == b and a is not None) for b in families] for a in families]
    ).reshape(len(languages), len(languages))
    np.fill_diagonal(same, 1.0)
    unlisted = np.array([x.family == UNLISTED for x in languages], dtype=bool)
    same[unlisted[:, None] | unlisted[None, :]] = np.nan
    return same
