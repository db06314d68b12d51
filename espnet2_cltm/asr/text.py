"""Text of transcripts: one normal form for all scripts, and what is a word in it.

The normal form is Unicode's NFKC, case folded, of letters, marks and numbers. Anything
else separates words, but for apostrophes and invisible joiners, which are left out.
Scripts that put no blanks between words (:data:`WITHOUT_BLANKS`) have none that could
be told without a dictionary: there each letter with its marks counts as a word, so that
WER is an error rate of characters.
"""

import unicodedata

WITHOUT_BLANKS = frozenset(
    {
        *("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "BOPOMOFO", "YI"),
        *("THAI", "LAO", "KHMER", "MYANMAR", "JAVANESE", "BALINESE", "TAI"),
    }
)
"""Scripts without blanks between words, by the first word of their letters' names."""

_DOTLESS_I = frozenset({"tr", "az", "crh", "gag"})  # I is not the capital of i
_APOSTROPHES = "'`\u00b4\u02bc\u2018\u2019"


def normalise(text: str, lang: str = "") -> str:
    """Return a transcript's normal form.

    Args:
        text: Transcript as written.
        lang: Language code, for the few languages with capitals of their own.

    Returns:
        Words separated by single blanks; empty where there is no letter or number. The
        normal form of a normal form is itself.

    Example:
        >>> normalise("L'Hospitalet, 2 km!")
        'lhospitalet 2 km'
    """
    if lang.partition("-")[0] in _DOTLESS_I:
        text = text.replace("I", "\u0131").replace("\u0130", "i")
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = unicodedata.normalize("NFKC", folded).casefold()
    kept = "".join(map(_kept, folded))
    return " ".join(unicodedata.normalize("NFKC", kept).split())


def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if character in _APOSTROPHES or category == "Cf":
        return ""
    return character if category[0] in "LMN" else " "


def words_of(text: str) -> str:
    """Return a normal form with blanks between all words, whatever the script.

    Example:
        >>> words_of("中文 go")
        '中 文 go'
    """
    spaced = ""
    was_alone = False
    for character in text:
        if unicodedata.category(character)[0] != "M":  # a mark stays with its letter
            is_alone = _script(character) in WITHOUT_BLANKS
            spaced += " " if is_alone or was_alone else ""
            was_alone = is_alone
        spaced += character
    return " ".join(spaced.split())


def _script(character: str) -> str:
    return unicodedata.name(character, "").replace("-", " ").partition(" ")[0]
