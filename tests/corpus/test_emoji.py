"""Emoji: a picture each, a name of its own in each language, splits that share none."""

import random
from pathlib import Path

import numpy as np
import pytest

import espnet2_cltm.data
from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.demo_drawing import draw_prompt
from espnet2_cltm.corpus.emoji import SIZE, emoji_names, read_emoji, read_pictures
from espnet2_cltm.errors import UserError

DIRECTORY = Path(espnet2_cltm.data.__path__[0]) / "emoji"
LANGUAGES = {lang for one in read_emoji() for lang in one.names}


def test_there_are_hundreds_in_eighty_languages_within_two_megabytes():
    assert 400 <= len(read_emoji()) <= 510
    assert len(LANGUAGES) >= 80 and not LANGUAGES - espeak.language_files().keys()
    assert sum(path.stat().st_size for path in DIRECTORY.iterdir()) < 2 * 2**20


def test_every_picture_shows_something_and_no_two_the_same():
    pictures = read_pictures()
    assert pictures.shape == (len(read_emoji()), SIZE, SIZE, 3)
    assert pictures.dtype == np.uint8
    assert (pictures.reshape(len(pictures), -1).std(axis=1) > 10).all()
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_pictures_and_names_belong_together():
    emoji = emoji_names("en")
    red, green, yellow = (
        read_pictures()[emoji[name].number] / 255.0
        for name in ("tomato", "broccoli", "banana")
    )
    for picture, channel in ((red, 0), (green, 1)):
        shown = picture[picture.min(axis=2) < 0.9]
        assert shown.mean(axis=0).argmax() == channel
    assert yellow[yellow.min(axis=2) < 0.9].mean(axis=0).argmin() == 2
    assert emoji_names("es")["tomate"] is emoji["tomato"]


@pytest.mark.parametrize("lang", sorted(LANGUAGES))
def test_no_two_of_a_language_have_the_same_name(lang):
    named = [one for one in read_emoji() if lang in one.names]
    assert len(emoji_names(lang)) == len(named) >= 0.9 * len(read_emoji())


def test_splits_share_no_picture_and_stay_what_they_were():
    splits = {
        split: {one.character for one in emoji_names("en", split).values()}
        for split in ("train", "dev", "test")
    }
    assert sum(map(len, splits.values())) == len(set.union(*splits.values()))
    assert len(splits["dev"]) == pytest.approx(50, abs=5)
    assert len(splits["test"]) == pytest.approx(50, abs=5)


def test_prompts_are_names_of_the_split_s_pictures():
    said = {draw_prompt("emoji", random.Random(n), "sw", "test") for n in range(40)}
    assert len(said) > 15 and said <= emoji_names("sw", "test").keys()
    with pytest.raises(UserError, match="no names of emoji in the language 'jbo'"):
        draw_prompt("emoji", random.Random(0), "jbo")


def test_sources_and_licences_are_named():
    text = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    for needed in ("Unicode License v3", "Apache-2.0", "Noto", "make_emoji"):
        assert needed in text
    assert f"{len(read_emoji())} emoji" in text
