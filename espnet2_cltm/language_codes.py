"""What a language code may be, from the corpus's directory to the matrix.

Codes name directories, columns and options, and are joined by ``+`` and ``~``. Behind
an ``@`` a code says that its speech is not a corpus of the language, but something that
stands in for one: ``sw@tts`` is synthetic Swahili. Such data are a donor only, nothing
is tested on them.
"""

import re
from collections.abc import Iterable

CODE_RULE = (
    "letters, digits, '-' and '_', the first a letter or digit, at most 40 bytes, and "
    "'@tts' behind them for synthetic speech"
)
SYNTHETIC = "tts"
"""What stands behind the ``@`` of synthetic speech that stage 1 makes."""
_CODE = re.compile(r"[^\W_][\w-]*(@[\w-]+)?")


def is_language_code(text: str) -> bool:
    """Return whether a text may be a language code."""
    return bool(_CODE.fullmatch(text)) and len(text.encode()) <= 40


def language_of(code: str) -> str:
    """Return the language whose speech a code stands in for, as a rule itself."""
    return code.partition("@")[0]


def is_donor_only(code: str) -> bool:
    """Return whether a code stands in for a language, and is never tested on."""
    return "@" in code


def without_donors(languages: Iterable[str]) -> list[str]:
    """Return the languages that are tested, without what stands in for one."""
    return [lang for lang in languages if not is_donor_only(lang)]


def find_alike(codes: Iterable[str]) -> tuple[str, str] | None:
    """Find two codes that only differ in case, which some file systems take for one."""
    seen: dict[str, str] = {}
    for code in codes:
        if (other := seen.setdefault(code.casefold(), code)) != code:
            return other, code
    return None
