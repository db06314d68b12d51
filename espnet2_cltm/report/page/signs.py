"""Signs of numbers in prose: hyphens, as programs print them, become minus signs."""

import re

from espnet2_cltm.report.heatmap_contents import MINUS

# Before a number but not inside a word, a date or a range; between spaced terms.
HYPHEN_AS_MINUS = re.compile(r"(?<![\w.)\]-])-(?=\.?\d)|(?<= )-(?= )")


def with_minus_signs(text: str) -> str:
    """Give numbers below 0, and differences, a real minus sign."""
    return HYPHEN_AS_MINUS.sub(MINUS, text)
