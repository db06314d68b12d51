"""Names and families of languages, and the order in which a matrix is shown.

``conf/languages.yaml`` maps a language code, as in the data directories, to its name
and family, in the form ``Indo-European (Romance)``. A language that is not listed
keeps its code for a name, in the family ``unlisted``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from espnet2_cltm.errors import UserError

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


def family(language: Language) -> str | None:
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
        raise UserError(f"{path} has no entries of the form code: {{name, family}}.")
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
