"""A run: one training, named by what it is.

``single`` trains on N utterances of a language, ``double`` on 2N, ``pair`` on N of
each of two. A pair stands for i+j and j+i alike: it is trained once and tested on
both. Single runs are tested on every language, which gives the zero-shot matrix.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from espnet2_cltm.errors import UserError

KINDS = ("single", "double", "pair")
KEEP_CHOICES = ("none", "single", "all")
"""Runs whose trained model is kept (``--keep_models``)."""


@dataclass(frozen=True, order=True)
class Run:
    """The identity of one training within an experiment.

    Attributes:
        task: Name of the task.
        kind: ``single``, ``double`` or ``pair``.
        languages: One language code, for a pair two in sorted order.
        budget: N of each language; a double takes twice as much.
        seed: Seed that draws the utterances and initialises the head.
    """

    task: str
    kind: str
    languages: tuple[str, ...]
    budget: int
    seed: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"Kind {self.kind!r} is unknown: {', '.join(KINDS)}.")
        if len(self.languages) != (2 if self.kind == "pair" else 1):
            raise UserError(
                f"A {self.kind} run cannot have the languages "
                f"{'+'.join(self.languages)}."
            )
        if list(self.languages) != sorted(set(self.languages)):
            raise UserError(
                f"The languages {'+'.join(self.languages)} of a pair must differ and "
                "stand in sorted order."
            )

    @property
    def name(self) -> str:
        """Return the run's directory name, such as ``gender.pair.es+fi.n16.s42``."""
        return (
            f"{self.task}.{self.kind}.{'+'.join(self.languages)}"
            f".n{self.budget}.s{self.seed}"
        )

    @property
    def utterances_per_language(self) -> int:
        """Return how much of each language is trained on, in the unit of N."""
        return 2 * self.budget if self.kind == "double" else self.budget

    def is_kept(self, keep_models: str) -> bool:
        """Tell whether the run's model is kept, by one of :data:`KEEP_CHOICES`."""
        return keep_models in ("all", self.kind)

    def test_languages(self, languages: Sequence[str], zero_shot: bool) -> list[str]:
        """Name the languages that the run is tested on.

        Args:
            languages: All languages of the experiment's task.
            zero_shot: Whether single runs are tested on all of them.
        """
        if self.kind == "single" and zero_shot:
            return sorted(languages)
        return list(self.languages)

    def tests_across(self, names: Sequence[str], zero_shot: bool) -> list[str]:
        """Name the trials across languages that the run is tested on.

        Args:
            names: ``<language>~<language>`` of the experiment's task.
            zero_shot: Whether single runs are tested on all of them.

        Returns:
            For a pair those of its two languages, else those with its language.
        """
        if self.kind == "single" and zero_shot:
            return sorted(names)
        return sorted(
            name for name in names if set(self.languages) <= set(name.split("~"))
        )


def all_runs(
    task: str, languages: Iterable[str], budget: int, seeds: Iterable[int]
) -> list[Run]:
    """List n singles, n doubles and n(n-1)/2 pairs for every seed.

    Returns:
        Runs ordered by seed, so that a stopped experiment has whole seeds.
    """
    languages = sorted(set(languages))
    runs = []
    for seed in sorted(set(seeds)):
        for kind in ("single", "double"):
            runs += [Run(task, kind, (lang,), budget, seed) for lang in languages]
        runs += [
            Run(task, "pair", pair, budget, seed) for pair in combinations(languages, 2)
        ]
    return runs
