"""Cosine scores of trials, and score files in Kaldi's form.

A line of a score file is ``<enrol> <test> <score>``, separated by single spaces, in the
order of the trials; the score has as many digits as give back the same float32.

Trials fill little of the matrix of all pairs (a million of 20,000 utterances: half a
percent), so the two embeddings of each trial are gathered, some hundred trials at a
time, and multiplied row by row: eight times as fast there as the matrix product of all
pairs, and a score is the same to the last bit whatever the number of threads and
whichever other trials stand in the list. See benchmarks/README.md.
"""

import re
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text
from espnet2_cltm.speaker.trials import (
    PairTable,
    TrialList,
    first_mistake,
    pair_keys,
    read_pair_table,
    refuse_repeated_pairs,
)

# Embeddings gathered at a time, of either side; both stay in a core's cache.
_BLOCK_BYTES = 400_000
_FORM = "<enrol> <test> <score>"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def cosine_scores(embeddings: np.ndarray, trials: TrialList) -> np.ndarray:
    """Score trials by the cosine of their two utterances' embeddings.

    Args:
        embeddings: (utts, size) float32, L2-normalised, in the order of
            ``trials.utts``.
        trials: What to score.

    Returns:
        (trials,) float32 scores between -1 and 1, up to rounding.
    """
    if embeddings.ndim != 2 or len(embeddings) != len(trials.utts):
        raise ValueError(
            f"Embeddings of shape {embeddings.shape} for {len(trials.utts)} utterances"
        )
    embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    size = embeddings.shape[1]
    block = max(1, _BLOCK_BYTES // (size * embeddings.itemsize))
    sides = np.empty((2, block, size), dtype=np.float32)
    scores = np.empty(len(trials), dtype=np.float32)
    for start in range(0, len(trials), block):
        chosen = slice(start, start + block)
        n_chosen = len(scores[chosen])
        for side, utts in zip(sides, (trials.enrol, trials.test), strict=True):
            # mode="clip" lets numpy write into the buffer without another copy.
            np.take(embeddings, utts[chosen], 0, out=side[:n_chosen], mode="clip")
        np.einsum(
            "ij,ij->i", sides[0, :n_chosen], sides[1, :n_chosen], out=scores[chosen]
        )
    return scores


def write_scores(path: Path | str, trials: TrialList, scores: np.ndarray) -> None:
    """Write the scores of trials.

    Args:
        path: The score file.
        trials: The trials, in the order in which they are written.
        scores: (trials,) float32.

    Raises:
        UserError: The file system refuses.
    """
    utts = trials.utts
    columns = (trials.enrol.tolist(), trials.test.tolist(), scores.tolist())
    lines = [
        f"{utts[enrol]} {utts[test]} {score:.9g}\n"
        for enrol, test, score in zip(*columns, strict=True)
    ]
    write_text(path, "".join(lines))


def read_scores(path: Path | str, trials: TrialList) -> np.ndarray:
    """Read the scores of trials.

    Args:
        path: A score file, its lines in any order.
        trials: The trials that are to have a score each.

    Returns:
        (trials,) float32, in the order of ``trials``.

    Raises:
        UserError: The file is missing, empty or not UTF-8; a line has not three fields
            or a score that is not a finite number; a trial has no score or two; a score
            belongs to no trial.
    """
    path = Path(path)
    table = read_pair_table(path, _FORM, float, _score_mistake)
    with np.errstate(over="ignore"):
        scores = table.value.astype(np.float32)
    if not np.isfinite(scores).all():
        raise first_mistake(path, _FORM, _score_mistake)
    refuse_repeated_pairs(path, table)
    n_utts = len(trials.utts)
    row = {utt: index for index, utt in enumerate(trials.utts)}
    row_of = np.array([row.get(utt, -1) for utt in table.utts])
    enrol, test = row_of[table.enrol], row_of[table.test]
    scored = np.where((enrol < 0) | (test < 0), -1, pair_keys(enrol, test, n_utts))
    wanted = pair_keys(trials.enrol, trials.test, n_utts)
    if not np.array_equal(scored, wanted):
        scores = scores[_line_of_each_trial(path, trials, table, scored, wanted)]
    return scores


def _line_of_each_trial(
    path: Path,
    trials: TrialList,
    table: PairTable,
    scored: np.ndarray,
    wanted: np.ndarray,
) -> np.ndarray:
    """Find each trial's line, where the two are not in the same order."""
    extra = np.flatnonzero(~np.isin(scored, wanted))
    if len(extra):
        index = int(extra[0])
        raise UserError(
            f"{path}, line {index + 1}: {table.utts[table.enrol[index]]} "
            f"{table.utts[table.test[index]]} is none of the {len(trials)} trials; "
            "give the trial list that was scored, or score again."
        )
    missing = np.flatnonzero(~np.isin(wanted, scored))
    if len(missing):
        index = int(missing[0])
        raise UserError(
            f"{path} ends after line {len(scored)} without a score for trial "
            f"{index + 1}, {trials.utts[trials.enrol[index]]} "
            f"{trials.utts[trials.test[index]]} ({len(missing)} of {len(trials)} have "
            "none): score the trials again."
        )
    order = np.argsort(scored)
    return order[np.searchsorted(scored, wanted, sorter=order)]


def _score_mistake(score: str) -> str | None:
    with np.errstate(over="ignore"):
        if _NUMBER.fullmatch(score) and np.isfinite(np.float32(float(score))):
            return None
    return f"score {score!r} is not a finite number; score the trials again"
