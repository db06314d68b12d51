"""espeak-ng's phoneme events made into phones: IPA, and times from edge to edge.

An event holds where a sound begins and, in at most 8 bytes of UTF-8, what it is, with
its stress.
"""

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from espnet2_cltm.corpus.phones import Phone

# What espeak-ng has no IPA for, and spells in letters of its own.
_OWN_SPELLING = {
    "s.": "ʂ",
    "z.": "ʐ",
    "r.": "ɽ",
    "ts.": "tʂ",
    "ts.h": "tʂʰ",
    "tsh": "tsʰ",
    "tɕh": "tɕʰ",
    "i.": "ɻ̩",
    "o-": "ɤ",
    "X": "χ",
    "tS": "tʃ",
    # An event holds 8 bytes, of which a stress mark takes 2.
    "ɐ̃ʊ": "ɐ̃ʊ̃",
}
_LETTERS = str.maketrans({"?": "ʔ", "`": "ʼ", "#": "\u0325", "g": "ɡ"})
_STRESS = re.compile("[ˈˌ'\u0361\u035c]")
_AFFRICATE = re.compile("([tdʈɖ])(?=[szʃʒɕʑʂʐ])")
_SHORTEST = 0.002  # seconds; what is shorter is a mark, such as that of a tone
_STOPS = frozenset("pbtdʈɖcɟkɡqɢʔ")


def clean_ipa(spelled: bytes) -> str:
    """Return the IPA of one of espeak-ng's phoneme events.

    Stress is dropped, affricates are tied, and letters that espeak-ng uses for want of
    IPA are replaced where it is known what they stand for.

    Args:
        spelled: Event's text, of at most 8 bytes; a character may be cut.

    Returns:
        Symbol in Unicode's decomposed form; empty for a pause.
    """
    symbol = unicodedata.normalize("NFD", spelled.decode("utf-8", errors="ignore"))
    symbol = _STRESS.sub("", symbol)
    symbol = unicodedata.normalize("NFD", _OWN_SPELLING.get(symbol, symbol))
    return _AFFRICATE.sub("\\1\u0361", symbol.translate(_LETTERS))


@dataclass
class _Sound:
    """A sound or a pause, from its first sample to that behind its last."""

    start: int
    end: int
    symbol: str


def phones_of_events(
    events: Sequence[tuple[int, bytes]], samples: bytes, rate: int
) -> list[Phone]:
    """Return the phones of speech that espeak-ng made.

    An event marks where a sound begins. That of a stop marks its release; the silence
    of its closure in front, which belongs to it, is taken from the sound before.

    Args:
        events: First sample and text of each event, pauses among them.
        samples: 16-bit mono.
        rate: Samples a second.
    """
    n_samples = len(samples) // 2
    starts = [min(start, n_samples) for start, _ in events]
    sounds = [
        _Sound(start, end, clean_ipa(text))
        for start, end, (_, text) in zip(
            starts, [*starts[1:], n_samples], events, strict=True
        )
        if end - start >= _SHORTEST * rate
    ]
    for before, sound in itertools.pairwise(sounds):
        if before.symbol and sound.symbol[:1] in _STOPS:
            heard = samples[2 * before.start : 2 * before.end].rstrip(b"\0")
            if len(heard) >= 2 * _SHORTEST * rate:  # the sound before is more than that
                before.end = sound.start = before.start + -(-len(heard) // 2)
    return [
        Phone(sound.start / rate, (sound.end - sound.start) / rate, sound.symbol)
        for sound in sounds
        if sound.symbol
    ]
