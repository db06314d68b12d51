"""Phones by espeak-ng: one notation for all languages."""

import random

import pytest

from espnet2_cltm.corpus.text_phones import phones_of, split_phones, voice_file


@pytest.mark.parametrize(
    ("lang", "text", "phones"),
    [
        ("es", "¡Hola, mundo!", "o l a m u n d o"),
        ("fi", "hyvää", "h y v æː"),
        ("zh-HK", "你好", "n ei h ou"),
        ("es", "—", ""),
    ],
)
def test_a_text_becomes_phones(lang, text, phones):
    assert phones_of([text], voice_file(lang)) == [phones]


def test_phones_of_a_text_do_not_depend_on_those_before():
    texts = ["uno", "Dos tres.", "", "cuatro, cinco", "6 siete", "ocho"]
    expected = dict(zip(texts, phones_of(texts, voice_file("es")), strict=True))
    random.Random(1).shuffle(texts)
    found = phones_of(texts, voice_file("es"))
    assert dict(zip(texts, found, strict=True)) == expected


@pytest.mark.parametrize(
    ("phonemes", "phones"),
    [
        ("ˈaː_s^_i", "aː s i"),
        ("tʃ_ˈa:_i2_ ts.", "t͡ʃ aː i t͡ʂ"),
        ("_(en)_tʃ_ˈaɪ_(ja)_l", ""),
    ],
)
def test_stress_tone_and_ties_are_left_out(phonemes, phones):
    assert split_phones(phonemes) == phones


@pytest.mark.parametrize("lang", ["mn", "dv", "mhr"])
def test_not_every_language_has_a_voice(lang):
    assert voice_file(lang) is None
