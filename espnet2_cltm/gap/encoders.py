"""The encoders that a multilingual gap is measured with, and what each is trained on.

``mono`` is trained on one language; ``part`` on an n-th of that speech, which is all
that the multilingual encoder has of the language; ``multi`` on the parts of all n
languages together, hence on as many hours as ``mono``. All are trained for the same
number of steps, with each seed, and with each addition to the training: pictures,
articulatory features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

MONO, PART, MULTI = "mono", "part", "multi"
REFERENCES = (MONO, PART)
"""Groups that ``multi`` is compared with."""


@dataclass(frozen=True)
class Addition:
    """What an encoder is made to learn beside the clusters.

    Attributes:
        grounding_weight: Weight of the loss of pictures; 0 for none.
        grounding_share: Share of the captions whose pictures are shown.
        feature_weight: Weight of the loss of articulatory features; 0 for none.
    """

    grounding_weight: float = 0.0
    grounding_share: float = 1.0
    feature_weight: float = 0.0

    @property
    def suffix(self) -> str:
        """End of the names of encoders; empty where nothing is added."""
        suffix = ""
        if self.grounding_weight:
            suffix += f"_g{self.grounding_weight:g}_p{self.grounding_share:g}"
        if self.feature_weight:
            suffix += f"_f{self.feature_weight:g}"
        return suffix


@dataclass(frozen=True)
class Kind:
    """Encoders that differ in their seeds alone.

    Attributes:
        group: ``mono``, ``part`` or ``multi``.
        langs: Languages that they are trained on.
        hours: Hours of each of these.
        addition: What they learn beside the clusters.
    """

    group: str
    langs: tuple[str, ...]
    hours: float
    addition: Addition = Addition()

    @property
    def name(self) -> str:
        """Beginning of their directories' names."""
        return name_of(self.group, self.langs[0], self.addition)

    def directory(self, seed: int) -> str:
        """Return the name of one encoder's directory."""
        return f"{self.name}_s{seed}"


def name_of(group: str, lang: str, addition: Addition) -> str:
    """Return the name of a kind of encoder of a language; ``multi`` is one of all."""
    start = group if group == MULTI else f"{group}_{lang}"
    return start + addition.suffix


def list_additions(
    grounding_weights: Sequence[float],
    grounding_shares: Sequence[float],
    feature_weights: Sequence[float],
) -> list[Addition]:
    """Return all combinations, once each: a weight of 0 has no shares."""
    every = product(feature_weights, grounding_weights, grounding_shares)
    return list(dict.fromkeys(Addition(g, s if g else 1.0, f) for f, g, s in every))


def list_kinds(
    langs: Sequence[str],
    references: Sequence[str],
    hours: float,
    additions: Sequence[Addition] = (Addition(),),
) -> list[Kind]:
    """Return the kinds of encoders of an experiment.

    Args:
        langs: Languages, two or more.
        references: Some of :data:`REFERENCES`.
        hours: Hours of speech of ``mono`` and of ``multi``.
        additions: What they learn beside the clusters.
    """
    each = hours / len(langs)
    trained_on: list[tuple[str, tuple[str, ...], float]] = [
        (group, (lang,), hours if group == MONO else each)
        for group in references
        for lang in langs
    ]
    trained_on.append((MULTI, tuple(langs), each))
    return [Kind(*one, addition) for addition in additions for one in trained_on]
