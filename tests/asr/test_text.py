# ruff: noqa: RUF001 (letters of many scripts)
"""One normal form of transcripts, whatever the script."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.asr.text import normalise, words_of


@pytest.mark.parametrize(
    ("lang", "written", "normal"),
    [
        ("es", "«¿Qué?», dijo: ¡2 km!", "qué dijo 2 km"),
        ("ca", "L\u2019Hospitalet és col·lega", "lhospitalet és col lega"),
        ("de", "Straße", "strasse"),
        ("tr", "IŞIK İĞNE", "ışık iğne"),
        ("en", "I İ", "i i\u0307"),
        ("el", "ΟΔΌΣ", "οδόσ"),
        ("fa", "می\u200cخواهم", "میخواهم"),
        ("hi", "हिन्दी।", "हिन्दी"),
        ("th", "ภาษาไทย", "ภาษาไทย".replace("\u0e33", "\u0e4d\u0e32")),
        ("cmn", "你好，世界ＡＢ", "你好 世界ab"),
        ("dv", "ދިވެހި،", "ދިވެހި"),
        ("es", " … — ", ""),
        ("qqq", "\ue000\ue001", ""),  # of no script
    ],
)
def test_letters_marks_and_numbers_are_kept(lang, written, normal):
    assert normalise(written, lang) == normal


@given(st.text())
def test_a_normal_form_stays_as_it_is(text):
    normal = normalise(text)
    assert normalise(normal) == normal
    kinds = {unicodedata.category(c)[0] for c in normal if c != " "}
    assert kinds <= {"L", "M", "N"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uno dos", ["uno", "dos"]),
        ("中文go 文", ["中", "文", "go", "文"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("ラーメン", ["ラ", "ー", "メ", "ン"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
    ],
)
def test_scripts_without_blanks_have_a_word_a_letter(text, words):
    assert words_of(text).split(" ") == words
