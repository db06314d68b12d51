"""A language that was never measured, heard beside languages that have profiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.profiles.making import profile_of, read_clusters, read_profiles
from espnet2_cltm.profiles.similarity import (
    HalvesCheck,
    MeasureSettings,
    check_halves,
    resample_atds,
    similarities,
)

BY_SOUND = ("atds", "covariance")
"""Measures that need nothing but recordings."""
DRAWS = 1000


@dataclass(frozen=True)
class Heard:
    """What recordings of a target say about donors.

    Attributes:
        target: The language.
        donors: The n languages with profiles, the target left out.
        distances: (n + 1, n + 1) by measure, donors first, then the target.
        similarity: (n,) similarities of acoustic tokens of donors and target.
        drawn: (draws, n) the same, with utterances of the target drawn anew.
        halves: Halves of the target beside the donors.
        n_utterances: Number of utterances of the target that were heard.
        encoder: The hidden layer that all rests on, in words.
    """

    target: str
    donors: tuple[str, ...]
    distances: dict[str, np.ndarray]
    similarity: np.ndarray
    drawn: np.ndarray
    halves: HalvesCheck
    n_utterances: int
    encoder: str

    def extend(
        self, distances: dict[str, np.ndarray], languages: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return distances between some languages with those that were heard.

        Args:
            distances: (m, m) by name; NaN where not known.
            languages: The m languages.
        """
        extended = {name: matrix.copy() for name, matrix in distances.items()}
        order = {lang: place for place, lang in enumerate((*self.donors, self.target))}
        known = [place for place, lang in enumerate(languages) if lang in order]
        there = [order[languages[place]] for place in known]
        nothing = np.where(np.eye(len(languages), dtype=bool), 0.0, np.nan)
        for name, matrix in self.distances.items():
            extended.setdefault(name, nothing.copy())
            extended[name][np.ix_(known, known)] = matrix[np.ix_(there, there)]
        return extended

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences about what the answer rests on, and whether to trust it."""
        told = (
            f"{self.n_utterances} recordings of {self.target} were compared with those "
            f"of {len(self.donors)} donors by the acoustic tokens of {self.encoder}, "
            "without transcripts or labels: that says how alike recordings are, not "
            "how much a donor helps."
        )
        check = self.halves
        likeness = (
            f"Two halves of {self.target} are alike to {check.itself:.3f}, a half of "
            f"it and of {check.nearest}, the nearest donor, to {check.to_nearest:.3f}"
        )
        if check.holds:
            return told, f"{likeness}."
        return told, f"{likeness}: give more recordings before you trust the order."


def hear_target(
    target: str, audio: Path, profiles: Path, ngram: int, seed: int
) -> Heard:
    """Listen to a target, and compare it with the languages that have profiles.

    Args:
        target: The language; its own profile is left out.
        audio: Directory of its recordings.
        profiles: Directory that measure_distances filled.
        ngram: Length of the token sequences.
        seed: Seed of the draws.

    Raises:
        UserError: Profiles of donors are missing, or none of the recordings is usable.
    """
    settings, known = read_profiles(profiles)
    known.pop(target, None)
    if not known:
        raise UserError(
            f"{profiles} has no profile of a language but {target}: make those of "
            "donors by local/measure_distances.py."
        )
    own = profile_of(settings, audio, read_clusters(profiles))
    measure = MeasureSettings(ngram, settings.num_clusters, label="")
    donors = tuple(known)
    parts = [*((profile, None) for profile in known.values()), (own, None)]
    found = {name: similarities(name, parts, measure) for name in BY_SOUND}
    return Heard(
        target=target,
        donors=donors,
        distances={name: 1 - matrix for name, matrix in found.items()},
        similarity=found["atds"][-1, :-1],
        drawn=resample_atds(own, list(known.values()), measure, DRAWS, seed),
        halves=check_halves("atds", {**known, target: own}, measure)[target],
        n_utterances=len(own.utts),
        encoder=f"layer {settings.layer} of {settings.model}",
    )
