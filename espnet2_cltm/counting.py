"""Numbers of things in a sentence: of one, noun and verb are others than of many."""


def agreeing(number: int, one: str, many: str) -> str:
    """Return the word that goes with a number: ``is`` with 1, ``are`` with 0 or 2."""
    return one if number == 1 else many


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 run``, ``1,200 runs``."""
    return f"{number:,} {agreeing(number, noun, f'{noun}s')}"
