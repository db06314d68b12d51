"""What the demo's speakers say: numbers, dates and times of day in digits, or names.

espeak-ng reads digits by each language's own rules, so that the same kinds of prompt
serve every language without any text of that language. Names are words of the
language (see :mod:`espnet2_cltm.corpus.demo_names`), in which more of its sounds occur.
"""

from random import Random

from espnet2_cltm.corpus.demo_names import names_of


def draw_prompt(kind: str, random: Random, lang: str) -> str:
    """Draw one prompt.

    Args:
        kind: A key of :data:`KINDS`.
        random: Only its ``random()`` is used, whose sequence Python keeps the same
            from version to version.
        lang: The language that names are taken from.

    Returns:
        Digits, colons and spaces; or names.

    Raises:
        UserError: There are no names of the language.
    """
    return KINDS[kind](random, lang)


def _number(random: Random, lang: str) -> str:
    return str(_between(random, 10_000, 99_999))


def _date(random: Random, lang: str) -> str:
    day, month, year = ((1, 28), (1, 12), (1950, 2029))
    return " ".join(str(_between(random, *limits)) for limits in (day, month, year))


def _time(random: Random) -> str:
    return f"{_between(random, 0, 23)}:{_between(random, 10, 59)}"


def _times(random: Random, lang: str) -> str:
    return f"{_time(random)} {_time(random)}"


def _digits(random: Random, lang: str) -> str:
    return " ".join(str(_between(random, 0, 9)) for _ in range(6))


def _names(random: Random, lang: str) -> str:
    names = names_of(lang)
    return " ".join(names[_between(random, 0, len(names) - 1)] for _ in range(8))


def _between(random: Random, lowest: int, highest: int) -> int:
    return lowest + int(random.random() * (highest - lowest + 1))


KINDS = {
    "number": _number,
    "date": _date,
    "times": _times,
    "digits": _digits,
    "names": _names,
}
"""How to draw a prompt of each kind: a number of five digits; day, month and
year; two times of day; six single digits; eight names."""
