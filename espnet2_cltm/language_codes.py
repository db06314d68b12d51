"""What a language code may be, from the corpus's directory to the matrix.

Codes name directories, columns and options, and are joined by ``+`` and ``~``.
"""

import re
from collections.abc import Iterable

CODE_RULE = (
    "letters, digits, '-' and '_', the first a letter or digit, at most 40 bytes"
)
_CODE = re.compile(r"[^\W_][\w-]*")


def is_language_code(text: str) -> bool:
    """Return whether a text may be a language code."""
    return bool(_CODE.fullmatch(text)) and len(text.encode()) <= 40


def find_alike(codes: Iterable[str]) -> tuple[str, str] | None:
    """Find two codes that only differ in case, which some file systems take for one."""
    seen: dict[str, str] = {}
    for code in codes:
        if (other := seen.setdefault(code.casefold(), code)) != code:
            return other, code
    return None
