"""Names, families and distances of languages, and the order in which they are shown.

``conf/languages.yaml`` maps a language code, as in the data directories, to its name
and family, in the form ``Indo-European (Romance)``. A language that is not listed
keeps its code for a name, in the family ``unlisted``.

Distances are shipped in ``espnet2_cltm/data/languages/distances.tsv``, computed from
URIEL+ (its README tells how): geographic, genetic, syntactic, phonological and
inventory distance, 0 for the same to 1. A table of the user's own adds pairs or takes
the place of shipped ones, and may have other distances, such as those that
``local/measure_distances.py`` finds in recordings. Matrices of them are symmetric, in
the order of some languages; NaN stands for not known, the diagonal is 0.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm import data
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping
from espnet2_cltm.language_codes import SYNTHETIC, language_of
from espnet2_cltm.matrix.text_table import (
    first_line,
    read_text_table,
    require_columns,
    require_distinct,
    require_language_codes,
    to_number,
)

UNLISTED = "unlisted"
LONGEST_NAME = 80  # characters; figures grow with it
# Listed under these are languages that share no ancestor for it.
NO_FAMILIES = frozenset({"Constructed", "Creole", "Language isolate", UNLISTED})
LANGUAGE_COLUMNS = ("language_a", "language_b")
TYPOLOGICAL_PARTS = ("syntactic", "phonological", "inventory")
DISTANCES = ("geographic", "genetic", *TYPOLOGICAL_PARTS)
TYPOLOGICAL = "typological"
IMPUTED = "imputed"  # column that names the distances of a pair that rest on imputation
SHIPPED = Path(data.__file__).parent / "languages" / "distances.tsv"

DistancesOfPairs = dict[tuple[str, str], dict[str, float]]
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Language:
    """A language as people call it.

    Attributes:
        code: Code as in the data directories.
        name: English name.
        family: Family, with the branch in brackets where it helps.
    """

    code: str
    name: str
    family: str


def read_languages(path: Path | str) -> dict[str, Language]:
    """Read ``conf/languages.yaml``.

    Raises:
        UserError: It can't be read, or an entry is not ``code: {name, family}``.
    """
    remedy = "run from the recipe's directory or name the file with --languages_conf"
    what = "a list of languages, 'code: {name: ..., family: ...}'"
    languages = {}
    for code, entry in read_mapping(path, what, remedy).items():
        if not isinstance(entry, Mapping) or not all(
            isinstance(text := entry.get(key), str)
            and 0 < len(text) <= LONGEST_NAME
            and text.isprintable()
            for key in ("name", "family")
        ):
            raise UserError(
                f"{path}: {code[:40]} needs a name and a family, both one line of at "
                f"most {LONGEST_NAME} characters."
            )
        languages[code] = Language(code, entry["name"], entry["family"])
    return languages


def describe(
    codes: Iterable[str], known: Mapping[str, Language]
) -> dict[str, Language]:
    """Return every code's language; one that is not known is ``unlisted``.

    What stands in for a language, such as ``sw@tts``, is of its family.
    """
    return {code: known.get(code) or _named_after(code, known) for code in codes}


def _named_after(code: str, known: Mapping[str, Language]) -> Language:
    base, _, kind = code.partition("@")
    language = known.get(base, Language(base, base, UNLISTED))
    if not kind:
        return language
    what = "synthetic" if kind == SYNTHETIC else kind
    return Language(code, f"{language.name} ({what})", language.family)


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


# Families ---------------------------------------------------------------------------


def family_of(language: Language) -> str | None:
    """Return the family without its branch; None where a language has none."""
    name = language.family.split(" (")[0]
    return None if name in NO_FAMILIES else name


def family_pairs(languages: Iterable[Language]) -> np.ndarray:
    """Return which pairs of languages share a family, the part before the bracket.

    Constructed, creole, isolated and unlisted languages share none.

    Returns:
        (n, n) bool; the diagonal is False.
    """
    families = [family_of(language) for language in languages]
    same = [[a == b and a is not None for b in families] for a in families]
    of_all = np.array(same, dtype=bool).reshape(len(families), len(families))
    return of_all & ~np.eye(len(families), dtype=bool)


def family_relation(languages: Iterable[Language]) -> np.ndarray:
    """Return, as a relation of languages, which are of one family.

    Returns:
        (n, n), 1 or 0, the diagonal 1; NaN for a language that is not listed.
    """
    languages = list(languages)
    same = family_pairs(languages) + np.eye(len(languages))
    unlisted = np.array([x.family == UNLISTED for x in languages], dtype=bool)
    same[unlisted[:, None] | unlisted[None, :]] = np.nan
    return same


# Distances --------------------------------------------------------------------------


def language_distances(
    codes: Sequence[str], own_file: Path | str | None = None
) -> dict[str, np.ndarray]:
    """Read all distances between some languages.

    Args:
        codes: The n languages.
        own_file: Table with more pairs or other distances; where a pair is shipped too,
            its columns count.

    A pair with ``sw@tts`` that no table has is that with ``sw``, at 0 from itself.

    Returns:
        (n, n) by name: those of :data:`DISTANCES`; ``typological``, the mean of the
        syntactic, phonological and inventory distance where all three are known; then
        those that ``own_file`` alone has.

    Raises:
        UserError: A file can't be read as a table of distances; names the line.
    """
    tables = [read_pairs(SHIPPED)]
    if own_file is not None:
        tables.append(read_pairs(own_file))
    more = (name for table in tables for of_pair in table.values() for name in of_pair)
    distances = {
        name: np.where(np.eye(len(codes), dtype=bool), 0.0, np.nan)
        for name in dict.fromkeys((*DISTANCES, *more))
    }
    for i, a in enumerate(codes):
        for j, b in enumerate(codes[:i]):
            for table in tables:
                for name, value in _of_pair(table, a, b).items():
                    distances[name][i, j] = distances[name][j, i] = value
    parts = [distances[part] for part in TYPOLOGICAL_PARTS]
    shipped = {name: distances.pop(name) for name in DISTANCES}
    return {**shipped, TYPOLOGICAL: np.mean(parts, axis=0), **distances}


def _of_pair(pairs: DistancesOfPairs, a: str, b: str) -> dict[str, float]:
    """Return the distances of two codes, or of the languages that they stand in for."""
    found = pairs.get((min(a, b), max(a, b)))
    if found is not None:
        return found
    one, other = sorted(map(language_of, (a, b)))
    same = dict.fromkeys(DISTANCES, 0.0)
    return same if one == other else pairs.get((one, other), {})


def read_pairs(path: Path | str) -> DistancesOfPairs:
    """Read a table of distances.

    Args:
        path: Tab-separated, with the columns ``language_a``, ``language_b`` and one for
            each distance, in any order; an empty field is not known. A column
            :data:`IMPUTED` marks distances and is not one of them.

    Returns:
        The distances by name, by pair; the code that sorts first stands first.

    Raises:
        UserError: It is not such a table; names the file and line.
    """
    remedy = (
        "give a tab-separated table of distances between languages with the columns "
        f"{' '.join(LANGUAGE_COLUMNS)} and one for each distance, such as "
        f"{DISTANCES[0]}; leave fields empty that are not known"
    )
    table = read_text_table(path, remedy)
    require_columns(table, LANGUAGE_COLUMNS, remedy)
    no_distances = (*LANGUAGE_COLUMNS, IMPUTED)
    names = [str(name) for name in table.rows if name not in no_distances]
    for name in names:
        if not _COLUMN.fullmatch(name) or name == TYPOLOGICAL:
            raise UserError(
                f"{path}: '{name[:40]}' cannot be the name of a distance: choose "
                "another, of small letters, digits and '_'."
            )
    if not names:
        raise UserError(f"{path} has no column of distances: {remedy}.")
    for column in LANGUAGE_COLUMNS:
        require_language_codes(table, column)
    numbers = [to_number(table, name, empty_is_nan=True, maximum=1) for name in names]
    pairs = table.rows[[*LANGUAGE_COLUMNS]]
    itself = pairs["language_a"] == pairs["language_b"]
    if itself.any():
        line = first_line(itself)
        raise UserError(
            f"{path}, line {line}: a pair of {pairs['language_a'][line]} with itself; "
            "remove the line (a language is at distance 0 from itself)."
        )
    pairs = pd.DataFrame(np.sort(pairs, axis=1), pairs.index, LANGUAGE_COLUMNS)
    require_distinct(replace(table, rows=pairs), LANGUAGE_COLUMNS, "the pair")
    return {
        (a, b): dict(zip(names, values, strict=True))
        for a, b, *values in zip(*pairs.to_numpy().T, *numbers, strict=True)
    }
