"""Numbers as a reader sees them: in figures, page and terminal."""

import re

FORMULA = "CLTM[i,j] = (Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i))"
MINUS = "\N{MINUS SIGN}"
# Before a number but not inside a word, a date or a range; between spaced terms.
_HYPHEN_AS_MINUS = re.compile(r"(?<![\w.)\]-])-(?=\.?\d)|(?<= )-(?= )")


def level_text(confidence: float) -> str:
    """Write a confidence level: ``95%``."""
    return f"{100 * confidence:.4g}%"


def with_minus_signs(text: str) -> str:
    """Turn the hyphens of negative numbers and of differences into minus signs."""
    return _HYPHEN_AS_MINUS.sub(MINUS, text)


def format_value(value: float, decimals: int = 2) -> str:
    """Write a number with a real minus sign, and without a minus before zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def format_limit(value: float) -> str:
    """Write a limit; large ones, which are vague, have fewer decimals."""
    return format_value(
        value, 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    )
