"""N: a number of utterances or, written ``120s``, of seconds of audio."""

import re
from typing import Any

import yaml


class Seconds(int):
    """A number of seconds of audio, where any other N is one of utterances.

    It is written ``120s``, is not equal to 120, and its multiples are seconds, too.
    """

    def __str__(self) -> str:
        """Return the text that :func:`read_budget` reads."""
        return f"{int(self)}s"

    def __eq__(self, other: object) -> bool:
        """Return whether both are as many seconds."""
        return isinstance(other, Seconds) and int(self) == int(other)

    def __ne__(self, other: object) -> bool:
        """Return whether they are not; int has a test of its own for this."""
        return not self == other

    __hash__ = int.__hash__

    def __mul__(self, factor: Any) -> "Seconds":
        """Return so many times the seconds."""
        return Seconds(int(self) * factor)

    __rmul__ = __mul__


def read_budget(text: str) -> int:
    """Return an N from its text.

    Raises:
        ValueError: It is neither a whole number nor one of seconds.
    """
    found = re.fullmatch(r"([0-9]{1,18})(s?)", text, re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} is not a number of utterances or seconds")
    return (Seconds if found[2] else int)(found[1])


# In experiment.yaml as in the name of a run.
yaml.SafeDumper.add_representer(
    Seconds, lambda dumper, seconds: dumper.represent_str(str(seconds))
)
