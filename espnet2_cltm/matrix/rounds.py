"""Rounds of an adaptive design: from results to the pair runs that come next."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from espnet2_cltm.language_codes import is_donor_only
from espnet2_cltm.matrix.adaptive import (
    FIRST_SHARE,
    ROUND_SHARE,
    Measured,
    choose_runs,
    first_runs,
    judge,
    measured_gains,
)
from espnet2_cltm.matrix.languages import language_distances
from espnet2_cltm.matrix.prediction import closeness
from espnet2_cltm.matrix.results import Choice, read_scores
from espnet2_cltm.matrix.scores import SeedScores

Pair = tuple[str, str]


def next_round(
    results: Path,
    choice: Choice,
    pairs: Sequence[Pair],
    made: Mapping[Pair, int],
    most_seeds: int,
    certainty: float,
    fraction: float,
    own_file: Path | str | None = None,
) -> dict[Pair, int]:
    """Choose the runs of a round.

    Args:
        results: The experiment's ``results.tsv``, which has all runs that are made.
        choice: Task and N.
        pairs: All pairs, in an order of which every beginning is balanced.
        made: Number of seeds of each pair that is measured; none in the first round.
        most_seeds: Seeds that a pair can have.
        certainty: Probability with which the best donors are to be known.
        fraction: The largest share of all runs of pairs.
        own_file: Table of distances that are not shipped.

    Returns:
        Pairs and how many seeds each is to have; none where the design is complete.

    Raises:
        UserError: The results cannot be read.
    """
    languages = sorted({lang for pair in pairs for lang in pair})
    total, used = len(pairs) * most_seeds, sum(made.values())
    n_left = round(fraction * total) - used
    if not made:
        places = [(languages.index(i), languages.index(j)) for i, j in pairs]
        first = first_runs(places, len(languages), most_seeds, FIRST_SHARE, n_left)
        return {(languages[i], languages[j]): n for i, j, n in first}
    measured = _measured(results, choice, languages, made)
    relations = closeness(language_distances(languages, own_file))
    standing = judge(measured, relations, most_seeds)
    is_sure = standing.certainty >= certainty
    logging.info(
        "%s: %d of %d runs of pairs are made (%.0f%%); the best %d donors are known "
        "with a probability of %g for %d of %d targets",
        *(choice.task, used, total, 100 * used / total, standing.best.shape[1]),
        *(certainty, is_sure[measured.targets].sum(), measured.targets.sum()),
    )
    if is_sure.all():
        return {}
    # To start workers for a few runs takes longer than to make them.
    n_runs = min(max(round(ROUND_SHARE * total), len(languages)), n_left)
    chosen = choose_runs(standing, measured.n_seeds, most_seeds, n_runs)
    found = {(languages[i], languages[j]): n for i, j, n in chosen}
    return {pair: found[pair] for pair in pairs if pair in found}


def _measured(
    results: Path, choice: Choice, languages: Sequence[str], made: Mapping[Pair, int]
) -> Measured:
    """Return what the results tell, in the order of the languages."""
    scores = read_scores(results, choice)
    assert isinstance(scores, SeedScores)
    n = len(languages)
    single = np.full((n, len(scores.seeds)), np.nan)
    pair = np.full((n, n, len(scores.seeds)), np.nan)
    places = {lang: k for k, lang in enumerate(scores.languages)}
    known = [k for k, lang in enumerate(languages) if lang in places]
    there = [places[languages[k]] for k in known]
    single[known] = scores.single[there]
    pair[np.ix_(known, known)] = scores.pair[np.ix_(there, there)]
    counts = np.zeros((n, n), dtype=int)
    for (one, other), n_seeds in made.items():
        i, j = languages.index(one), languages.index(other)
        counts[i, j] = counts[j, i] = n_seeds
    is_target = np.array([not is_donor_only(lang) for lang in languages])
    return replace(measured_gains(single, pair), n_seeds=counts, targets=is_target)
