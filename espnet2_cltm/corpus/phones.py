"""Times of speech sounds: ``phones.ctm`` beside ``wav.scp``.

A line is ``<utterance> <channel> <start> <duration> <phone>``, NIST's CTM as Kaldi's
tools write it, with a confidence behind it or without: seconds from the beginning of
the utterance, phones of an utterance in their order, silence left out or named as in
:data:`SILENCES`. Utterances that are not named have no times.
"""

import math
import sys
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_text

CTM = "phones.ctm"
SILENCES = ("SIL", "sil", "sp", "spn", "<eps>", "<unk>", "")
"""What aligners call silence and noise."""

TOLERANCE = 0.05
"""Seconds that a phone may end after its audio: aligners count in frames."""

_ORDER = 0.0015  # seconds that a phone may begin before the last one's end, by rounding
_REMEDY = "write '<utterance> 1 <start> <duration> <phone>', in seconds"
_REDO = "align the audio again, or remove the line"


class Phone(NamedTuple):
    """One speech sound of an utterance.

    Attributes:
        start: Seconds from the beginning of the utterance.
        duration: Seconds, above 0.
        symbol: Its name, in IPA where the corpus comes from espeak-ng.
    """

    start: float
    duration: float
    symbol: str

    @property
    def end(self) -> float:
        """Second in which it ends."""
        return self.start + self.duration


class Fault(NamedTuple):
    """A line of ``phones.ctm`` that is wrong: its number, why, and what to do."""

    line: int
    why: str
    remedy: str


def read_phones(
    path: Path, known: Container[str], seconds: Mapping[str, float]
) -> dict[str, list[Phone]]:
    """Read ``phones.ctm``.

    Args:
        path: The file; where there is none, no utterance has times.
        known: Ids of all utterances.
        seconds: Lengths of their audio, as far as known.

    Returns:
        Phones by utterance.

    Raises:
        UserError: A line is malformed, names an unknown utterance, or ends behind the
            audio.
    """
    phones: dict[str, list[Phone]] = {}
    if not path.exists():
        return phones
    for parsed in _parse(path, known, seconds):
        if isinstance(parsed, Fault):
            raise UserError(
                f"{path}, line {parsed.line}: {parsed.why}: {parsed.remedy}."
            )
        utt, phone = parsed
        phones.setdefault(utt, []).append(phone)
    return phones


def find_faults(
    path: Path, known: Container[str], seconds: Mapping[str, float]
) -> Iterator[Fault]:
    """Yield every fault of a ``phones.ctm`` that is there, as :func:`read_phones`."""
    return (one for one in _parse(path, known, seconds) if isinstance(one, Fault))


def _parse(
    path: Path, known: Container[str], seconds: Mapping[str, float]
) -> Iterator[tuple[str, Phone] | Fault]:
    ends: dict[str, float] = {}
    lines = read_text(path, "correct its permissions").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.startswith(";;") or (not line.strip() and number == len(lines)):
            continue
        try:
            utt, _, start, duration, symbol = line.split()[:5]
            phone = Phone(float(start), float(duration), sys.intern(symbol))
        except ValueError:
            yield Fault(number, f"'{line[:80]}' is not the time of a phone", _REMEDY)
            continue
        if not (0 <= phone.start < math.inf and 0 < phone.duration < math.inf):
            why = f"{utt} has a phone from {start} s that lasts {duration} s"
            yield Fault(number, why, _REMEDY)
        elif utt not in known:
            why = f"the directory has no utterance {utt}"
            yield Fault(number, why, "correct the id, or remove the line")
        elif phone.start < ends.get(utt, 0.0) - _ORDER:
            why = f"{utt} has a phone from {start} s, before the last one's end"
            yield Fault(number, why, "sort the lines, and write each phone once")
        elif phone.end > seconds.get(utt, math.inf) + TOLERANCE:
            why = (
                f"{utt} has a phone that ends at {phone.end:.3f} s, after its audio, "
                f"which ends at {seconds[utt]:.3f} s"
            )
            yield Fault(number, why, _REDO)
        else:
            ends[utt] = phone.end
            yield utt, phone


def ctm_lines(utterance: str, phones: Iterable[Phone]) -> str:
    """Return an utterance's lines of ``phones.ctm``."""
    return "".join(
        f"{utterance} 1 {phone.start:.4f} {phone.duration:.4f} {phone.symbol}\n"
        for phone in phones
    )


def runs_of_speech(phones: Sequence[Phone], most_gap: float) -> Iterator[list[Phone]]:
    """Yield the phones between silences.

    Args:
        phones: Phones of an utterance.
        most_gap: Seconds between two phones that are no silence.
    """
    run: list[Phone] = []
    for phone in phones:
        is_silence = phone.symbol in SILENCES
        if run and (is_silence or phone.start - run[-1].end > most_gap):
            yield run
            run = []
        if not is_silence:
            run.append(phone)
    if run:
        yield run
