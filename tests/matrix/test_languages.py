from pathlib import Path

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.languages import (
    UNLISTED,
    describe,
    display_order,
    read_languages,
)

CONF = Path(__file__).parents[2] / "conf" / "languages.yaml"

COMMON_VOICE = """
kab ar mt id eo ta hy-AM lt lv cy nl en de sv-SE fy-NL bn dv ur ckb kmr fa ca fr
gl it pt ro es be cs pl ru sl uk ja ka th eu mn lg rw sw ab yue zh-CN zh-HK
zh-TW ky tr ug uz hu mhr et
"""


def test_every_language_of_the_published_matrices_has_a_name_and_a_family():
    known = read_languages(CONF)
    assert len(COMMON_VOICE.split()) == 54
    assert set(COMMON_VOICE.split()) <= set(known)
    assert known["lt"].name == "Lithuanian"
    assert known["gl"].family == "Indo-European (Romance)"


def test_languages_of_the_demo_have_a_name_and_a_family():
    known = read_languages(CONF)
    demo = "en es tr fi id sw ka hu ta vi cmn ja ko no"
    assert set(demo.split()) <= set(known)
    assert known["no"].name == "Norwegian"


def test_languages_are_shown_by_family_then_name_and_unlisted_ones_last():
    known = read_languages(CONF)
    languages = describe(["zz", "tr", "es", "ca", "fr", "kab"], known)
    assert languages["zz"].family == UNLISTED
    order = [language.code for language in display_order(languages.values())]
    assert order == ["kab", "ca", "fr", "es", "tr", "zz"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no: {name: Norwegian, family: x}", "put it in quotes"),
        ("ca: {name: Catalan}", "ca needs a name and a family"),
        ("ca: Catalan", "ca needs a name and a family"),
        ("- ca", "no entries of the form"),
        ("", "no entries of the form"),
        ("ca: {name: [", "cannot be read as YAML"),
    ],
)
def test_mistake_in_the_configuration_is_named(tmp_path, text, sentence):
    path = tmp_path / "languages.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_languages(path)


def test_absent_configuration_is_named(tmp_path):
    with pytest.raises(UserError, match="--languages_conf"):
        read_languages(tmp_path / "languages.yaml")
