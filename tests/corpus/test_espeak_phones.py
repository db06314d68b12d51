"""espeak-ng's phoneme events: clean IPA, and edges that lie where the sound changes."""

import unicodedata

import pytest

from espnet2_cltm.corpus.espeak_phones import clean_ipa, phones_of_events
from espnet2_cltm.corpus.phones import Phone


@pytest.mark.parametrize(
    ("spelled", "symbol"),
    [
        ("ˈo", "o"),
        ("ˌβ", "β"),
        ("tʃ", "t͡ʃ"),
        ("d͡zʲ", "d͡zʲ"),
        ("ts̻", "t͡s̻"),
        ("ts.h", "ʈ͡ʂʰ".replace("ʈ", "t")),
        ("s.", "ʂ"),
        ("k`", "kʼ"),
        ("n#", "n̥"),
        ("ˈ?ɑ", "ʔɑ"),
        ("g", "ɡ"),
        ("", ""),
    ],
)
def test_symbols_are_ipa_without_stress(spelled, symbol):
    assert clean_ipa(spelled.encode()) == unicodedata.normalize("NFD", symbol)


def test_a_symbol_that_eight_bytes_cut_is_that_of_the_unstressed_sound():
    whole, stressed = "ɐ̃ʊ̃".encode(), "ˈɐ̃ʊ̃".encode()
    assert len(whole) == 8
    assert clean_ipa(stressed[:8]) == clean_ipa(whole)


def test_a_character_that_is_cut_is_dropped():
    assert clean_ipa("ˈaːjiː".encode()[:8]) == "aːji"


def audio(*parts):
    """Samples of parts that are heard (True) or silent, each of so many samples."""
    return b"".join((b"\x01\x02" if heard else b"\0\0") * n for heard, n in parts)


def test_a_sound_lasts_until_the_next_event_and_pauses_are_left_out():
    events = [(0, b"a"), (10, b"s"), (25, b""), (40, b"m"), (40, b"o")]
    found = phones_of_events(events, audio((True, 60)), 10)
    assert found == [Phone(0, 1, "a"), Phone(1, 1.5, "s"), Phone(4, 2, "o")]


def test_silence_before_a_release_is_the_stop_s():
    samples = audio((True, 12), (False, 8), (True, 20))
    events = [(0, b"a"), (20, b"t"), (25, b"o")]
    assert phones_of_events(events, samples, 10) == [
        Phone(0, 1.2, "a"),
        Phone(1.2, 1.3, "t"),
        Phone(2.5, 1.5, "o"),
    ]
    # Not that of another sound, nor a pause.
    for before, phone in ((b"a", b"s"), (b"", b"t")):
        found = phones_of_events([(0, before), (20, phone)], samples, 10)
        assert found[-1] == Phone(2.0, 2.0, phone.decode())


def test_a_silent_sound_before_a_stop_stays_as_it_is():
    samples = audio((True, 10), (False, 10), (True, 20))
    events = [(0, b"a"), (10, b"k"), (20, b"t")]
    starts = [phone.start for phone in phones_of_events(events, samples, 10)]
    assert starts == [0, 1, 2]


def test_what_lies_behind_the_audio_is_cut_off():
    events = [(0, b"a"), (50, b"s"), (80, b"m")]
    assert phones_of_events(events, audio((True, 60)), 10) == [
        Phone(0, 5, "a"),
        Phone(5, 1, "s"),
    ]
