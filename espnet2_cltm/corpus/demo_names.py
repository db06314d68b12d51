"""Words for the demo's prompts in a language's own spelling: names from Unicode's CLDR.

CLDR, which the package babel ships for some hundred languages, names territories,
languages, scripts, currencies, cities, months and days. Only names that the language
writes itself are kept: spelled in letters of its main script, without explanations
in brackets. They depend on nothing but the language and babel's version.
"""

import re
import unicodedata
from collections import Counter
from functools import cache

from espnet2_cltm.errors import UserError

MIN_NAMES = 50
"""With fewer, a language's prompts would repeat each other."""

# ASCII and full-width brackets.
_BRACKETS = re.compile(r"\s*[(\uff08].*?[)\uff09]")
# Hyphen, apostrophes, and the marks that repeat a sign or lengthen a vowel in Japanese.
_JOINERS = "-'\u2019\u3005\u30fc"


@cache
def names_of(lang: str) -> tuple[str, ...]:
    """Give a language's names, each once, sorted by code point.

    Args:
        lang: A code of espeak-ng's, such as ``pt-br`` or ``hu``.

    Raises:
        UserError: The package babel is missing, or CLDR has too few names.
    """
    try:
        from babel import Locale
        from babel.core import UnknownLocaleError
    except ImportError as error:
        raise UserError(
            f"Prompts of the kind 'names' need the package babel, which is missing "
            f"({error}): install it, or take 'names' out of the corpus's prompts."
        ) from error
    try:
        locale = Locale.parse(lang, sep="-")
    except (UnknownLocaleError, ValueError):
        spelled: list[str] = []
    else:
        spelled = _spelled_in_letters(_every_name(locale))
    script = _main_script(spelled)
    names = sorted({name for name in spelled if _scripts(name) == {script}})
    if len(names) < MIN_NAMES:
        raise UserError(
            f"The package babel has {len(names)} names in the language {lang!r}, too "
            f"few for prompts of the kind 'names' ({MIN_NAMES}): leave the language "
            "out."
        )
    return tuple(names)


def _every_name(locale) -> list[str]:
    names: list[str] = []
    for table in (
        locale.territories,
        locale.languages,
        locale.scripts,
        locale.currencies,
        locale.months["format"]["wide"],
        locale.days["format"]["wide"],
    ):
        names += table.values()
    names += [zone["city"] for zone in locale.time_zones.values() if "city" in zone]
    return names


def _spelled_in_letters(names: list[str]) -> list[str]:
    bare = (_BRACKETS.sub("", name).strip() for name in names)
    # Marks and format characters join the letters of Arabic and Indic scripts. Modifier
    # letters (Lm) stand in foreign names, which espeak-ng reads in another language.
    letters = {"Lu", "Ll", "Lt", "Lo", "Mn", "Mc", "Cf", "Zs"}
    return [
        name
        for name in bare
        if len(name) > 1
        and all(
            unicodedata.category(character) in letters or character in _JOINERS
            for character in name
        )
    ]


def _main_script(names: list[str]) -> str | None:
    counts = Counter(script for name in names for script in _scripts(name))
    return max(counts, key=lambda script: (counts[script], script), default=None)


def _scripts(name: str) -> set[str]:
    """Name the scripts of a name's letters; Japanese writes with three."""
    scripts = {
        unicodedata.name(character, "?").split()[0]
        for character in name
        if unicodedata.category(character)[0] == "L"
    } - {"IDEOGRAPHIC", "KATAKANA-HIRAGANA"}
    return {"CJK" if one in ("HIRAGANA", "KATAKANA") else one for one in scripts}
