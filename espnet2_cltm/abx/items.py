"""Items: the stretches of speech that an ABX test compares.

A table with a line for each, :data:`COLUMNS`, as in ZeroSpeech's item files
(``#file onset offset #phone prev-phone next-phone speaker``), which are read and
written here. Made from the times of phones: an item is a phone, or a triphone, which is
a phone with both of its neighbours; its label is the phone in the middle. Or an item is
all that is spoken in an utterance, and its label the language.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.phones import Phone, runs_of_speech
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_text, write_text

COLUMNS = ("file", "onset", "offset", "label", "prev", "next", "speaker")
"""Names here of an item file's columns; times are in seconds."""

UNITS = ("triphone", "phone")
EDGE = "SIL"
"""The neighbour of a phone beside which nothing is spoken."""

_HEADER = "#file onset offset #phone prev-phone next-phone speaker"
_MOST_GAP = 0.025  # seconds between neighbours


def read_items(path: Path | str) -> pd.DataFrame:
    """Read an item file of ZeroSpeech.

    Args:
        path: Text file with a header and seven columns, separated by blanks.

    Returns:
        A line for each item, with :data:`COLUMNS`.

    Raises:
        UserError: The file is another, or a line of it is wrong.
    """
    lines = read_text(path, "correct --item").split("\n")
    if lines[0].split() != _HEADER.split():
        raise UserError(
            f"{path} is not an item file: its first line has to be '{_HEADER}'."
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() and number == len(lines):
            break
        fields = line.split()
        try:
            file, onset, offset, *names = fields
            start, end = float(onset), float(offset)
            label, before, behind, speaker = names
        except ValueError:
            raise UserError(
                f"{path}, line {number}: '{line[:80]}' is not '{_HEADER}'; correct it."
            ) from None
        if not 0 <= start < end < float("inf"):
            raise UserError(
                f"{path}, line {number}: the item of {file} goes from {onset} to "
                f"{offset}: give seconds, the offset behind the onset."
            )
        rows.append((file, start, end, label, before, behind, speaker))
    if not rows:
        raise UserError(f"{path} has no item: give a file with some.")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_items(path: Path, items: pd.DataFrame) -> None:
    """Write items as a file of ZeroSpeech."""
    lines = [
        f"{row.file} {row.onset:.4f} {row.offset:.4f} {row.label} {row.prev} "
        f"{row.next} {row.speaker}\n"
        for row in items.itertuples()
    ]
    write_text(path, f"{_HEADER}\n{''.join(lines)}")


def items_of_phones(
    utterances: Iterable[Utterance], phones: Mapping[str, Sequence[Phone]], unit: str
) -> pd.DataFrame:
    """Make items of the times of phones.

    Args:
        utterances: Utterances; those without times give none.
        phones: Times by utterance.
        unit: ``phone``, or ``triphone``: from the beginning of a phone's neighbour to
            the end of the other; phones beside silence have no triphone.
    """
    rows = []
    for utterance in utterances:
        for run in runs_of_speech(phones.get(utterance.id, ()), _MOST_GAP):
            names = [EDGE, *(phone.symbol for phone in run), EDGE]
            for place, phone in enumerate(run):
                first = last = phone
                if unit == "triphone":
                    if not 0 < place < len(run) - 1:
                        continue
                    first, last = run[place - 1], run[place + 1]
                before, label, behind = names[place : place + 3]
                times = first.start, last.end
                speaker = utterance.speaker
                rows.append((utterance.id, *times, label, before, behind, speaker))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def items_of_utterances(
    utterances: Iterable[Utterance],
    phones: Mapping[str, Sequence[Phone]],
    seconds: Mapping[str, float],
) -> pd.DataFrame:
    """Make an item of each utterance, whose label is its language.

    Args:
        utterances: Utterances with their languages.
        phones: Times by utterance: an item goes from the first phone to the last, or
            takes all of the audio where they are not known.
        seconds: Lengths of the audio.
    """
    rows = []
    for utterance in utterances:
        times = phones.get(utterance.id, ())
        start = times[0].start if times else 0.0
        end = times[-1].end if times else seconds[utterance.id]
        names = (utterance.lang, EDGE, EDGE, utterance.speaker)
        rows.append((utterance.id, start, end, *names))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def frames_of(items: pd.DataFrame, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first frame of each item, and that behind its last.

    Those whose middle lies within the item, where frame k of ``rate`` a second has its
    middle at (k + 0.5) / rate, as in fastabx. There may be none.

    Args:
        items: Items.
        rate: Frames a second.
    """

    # Rounded, as 0.29 * 50 is 14.499999999999998 in binary.
    def place(column: str) -> np.ndarray:
        return np.round(items[column].to_numpy(float) * rate - 0.5, 6)

    first = np.ceil(place("onset")).astype(int)
    behind = np.floor(place("offset")).astype(int) + 1
    return first, behind
