"""From the ABX errors of all encoders to their gaps.

Takes what stage 4 leaves, ``<exp>/<encoder>/abx_{dev,test}``, measured on the same
items for all. In each language the layer of a kind of encoder is the one that is best
on dev, in the mean over seeds; everything reported is of test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_cltm.abx.averaging import (
    Average,
    draw_speakers,
    error_draws,
    read_speaker_errors,
    speakers_of,
)
from espnet2_cltm.abx.features import LOG_MEL, NORMALISED
from espnet2_cltm.abx.measuring import read_results, speaker_errors_path
from espnet2_cltm.errors import UserError
from espnet2_cltm.gap.encoders import MULTI, Addition, Kind, name_of
from espnet2_cltm.gap.estimates import Errors, Estimate, estimate

BASELINES = "baselines"
CHECKPOINT = "hf"
"""Last part of the path of an encoder's checkpoint, by which ABX calls it."""
MEAN = "mean"
"""In place of a language: the mean over all."""
_REMEDY = "run stage 4, which measures what is missing"


@dataclass(frozen=True)
class Measured:
    """ABX of a kind of encoder, or of other features, in a language.

    Attributes:
        name: Name of the kind or the features.
        lang: Language of the speech.
        layer: Layer that is best on dev.
        dev: Its error there, mean over seeds.
        errors: Its errors on test.
    """

    name: str
    lang: str
    layer: int
    dev: float
    errors: Errors

    @property
    def error(self) -> float:
        """Error on test, mean over seeds."""
        return float(self.errors.by_seed.mean())


@dataclass(frozen=True)
class Comparison:
    """How much worse one kind of encoder is than another one.

    Attributes:
        lang: Language, or :data:`MEAN`.
        encoder: The one, without the language, such as ``multi``, or a gap such as
            ``multi_g0.1_p1/mono_g0.1_p1``.
        reference: What it is compared with: ``mono`` or ``part``, of that language; the
            same with nothing added.
        found: Relative difference of the errors, or of their ratios.
    """

    lang: str
    encoder: str
    reference: str
    found: Estimate


def measure(
    exp: Path,
    kinds: Sequence[Kind],
    langs: Sequence[str],
    seeds: Sequence[int],
    draws: int,
) -> list[Measured]:
    """Read the errors of the baselines and of all kinds of encoders.

    Args:
        exp: Experiment.
        kinds: Kinds of encoders.
        langs: Languages of the speech.
        seeds: Seeds of the encoders.
        draws: Draws of speakers.

    Raises:
        UserError: Some are missing, or were measured on other items.
    """
    measured = []
    for lang in langs:
        for name in (LOG_MEL, NORMALISED):
            measured.append(_measure([exp / BASELINES], name, name, lang, draws))
        for kind in kinds:
            places = [exp / kind.directory(seed) for seed in seeds]
            measured.append(_measure(places, CHECKPOINT, kind.name, lang, draws))
    return measured


def _measure(
    places: Sequence[Path], features: str, name: str, lang: str, draws: int
) -> Measured:
    dev = np.array([_errors_by_layer(place, features, lang) for place in places])
    layer = int(dev.mean(axis=0).argmin())
    test = [
        read_speaker_errors(
            speaker_errors_path(place / "abx_test", lang, features, layer)
        )
        for place in places
    ]
    speakers = speakers_of(test[0])
    for place, errors in zip(places, test, strict=True):
        if not errors.drop(columns="error").equals(test[0].drop(columns="error")):
            raise UserError(
                f"{place} and {places[0]} have ABX of other items of {lang}: delete "
                "their abx_test and run stage 4 again."
            )
    averages = [Average(errors, speakers) for errors in test]
    by_seed = np.array([average.error() for average in averages])
    if not by_seed.all():
        raise UserError(
            f"{name} makes no error in {lang}, so that there is nothing to compare: "
            "measure on more speakers or utterances."
        )
    weights = draw_speakers(len(speakers), draws, seed=0)
    drawn = np.mean([error_draws(average, weights) for average in averages], axis=0)
    found = Errors(by_seed, drawn, len(speakers))
    return Measured(name, lang, layer, float(dev.mean(axis=0)[layer]), found)


def _errors_by_layer(place: Path, features: str, lang: str) -> list[float]:
    """Return the errors on dev of layers from 0."""
    path = place / "abx_dev"
    rows = read_results(path, _REMEDY)
    found = {
        int(row["layer"]): float(row["error"])
        for row in rows
        if (row["test"], row["features"]) == (lang, features)
    }
    if sorted(found) != [*range(len(found))] or not found:
        raise UserError(f"{path} lacks layers of {features} in {lang}: {_REMEDY}.")
    return [found[layer] for layer in sorted(found)]


def compare(
    measured: Sequence[Measured],
    langs: Sequence[str],
    references: Sequence[str],
    additions: Sequence[Addition],
) -> list[Comparison]:
    """Return all comparisons, each in every language and in their mean.

    First the gaps to each reference with each addition, then what each addition does to
    the errors, then what it does to the gaps.
    """
    errors = {(one.name, one.lang): one.errors for one in measured}
    of_langs = [
        {
            group + addition.suffix: errors[name_of(group, lang, addition), lang]
            for group in (MULTI, *references)
            for addition in additions
        }
        for lang in langs
    ]
    gaps, gains, changes = [], [], []
    for suffix in (addition.suffix for addition in additions):
        multi = MULTI + suffix
        gaps += [(multi, group + suffix) for group in references]
        if suffix and Addition() in additions:
            gains += [(group + suffix, group) for group in (MULTI, *references)]
            changes += [
                (f"{multi}/{group}{suffix}", f"{MULTI}/{group}") for group in references
            ]
    return [
        Comparison(lang, one, other, estimate(some, _powers(one, other)))
        for one, other in [*gaps, *gains, *changes]
        for lang, some in [
            *((lang, [errors]) for lang, errors in zip(langs, of_langs, strict=True)),
            (MEAN, of_langs),
        ]
    ]


def _powers(one: str, other: str) -> dict[str, float]:
    """Return the powers of errors in ``one / other``, each an error or a ratio."""
    signs = (1.0, -1.0)
    above = dict(zip(one.split("/"), signs, strict=False))
    return above | dict(zip(other.split("/"), signs[::-1], strict=False))


def table_of_errors(measured: Sequence[Measured]) -> list[list[str]]:
    """Return ``errors.tsv``, the names of its columns first."""
    header = ["encoder", "language", "layer", "dev", "error", "sd", "seeds", "by_seed"]
    rows = [header]
    for one in measured:
        by_seed = one.errors.by_seed
        sd = f"{by_seed.std(ddof=1):.6f}" if len(by_seed) > 1 else ""
        rows.append(
            [
                *(one.name, one.lang, str(one.layer), f"{one.dev:.6f}"),
                *(f"{one.error:.6f}", sd, str(len(by_seed))),
                " ".join(f"{error:.6f}" for error in by_seed),
            ]
        )
    return rows


def table_of_gaps(gaps: Sequence[Comparison]) -> list[list[str]]:
    """Return ``gap.tsv``, the names of its columns first."""
    header = ["language", "encoder", "reference", "gap", "low", "high", "seeds"]
    rows = [[*header, "speakers"]]
    for one in gaps:
        found = one.found
        numbers = (found.relative, found.low, found.high)
        shown = ["" if np.isnan(number) else f"{number:.6f}" for number in numbers]
        counts = (str(found.seeds), str(found.speakers))
        rows.append([one.lang, one.encoder, one.reference, *shown, *counts])
    return rows
