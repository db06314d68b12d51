"""The encoders that a multilingual gap is measured with, and what each is trained on.

``mono`` is trained on one language; ``part`` on an n-th of that speech, which is all
that the multilingual encoder has of the language; ``multi`` on the parts of all n
languages together, hence on as many hours as ``mono``. All are trained for the same
number of steps, with each seed, and with each grounding in pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MONO, PART, MULTI = "mono", "part", "multi"
REFERENCES = (MONO, PART)
"""Groups that ``multi`` is compared with."""


@dataclass(frozen=True, order=True)
class Kind:
    """Encoders that differ in their seeds alone.

    Attributes:
        group: ``mono``, ``part`` or ``multi``.
        langs: Languages that they are trained on.
        hours: Hours of each of these.
    """

    group: str
    langs: tuple[str, ...]
    hours: float

    @property
    def name(self) -> str:
        """Beginning of their directories' names."""
        return name_of(self.group, self.langs[0])

    def directory(self, seed: int) -> str:
        """Return the name of one encoder's directory."""
        return f"{self.name}_s{seed}"


def name_of(group: str, lang: str) -> str:
    """Return the name of a kind of encoder of a language; ``multi`` is one of all."""
    return group if group == MULTI else f"{group}_{lang}"


def list_kinds(
    langs: Sequence[str], references: Sequence[str], hours: float
) -> list[Kind]:
    """Return the kinds of encoders of an experiment.

    Args:
        langs: Languages, two or more.
        references: Some of :data:`REFERENCES`.
        hours: Hours of speech of ``mono`` and of ``multi``.
    """
    each = hours / len(langs)
    of_references = [
        Kind(group, (lang,), hours if group == MONO else each)
        for group in references
        for lang in langs
    ]
    return [*of_references, Kind(MULTI, tuple(langs), each)]
