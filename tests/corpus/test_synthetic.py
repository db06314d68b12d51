"""Synthetic donors: who says what, and where that comes from."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from espnet2_cltm.corpus.common_voice import COMMON_VOICE
from espnet2_cltm.corpus.datadir import read_data_dir
from espnet2_cltm.corpus.demo import DEMO
from espnet2_cltm.corpus.kaldi import KALDI
from espnet2_cltm.corpus.language import CorpusOptions, LanguageSplits, person_of
from espnet2_cltm.corpus.prepare import choose_languages, prepare
from espnet2_cltm.corpus.synthetic import FEWEST_TEXTS, can_speak
from espnet2_cltm.corpus.validate import validate_language
from espnet2_cltm.errors import UserError
from tests.corpus.test_common_voice import make_language, row
from tests.corpus.test_kaldi import make_split

ROOT = Path(__file__).parents[2]


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "conf/demo.yaml").read_text())
    sizes = {"train": (2, 3), "dev": (1, 2), "test": (1, 2)}
    config["splits"] = {
        split: {"speakers": n, "utterances": m} for split, (n, m) in sizes.items()
    }
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(config))
    return CorpusOptions(config=path)


def prepared(corpus, corpus_dir, langs, options):
    lines = []
    prepare(corpus, corpus_dir, langs, "data", options, lines.append)
    for lang in langs:
        assert validate_language(Path("data") / corpus.name / lang) == []
    return lines


def texts_of(directory):
    return [u.text for u in read_data_dir(directory)]


def test_the_demo_speaks_again_with_other_voices(options, tmp_path):
    lines = prepared(DEMO, tmp_path / "demo", ["sw", "sw@tts"], options)
    assert any("the demo's prompts" in line for line in lines)
    real, made = (read_data_dir(Path(f"data/demo/{x}/train")) for x in ("sw", "sw@tts"))
    assert len(real) == len(made) == 12
    assert {u.labels["gender"] for u in made} == {"f", "m"}
    assert {u.lang for u in made} == {"sw@tts"}
    assert all(re.fullmatch(r"sw@tts-[fm]\d\d-\d\d", u.id) for u in made)
    assert {u.text for u in real} != {u.text for u in made}
    audio = [Path(u.audio).read_bytes() for u in (*real, *made)]
    assert len(set(audio)) == len(audio)
    again = prepared(DEMO, tmp_path / "demo", ["sw@tts"], options)
    assert "skipped" in again[0]


def make_corpus(tmp_path, sentences):
    tables = {
        split: [
            row(
                f"{split}{n % 4}",
                f"{split}_{n}.mp3",
                ("male", "female")[n % 2],
                sentence=text,
            )
            for n, text in enumerate(said)
        ]
        for split, said in sentences.items()
    }
    make_language(tmp_path / "cv", "es", **tables)
    return tmp_path / "cv"


def test_training_transcripts_are_said_and_no_others(options, tmp_path):
    train = [f"la casa número {n} es azul" for n in range(FEWEST_TEXTS)]
    said = {
        "train": [*train, "привет"],
        "dev": ["nunca en dev"] * 4,
        "test": ["nunca en la prueba"] * 4,
    }
    lines = prepared(
        COMMON_VOICE, make_corpus(tmp_path, said), ["es", "es@tts"], options
    )
    assert any(
        f"the {FEWEST_TEXTS} of {FEWEST_TEXTS + 1} training transcripts" in line
        for line in lines
    )
    of_splits = [texts_of(f"data/common_voice/es@tts/{split}") for split in said]
    assert {text for texts in of_splits for text in texts} <= set(train)
    assert len(set(of_splits[0])) == len(of_splits[0]) == 12
    # The corpus itself is left alone.
    assert not (tmp_path / "cv/es@tts").exists()
    assert (tmp_path / "downloads/tts/common_voice/es@tts").is_dir()


def test_too_few_transcripts_are_replaced_by_prompts_and_that_is_said(
    options, tmp_path
):
    said = {split: ["hola"] * 4 for split in ("train", "dev", "test")}
    lines = prepared(COMMON_VOICE, make_corpus(tmp_path, said), ["es@tts"], options)
    assert any("only 1 training transcripts of es" in line for line in lines)
    assert "hola" not in texts_of("data/common_voice/es@tts/train")


def test_a_directory_of_ones_own_is_taken_as_it_is(options, tmp_path):
    for split in ("train", "dev", "test"):
        speakers = {f"{split}1": "f", f"{split}2": "m"}
        make_split(tmp_path / "mine/sw@tts" / split, speakers)
    lines = prepared(KALDI, tmp_path / "mine", ["sw@tts"], options)
    assert not any("espeak-ng" in line for line in lines)
    assert not (tmp_path / "downloads").exists()


def test_what_cannot_be_spoken_is_refused_with_what_can(tmp_path, options):
    with pytest.raises(UserError, match=r"xx@tts sw@choir.* choose from .*@tts is"):
        choose_languages(DEMO, tmp_path, ["sw", "xx@tts", "sw@choir"])
    assert not can_speak("sw")
    assert can_speak("zh-CN@tts")  # Common Voice's code


def test_voices_are_nobody_in_other_languages():
    assert person_of("es-m01", "es") == person_of("sw-m01", "sw")
    assert person_of("es@tts-m01", "es@tts") != person_of("sw@tts-m01", "sw@tts")


def test_a_corpus_without_transcripts_has_the_prompts(options, tmp_path):
    bare = replace(
        KALDI, list_languages=lambda _: ["es"], load_language=lambda *_: SILENT
    )
    lines = prepared(bare, tmp_path, ["es@tts"], options)
    assert any("only 0 training transcripts" in line for line in lines)


SILENT = LanguageSplits({"train": [], "dev": [], "test": []})
