"""Which donors the pool of a target without data has.

``all`` are the other languages of the experiment, but for what stands in for one, such
as ``sw@tts``, which is in a pool only where it is named; ``nearest`` are the closest by
the mean of the standardised closenesses that predictions use; ``recommended`` are the
best as predicted from the runs of other targets, with every run that has heard the
target left out, as for a language without data; ``random`` are drawn anew for each seed
of the runs, so that what they reach is what any donors reach.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.language_codes import is_donor_only, without_donors
from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.matrix.prediction import closeness, predict_pairs
from espnet2_cltm.matrix.recommendation import (
    MeasuredCells,
    cells_from_results,
    with_language,
)
from espnet2_cltm.matrix.results import Choice
from espnet2_cltm.pools import ALL, ChosenPool, PoolOptions, chooser_of
from espnet2_cltm.progress import progress
from espnet2_cltm.subsets import random_order

Ranked = Callable[[str], list[str]]
"""A function from a target to donors, the best first."""


def choose_pools(
    options: PoolOptions,
    languages: Sequence[str],
    seeds: Sequence[int],
    rankings: Mapping[str, Ranked],
) -> list[ChosenPool]:
    """Decide on the donors of every target and pool.

    Args:
        options: What is asked for.
        languages: Languages that take part.
        seeds: Seeds of the runs.
        rankings: How ``nearest`` and ``recommended`` rank donors, by name.

    Raises:
        UserError: A target or a donor is not there, a target is in its own pool, or
            there are too few donors.
    """
    languages = sorted(languages)
    spoken = without_donors(languages)
    among = f"the languages that take part are {' '.join(languages)}"
    for target in options.targets:
        if is_donor_only(target):
            raise UserError(
                f"--pool_targets {target} is a donor only, and nothing is tested on "
                "it: leave it out."
            )
        if target not in languages:
            raise UserError(
                f"--pool_targets {target} does not take part: {among}; correct it, or "
                "add it to --langs."
            )
    pools: list[ChosenPool] = []
    for pool in options.pools:
        chooser = chooser_of(pool)
        named = () if chooser or pool == ALL else tuple(pool.split("+"))
        for donor in named:
            if donor not in languages:
                raise UserError(
                    f"--pools {pool}: {donor} does not take part: {among}; correct it, "
                    "or add it to --langs."
                )
        targets = options.targets or [lang for lang in spoken if lang not in named]
        if not targets:
            raise UserError(
                f"--pools {pool} holds every language and leaves no target: name fewer "
                "donors, or add languages to --langs."
            )
        for target in progress(targets, description=f"Choosing {pool}", unit="target"):
            others = [lang for lang in spoken if lang != target]
            if target in named:
                raise UserError(
                    f"--pools {pool} holds the target {target}, which is taken as "
                    "having no data: leave it out there, or in --pool_targets."
                )
            if chooser is None:
                pools.append(ChosenPool(target, pool, named or tuple(others)))
                continue
            name, k = chooser
            if k > len(others):
                raise UserError(
                    f"--pools {pool} needs {k} donors, and those of {target} are "
                    f"{' '.join(others)}: ask for fewer, or add languages to --langs."
                )
            if name == "random":
                for seed in sorted(set(seeds)):
                    purpose = f"pool-{target}-{seed}"
                    drawn = random_order(others, options.seed, purpose)[:k]
                    donors = tuple(sorted(drawn))
                    pools.append(ChosenPool(target, pool, donors, seed))
                continue
            best = [lang for lang in rankings[name](target) if lang in others][:k]
            if len(best) < k:
                raise UserError(
                    f"--pools {pool}: only {len(best)} donors of {target} can be "
                    "ranked, as distances to others are not known: give --distances a "
                    "table that has them, or ask for fewer."
                )
            pools.append(ChosenPool(target, pool, tuple(sorted(best))))
    return pools


def nearest(languages: Sequence[str], own_file: Path | str | None = None) -> Ranked:
    """Return a ranking of donors by closeness to a target.

    Args:
        languages: Languages that take part.
        own_file: Table of distances that are not shipped.
    """
    distances = language_distances(languages, own_file)
    near = closeness(distances).mean(axis=-1)
    known = np.any([np.isfinite(values) for values in distances.values()], axis=0)

    def rank(target: str) -> list[str]:
        row = languages.index(target)
        order = np.argsort(-near[row], kind="stable")
        return [languages[k] for k in order if k != row and known[row, k]]

    return rank


def recommended(
    results: Path,
    choice: Choice,
    languages: Sequence[str],
    own_file: Path | str | None = None,
) -> Ranked:
    """Return a ranking of donors by what other targets' results predict for a target.

    Args:
        results: The experiment's ``results.tsv``.
        choice: Task, N and strategy.
        languages: Languages that take part.
        own_file: Table of distances that are not shipped.

    The ranking raises UserError where there are too few results.
    """

    @cache
    def measured() -> MeasuredCells:
        cells = cells_from_results(results, choice)
        for code in languages:
            cells = with_language(cells, code)
        return cells

    def rank(target: str) -> list[str]:
        remedy = (
            f"run stages 4 to 6 for the matrix of {choice.task} first, without "
            "--pools recommended, and then stage 3 again, or ask for nearest"
        )
        if not results.exists():
            raise UserError(
                f"--pools recommended needs results, and {results} is not there: "
                f"{remedy}."
            )
        cells = measured()
        row = cells.languages.index(target)
        values, errors = cells.cltm.copy(), cells.cltm_se.copy()
        for of in (values, errors):
            of[row], of[:, row] = np.nan, np.nan
        relations = closeness(language_distances(cells.languages, own_file))
        prediction = predict_pairs(values, relations, errors)
        if prediction is None:
            raise UserError(
                f"--pools recommended: without the runs of {target}, {results} has too "
                f"few measured cells of identified targets to predict from: {remedy}."
            )
        order = np.argsort(-prediction.mean[row], kind="stable")
        return [cells.languages[k] for k in order if k != row]

    return rank


def rankings_for(
    results: Path,
    choice: Choice,
    languages: Sequence[str],
    own_file: Path | str | None = None,
) -> dict[str, Ranked]:
    """Return the rankings of ``nearest`` and ``recommended``, see these functions."""
    languages = sorted(languages)
    by_results = recommended(results, replace(choice, metric=None), languages, own_file)
    return {"nearest": nearest(languages, own_file), "recommended": by_results}
