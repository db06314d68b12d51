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


@dataclass(frozen=True)
class Grounding:
    """How much an encoder is made to learn from pictures.

    Attributes:
        weight: Weight of their loss; 0 for none.
        share: Share of the captions whose pictures are shown.
    """

    weight: float = 0.0
    share: float = 1.0

    @property
    def suffix(self) -> str:
        """End of the names of encoders; empty where there are no pictures."""
        return f"_g{self.weight:g}_p{self.share:g}" if self.weight else ""


@dataclass(frozen=True)
class Kind:
    """Encoders that differ in their seeds alone.

    Attributes:
        group: ``mono``, ``part`` or ``multi``.
        langs: Languages that they are trained on.
        hours: Hours of each of these.
        grounding: What pictures it is shown.
    """

    group: str
    langs: tuple[str, ...]
    hours: float
    grounding: Grounding = Grounding()

    @property
    def name(self) -> str:
        """Beginning of their directories' names."""
        return name_of(self.group, self.langs[0], self.grounding)

    def directory(self, seed: int) -> str:
        """Return the name of one encoder's directory."""
        return f"{self.name}_s{seed}"


def name_of(group: str, lang: str, grounding: Grounding) -> str:
    """Return the name of a kind of encoder of a language; ``multi`` is one of all."""
    start = group if group == MULTI else f"{group}_{lang}"
    return start + grounding.suffix


def list_groundings(
    weights: Sequence[float], shares: Sequence[float]
) -> list[Grounding]:
    """Return all combinations, once each: a weight of 0 has no shares."""
    every = (Grounding(w, s) if w else Grounding() for w in weights for s in shares)
    return list(dict.fromkeys(every))


def list_kinds(
    langs: Sequence[str],
    references: Sequence[str],
    hours: float,
    groundings: Sequence[Grounding] = (Grounding(),),
) -> list[Kind]:
    """Return the kinds of encoders of an experiment.

    Args:
        langs: Languages, two or more.
        references: Some of :data:`REFERENCES`.
        hours: Hours of speech of ``mono`` and of ``multi``.
        groundings: What pictures they are shown.
    """
    each = hours / len(langs)
    trained_on: list[tuple[str, tuple[str, ...], float]] = [
        (group, (lang,), hours if group == MONO else each)
        for group in references
        for lang in langs
    ]
    trained_on.append((MULTI, tuple(langs), each))
    return [Kind(*one, grounding) for grounding in groundings for one in trained_on]
