"""Prompts of names: in the language's own letters, from the language alone."""

import random
import sys
import unicodedata

import pytest

from espnet2_cltm.corpus.demo_names import MIN_NAMES, names_of
from espnet2_cltm.corpus.demo_prompts import draw_prompt
from espnet2_cltm.errors import UserError


@pytest.mark.parametrize(
    ("lang", "script", "name"),
    [
        ("fi", "LATIN", "Saksa"),
        ("el", "GREEK", "Γερμανία"),
        ("hi", "DEVANAGARI", "जर्मनी"),
        ("ko", "HANGUL", "독일"),
        ("pt-br", "LATIN", "janeiro"),
    ],
)
def test_names_are_written_in_the_languages_own_letters(lang, script, name):
    names = names_of(lang)
    assert name in names
    assert len(names) >= MIN_NAMES
    assert list(names) == sorted(set(names))
    letters = {
        one for name in names for one in name if unicodedata.category(one) == "Lo"
    }
    letters |= {one for name in names for one in name if one.isupper() or one.islower()}
    assert {unicodedata.name(letter).split()[0] for letter in letters} == {script}


def test_names_hold_nothing_that_is_not_spoken():
    for lang in ("en", "ru", "th"):
        assert not any(set(name) & set("()[]/,.0123456789&") for name in names_of(lang))


def test_a_prompt_is_eight_names_of_the_language():
    prompt = draw_prompt("names", random.Random(3), "hu")
    assert prompt == draw_prompt("names", random.Random(3), "hu")
    assert prompt != draw_prompt("names", random.Random(4), "hu")
    words = {word for name in names_of("hu") for word in name.split()}
    assert len(prompt.split()) >= 8
    assert set(prompt.split()) <= words


@pytest.mark.parametrize("lang", ["jbo", "qya", "no such-language"])
def test_a_language_with_too_few_names_is_refused(lang):
    with pytest.raises(UserError, match=rf"names in the language '{lang}', too few"):
        names_of(lang)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "babel", None)
    names_of.cache_clear()
    with pytest.raises(UserError, match="need the package babel, which is missing"):
        names_of("fi")
    names_of.cache_clear()
