"""Trial lists of speaker verification and their cosine scores, in Kaldi's format.

A line is ``<enrol> <test> target`` (one speaker), ``<enrol> <test> nontarget`` (two
speakers) or ``<enrol> <test> <score>``, separated by single spaces, without header. In
memory an utterance is its index in the sorted list of all utterances named, the row of
its embedding. A pair of utterances is one trial, whichever of the two is called enrol:
scores are symmetric. A score file is in the order of its trials; a score has enough
digits to restore the same float32.
"""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from espnet2_cltm.corpus.allowed_words import is_id
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import write_text

SCORES_SUFFIX = ".npy"
LABELS = ("nontarget", "target")  # by the value of is_target
_TRIAL_FORM = "<enrol> <test> target|nontarget"
_N_FIELDS = 3
# Bytes of embeddings gathered at a time, on each side; both stay in a core's cache.
_BLOCK_BYTES = 400_000
_SCORE_FORM = "<enrol> <test> <score>"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, eq=False)
class TrialList:
    """Pairs of utterances to be compared, in the order of their file.

    Attributes:
        utts: All utterances named, each once, sorted.
        enrol: (trials,) int64 indices into ``utts``.
        test: (trials,) int64 indices into ``utts``.
        is_target: (trials,) bool, true where both are by one speaker.
    """

    utts: tuple[str, ...]
    enrol: np.ndarray
    test: np.ndarray
    is_target: np.ndarray

    @classmethod
    def from_pairs(
        cls,
        enrol: Sequence[str],
        test: Sequence[str],
        is_target: Sequence[bool] | np.ndarray,
    ) -> "TrialList":
        """Make a trial list from utterance ids.

        Args:
            enrol: Utterance id of one side of each trial.
            test: Utterance id of the other side of each trial.
            is_target: Whether both are by one speaker, for each trial.
        """
        if not len(enrol) == len(test) == len(is_target):
            raise ValueError(
                f"{len(enrol)} enrol, {len(test)} test utterances, {len(is_target)} "
                "labels"
            )
        utts = tuple(sorted({*enrol, *test}))
        row = {utt: index for index, utt in enumerate(utts)}
        return cls(
            utts,
            np.fromiter((row[utt] for utt in enrol), np.int64, len(enrol)),
            np.fromiter((row[utt] for utt in test), np.int64, len(test)),
            np.asarray(is_target, dtype=bool),
        )

    def __len__(self) -> int:
        return len(self.is_target)


class _PairTable(NamedTuple):
    """Lines of ``<enrol> <test> <value>``: trials, with objects (str) or numbers."""

    utts: tuple[str, ...]
    enrol: np.ndarray
    test: np.ndarray
    value: np.ndarray


def write_trials(path: Path | str, trials: TrialList) -> None:
    """Write a trial list.

    Raises:
        UserError: The file system refuses.
    """
    _write(path, trials, (LABELS[is_target] for is_target in trials.is_target.tolist()))


def _write(path: Path | str, trials: TrialList, third: Iterable[str]) -> None:
    rows = zip(trials.enrol.tolist(), trials.test.tolist(), third, strict=True)
    utts = trials.utts
    write_text(
        path, (f"{utts[one]} {utts[other]} {text}\n" for one, other, text in rows)
    )


def read_trials(path: Path | str) -> TrialList:
    """Read a trial list.

    Raises:
        UserError: The file is missing, empty or not UTF-8; a line does not have three
            fields, or has another label; a pair occurs twice, or an utterance is paired
            with itself.
    """
    path = Path(path)
    table = _read_pair_table(path, _TRIAL_FORM, str, _label_mistake)
    label, labels = pd.factorize(table.value)
    if not set(labels).issubset(LABELS):
        raise _first_mistake(path, _TRIAL_FORM, _label_mistake)
    is_target = np.array([LABELS.index(name) for name in labels], dtype=bool)[label]
    same = np.flatnonzero(table.enrol == table.test)
    if len(same):
        index = int(same[0])
        raise UserError(
            f"{path}, line {index + 1}: {table.utts[table.enrol[index]]} is paired "
            "with itself; remove the line."
        )
    _refuse_repeated_pairs(path, table)
    return TrialList(table.utts, table.enrol, table.test, is_target)


def _label_mistake(label: str) -> str | None:
    if label in LABELS:
        return None
    return f"{label!r} is not a label; write target or nontarget"


def _pair_keys(enrol: np.ndarray, test: np.ndarray, n_utts: int) -> np.ndarray:
    """Number pairs of ``n_utts`` utterances, alike whichever side is called enrol."""
    return np.minimum(enrol, test) * n_utts + np.maximum(enrol, test)


def _refuse_repeated_pairs(path: Path, table: _PairTable) -> None:
    """Refuse a table where two lines have one pair of utterances, in either order."""
    keys = _pair_keys(table.enrol, table.test, len(table.utts))
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return
    repeated = pd.Series(keys).duplicated().to_numpy()
    index = int(repeated.argmax())
    first = int((keys == keys[index]).argmax())
    raise UserError(
        f"{path}, line {index + 1}: the pair {table.utts[table.enrol[index]]} "
        f"{table.utts[table.test[index]]} is on line {first + 1} already; keep one of "
        "the lines."
    )


def _read_pair_table(
    path: Path, form: str, dtype: type, mistake: Callable[[str], str | None]
) -> _PairTable:
    """Read a file of ``<enrol> <test> <value>`` lines, the value str or float.

    Quotes have no meaning, and an utterance may be called ``NA``. ``mistake`` says what
    is wrong with a third field, empty where a line ends early; it explains what cannot
    be read, and need not detect it.
    """
    try:
        with path.open("rb") as file:
            first = file.readline().decode("utf-8").rstrip("\r\n").split(" ")
        # pandas takes the number of fields from the first line, and would read a
        # column of "True" and "False" as numbers.
        if len(first) != _N_FIELDS or mistake(first[-1]):
            raise _first_mistake(path, form, mistake)
        rows = pd.read_csv(
            path,
            sep=" ",
            header=None,
            names=["enrol", "test", "value"],
            # Not categories, which would take utterances 1 and 01 for one number.
            dtype={"enrol": str, "test": str, "value": dtype},
            quoting=csv.QUOTE_NONE,
            na_filter=False,
            skip_blank_lines=False,
            index_col=False,
            float_precision="round_trip",
            encoding="utf-8",
        )
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): run the stage that makes it, "
            "or correct the path."
        ) from error
    except ValueError as error:  # from pandas: number of fields, a value, UTF-8
        raise _first_mistake(path, form, mistake) from error
    value = rows["value"].to_numpy()
    enrol, enrol_utts = pd.factorize(rows["enrol"].to_numpy())
    test, test_utts = pd.factorize(rows["test"].to_numpy())
    named = set(enrol_utts).union(test_utts)
    if not all(map(is_id, named)):
        raise _first_mistake(path, form, mistake)
    utts = tuple(sorted(named))
    row = {utt: index for index, utt in enumerate(utts)}
    enrol_row = np.array([row[utt] for utt in enrol_utts], dtype=np.int64)
    test_row = np.array([row[utt] for utt in test_utts], dtype=np.int64)
    return _PairTable(utts, enrol_row[enrol], test_row[test], value)


def _first_mistake(
    path: Path, form: str, mistake: Callable[[str], str | None]
) -> UserError:
    """Go through a file that cannot be read and return what is wrong in which line."""
    number = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                return UserError(
                    f"{path}, line {number}, is not UTF-8 text: convert the file to "
                    "UTF-8."
                )
            fields = text.split(" ")
            if len(fields) != _N_FIELDS or not all(map(is_id, fields)):
                return UserError(
                    f"{path}, line {number}: {text[:80]!r} is not of the form "
                    f"'{form}' with single spaces between; correct the line."
                )
            what_is_wrong = mistake(fields[2])
            if what_is_wrong:
                return UserError(f"{path}, line {number}: {what_is_wrong}.")
    if not number:
        return UserError(f"{path} is empty: run the stage that makes it again.")
    return UserError(
        f"{path} does not consist of lines of the form '{form}': run the stage that "
        "makes it again."
    )


def cosine_scores(embeddings: np.ndarray, trials: TrialList) -> np.ndarray:
    """Score trials by the cosine of their two utterances' embeddings.

    Trials cover little of the matrix of all pairs (half a percent for a million trials
    of 20,000 utterances), so the two embeddings of each trial are gathered, some
    hundred trials at a time, and multiplied row by row. That is eight times as fast as
    the matrix product of all pairs, and a score is the same to the last bit whatever
    the number of threads and the other trials; see benchmarks/README.md.

    Args:
        embeddings: (utts, size) float32, L2-normalised, in the order of
            ``trials.utts``.
        trials: The trials to score.

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
        path: Score file to write.
        trials: Trials, in the order in which they are written.
        scores: (trials,) float32.

    Raises:
        UserError: The file system refuses.
    """
    _write(path, trials, (f"{score:.9g}" for score in scores.tolist()))


def read_scores(path: Path | str, trials: TrialList) -> np.ndarray:
    """Read the scores of trials.

    Args:
        path: Score file, its lines in any order.
        trials: Trials that must have one score each.

    Returns:
        (trials,) float32, in the order of ``trials``.

    Raises:
        UserError: The file is missing, empty or not UTF-8; a line does not have three
            fields, or has a score that is not a finite number; a trial has no score or
            two; a score belongs to no trial.
    """
    path = Path(path)
    table = _read_pair_table(path, _SCORE_FORM, float, _score_mistake)
    with np.errstate(over="ignore"):
        scores = table.value.astype(np.float32)
    if not np.isfinite(scores).all():
        raise _first_mistake(path, _SCORE_FORM, _score_mistake)
    _refuse_repeated_pairs(path, table)
    n_utts = len(trials.utts)
    row = {utt: index for index, utt in enumerate(trials.utts)}
    row_of = np.array([row.get(utt, -1) for utt in table.utts])
    enrol, test = row_of[table.enrol], row_of[table.test]
    scored = np.where((enrol < 0) | (test < 0), -1, _pair_keys(enrol, test, n_utts))
    wanted = _pair_keys(trials.enrol, trials.test, n_utts)
    if not np.array_equal(scored, wanted):
        scores = scores[_line_of_each_trial(path, trials, table, scored, wanted)]
    return scores


def read_predictions(
    predictions: Path, trials: TrialList, trials_path: Path | None = None
) -> np.ndarray:
    """Read a run's scores, (trials,) float32.

    Args:
        predictions: File that stage 4 wrote, in numpy's format.
        trials: Trials that were scored.
        trials_path: File of the trials, for the message.

    Raises:
        UserError: The scores are missing, or are not those of the trials.
    """
    remedy = "delete its run's directory and run stage 4 again"
    with (
        foreign(f"{predictions} cannot be read", remedy),
        predictions.open("rb") as file,
    ):
        scores = np.lib.format.read_array(file, allow_pickle=False)
    if scores.dtype != np.float32 or not np.isfinite(scores).all():
        raise UserError(
            f"{predictions} holds scores that are not finite 32-bit numbers, as after "
            f"a training that diverged: lower the learning rate, or {remedy}."
        )
    if scores.shape != (len(trials),):
        raise UserError(
            f"{predictions} holds scores of shape {scores.shape}, but "
            f"{trials_path or 'its list'} has {len(trials)} trials: {remedy}."
        )
    return scores


def _line_of_each_trial(
    path: Path,
    trials: TrialList,
    table: _PairTable,
    scored: np.ndarray,
    wanted: np.ndarray,
) -> np.ndarray:
    """Return the line of each trial, where the two are in different orders."""
    extra = np.flatnonzero(~np.isin(scored, wanted))
    if len(extra):
        index = int(extra[0])
        raise UserError(
            f"{path}, line {index + 1}: {table.utts[table.enrol[index]]} "
            f"{table.utts[table.test[index]]} is not one of the {len(trials)} "
            "trials; give the trial list that was scored, or score again."
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
