"""Trial lists of speaker verification, in Kaldi's format.

A line is ``<enrol> <test> target`` (one speaker) or ``<enrol> <test> nontarget`` (two
speakers), separated by single spaces, without header. In memory an utterance is its
index in the sorted list of all utterances named, the row of its embedding. A pair of
utterances is one trial, whichever of the two is called enrol: scores are symmetric.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.corpus.datadir import is_id
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text

LABELS = ("nontarget", "target")  # by the value of is_target
_FORM = "<enrol> <test> target|nontarget"
_N_FIELDS = 3


@dataclass(frozen=True, eq=False)
class TrialList:
    """Pairs of utterances to be compared, in the order of their file.

    Attributes:
        utts: Every utterance named, once, sorted.
        enrol: (trials,) int64 indices into ``utts``.
        test: (trials,) int64 indices into ``utts``.
        is_target: (trials,) bool, true where both are of one speaker.
    """

    utts: tuple[str, ...]
    enrol: np.ndarray
    test: np.ndarray
    is_target: np.ndarray

    @classmethod
    def from_pairs(
        cls, enrol: Sequence[str], test: Sequence[str], is_target: Sequence[bool]
    ) -> "TrialList":
        """Make a trial list of utterance ids.

        Args:
            enrol: Utterance id of each trial's one side.
            test: Utterance id of each trial's other side.
            is_target: Whether both are of one speaker.
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


@dataclass(frozen=True, eq=False)
class PairTable:
    """Lines of ``<enrol> <test> <value>``, as read from a file.

    Attributes:
        utts: Every utterance named, once, sorted.
        enrol: (lines,) int64 indices into ``utts``.
        test: (lines,) int64 indices into ``utts``.
        value: (lines,) the third column: objects (str) or numbers.
    """

    utts: tuple[str, ...]
    enrol: np.ndarray
    test: np.ndarray
    value: np.ndarray


def write_trials(path: Path | str, trials: TrialList) -> None:
    """Write a trial list.

    Raises:
        UserError: The file system refuses.
    """
    utts = trials.utts
    columns = (trials.enrol.tolist(), trials.test.tolist(), trials.is_target.tolist())
    lines = [
        f"{utts[enrol]} {utts[test]} {LABELS[is_target]}\n"
        for enrol, test, is_target in zip(*columns, strict=True)
    ]
    write_text(path, "".join(lines))


def read_trials(path: Path | str) -> TrialList:
    """Read a trial list.

    Raises:
        UserError: The file is missing, empty or not UTF-8; a line has not three
            fields or another label; a pair stands twice or an utterance against
            itself.
    """
    path = Path(path)
    table = read_pair_table(path, _FORM, str, _label_mistake)
    label, labels = pd.factorize(table.value)
    if not set(labels).issubset(LABELS):
        raise first_mistake(path, _FORM, _label_mistake)
    is_target = np.array([LABELS.index(name) for name in labels], dtype=bool)[label]
    same = np.flatnonzero(table.enrol == table.test)
    if len(same):
        index = int(same[0])
        raise UserError(
            f"{path}, line {index + 1}: {table.utts[table.enrol[index]]} stands "
            "against itself; remove the line."
        )
    refuse_repeated_pairs(path, table)
    return TrialList(table.utts, table.enrol, table.test, is_target)


def _label_mistake(label: str) -> str | None:
    if label in LABELS:
        return None
    return f"{label!r} is not a label; write target or nontarget"


def pair_keys(enrol: np.ndarray, test: np.ndarray, n_utts: int) -> np.ndarray:
    """Number the pairs of utterances, the same whichever side is called enrol.

    Args:
        enrol: (pairs,) int64 indices below ``n_utts``.
        test: (pairs,) int64 indices below ``n_utts``.
        n_utts: Number of utterances.

    Returns:
        (pairs,) int64, equal exactly where the two utterances are.
    """
    return np.minimum(enrol, test) * n_utts + np.maximum(enrol, test)


def refuse_repeated_pairs(path: Path, table: PairTable) -> None:
    """Raise where a pair of utterances stands on two lines, in either order.

    Raises:
        UserError: Names the first such line and the line it repeats.
    """
    keys = pair_keys(table.enrol, table.test, len(table.utts))
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return
    repeated = pd.Series(keys).duplicated().to_numpy()
    index = int(repeated.argmax())
    first = int((keys == keys[index]).argmax())
    raise UserError(
        f"{path}, line {index + 1}: the pair {table.utts[table.enrol[index]]} "
        f"{table.utts[table.test[index]]} stands on line {first + 1} already; keep one "
        "of the lines."
    )


def read_pair_table(
    path: Path, form: str, dtype: type, mistake: Callable[[str], str | None]
) -> PairTable:
    """Read a file of ``<enrol> <test> <value>`` lines.

    Args:
        path: UTF-8, single spaces, no header; quotes have no meaning and an
            utterance may be called ``NA``.
        form: What a line should be, for the message.
        dtype: Type of the third column, str or float; the empty string stands for the
            missing field of a line that ends early.
        mistake: Says what is wrong with a third field, None where nothing is; asked
            to explain what can't be read, not to find it.

    Raises:
        UserError: The file is missing, empty or not UTF-8, or a line has not three
            fields or a value of another type.
    """
    try:
        with path.open("rb") as file:
            first = file.readline().decode("utf-8").rstrip("\r\n").split(" ")
        # pandas takes the number of fields from the first line, and a column of
        # "True" and "False" for numbers.
        if len(first) != _N_FIELDS or mistake(first[-1]):
            raise first_mistake(path, form, mistake)
        rows = pd.read_csv(
            path,
            sep=" ",
            header=None,
            names=["enrol", "test", "value"],
            # Not as categories, which would take utterances 1 and 01 for one number.
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
    except ValueError as error:  # of pandas: the number of fields, a value, UTF-8
        raise first_mistake(path, form, mistake) from error
    value = rows["value"].to_numpy()
    enrol, enrol_utts = pd.factorize(rows["enrol"].to_numpy())
    test, test_utts = pd.factorize(rows["test"].to_numpy())
    named = set(enrol_utts).union(test_utts)
    if not all(map(is_id, named)):
        raise first_mistake(path, form, mistake)
    utts = tuple(sorted(named))
    row = {utt: index for index, utt in enumerate(utts)}
    enrol_row = np.array([row[utt] for utt in enrol_utts], dtype=np.int64)
    test_row = np.array([row[utt] for utt in test_utts], dtype=np.int64)
    return PairTable(utts, enrol_row[enrol], test_row[test], value)


def first_mistake(
    path: Path, form: str, mistake: Callable[[str], str | None]
) -> UserError:
    """Go through a file that can't be read, and name the first line at fault.

    Args:
        path: The file.
        form: What a line should be.
        mistake: Says what is wrong with a third field, None where nothing is.
    """
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
        f"{path} can't be read as lines of '{form}': run the stage that makes it again."
    )
