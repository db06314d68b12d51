"""Numbers of things in a sentence: of one, noun and verb are others than of many."""

from collections.abc import Sequence


def agreeing(number: int, one: str, many: str) -> str:
    """Return the word that goes with a number: ``is`` with 1, ``are`` with 0 or 2."""
    return one if number == 1 else many


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 run``, ``1,200 runs``."""
    return f"{number:,} {agreeing(number, noun, f'{noun}s')}"


def joined(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: ``Catalan, Portuguese and Spanish``."""
    *others, last = words or [""]
    return f"{', '.join(others)} and {last}" if others else last


def some(words: Sequence[str], most: int, between: str) -> str:
    """Return the first words, and how many there are more of."""
    more = len(words) - most
    rest = [f"and {more:,} more"] if more > 0 else []
    return between.join([*words[:most], *rest])
