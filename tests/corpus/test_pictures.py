"""image.scp: which picture an utterance tells of, from a corpus to the audio store."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from espnet2_cltm.corpus import demo
from espnet2_cltm.corpus.audio_store import dump_language
from espnet2_cltm.corpus.datadir import (
    SPLITS,
    Utterance,
    read_data_dir,
    read_table,
    write_data_dir,
)
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.corpus.emoji import SIZE, emoji_names, read_pictures
from espnet2_cltm.corpus.kaldi import KALDI
from espnet2_cltm.corpus.language import CorpusOptions
from espnet2_cltm.corpus.pictures import read_picture
from espnet2_cltm.corpus.prepare import prepare_language
from espnet2_cltm.corpus.validate import validate_data_dir
from espnet2_cltm.errors import UserError

CONFIG = Path(__file__).parents[2] / "conf" / "demo.yaml"


def write_picture(path, colour=(200, 30, 30), size=(8, 6)):
    Image.new("RGB", size, colour).save(path)
    return str(path)


@pytest.fixture
def corpus(tmp_path):
    """Two utterances a split, the first a caption of one picture in all splits."""
    picture = write_picture(tmp_path / "red.png")
    noise = np.random.default_rng(0).standard_normal(16000) / 10
    for number, split in enumerate(SPLITS):
        directory = tmp_path / "kaldi" / "ca" / split
        directory.mkdir(parents=True)
        utts = [f"s{number}-a", f"s{number}-b"]
        for utt in utts:
            soundfile.write(directory / f"{utt}.wav", noise, 16000)
        for name, lines in (
            ("wav.scp", [f"{utt} {directory}/{utt}.wav" for utt in utts]),
            ("utt2spk", [f"{utt} s{number}" for utt in utts]),
            ("image.scp", [f"{utts[0]} {picture}"]),
        ):
            (directory / name).write_text("\n".join(lines) + "\n")
    return tmp_path / "kaldi"


def test_pictures_reach_the_audio_store(corpus, tmp_path, monkeypatch):
    # A path that starts here is still right for those who start elsewhere.
    scp = corpus / "ca" / "train" / "image.scp"
    monkeypatch.chdir(tmp_path)
    scp.write_text("s0-a red.png\n")
    data, options = tmp_path / "data", CorpusOptions(require_labels=())
    prepare_language(KALDI, corpus, "ca", data, options)
    with DecodingPool(1) as pool:
        dump_language(data / "kaldi" / "ca", tmp_path / "dump", pool)
    for number, split in enumerate(SPLITS):
        first, second = read_data_dir(tmp_path / "dump" / split)
        assert (first.id, first.image) == (
            f"ca-s{number}-a",
            str(tmp_path / "red.png"),
        )
        assert second.image is None
    # Without its picture the caption is plain speech again.
    scp.unlink()
    prepare_language(KALDI, corpus, "ca", data, options)
    assert not (data / "kaldi" / "ca" / "train" / "image.scp").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("s0-a none.png", "line 1: the picture none.png does not exist"),
        ("s0-c {red}", "line 1: the caption s0-c has no audio"),
        ("s0-a", "line 1: s0-a has no picture"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_made(corpus, tmp_path, line, message):
    path = corpus / "ca" / "train" / "image.scp"
    path.write_text(line.format(red=tmp_path / "red.png") + "\n")
    with pytest.raises(UserError) as refusal:
        KALDI.load_language(corpus, "ca", CorpusOptions())
    assert message in str(refusal.value) and str(path) in str(refusal.value)


def test_every_fault_of_a_table_is_listed(tmp_path):
    red = write_picture(tmp_path / "red.png")
    (tmp_path / "broken.png").write_bytes(Path(red).read_bytes()[:40])
    rows = [Utterance(f"s1-{n}", "s1", f"{n}.wav", image=red) for n in "abc"]
    write_data_dir(tmp_path, rows)
    assert validate_data_dir(tmp_path) == []
    (tmp_path / "image.scp").write_text(
        f"s1-a {red}\ns1-b {tmp_path}/broken.png\ns1-c {tmp_path}/none.png\ns1-d x\n"
    )
    found = {
        problem.line: problem.sentence
        for problem in validate_data_dir(tmp_path, check_audio=True)
        if problem.path.name == "image.scp"
    }
    assert found.keys() == {2, 3, 4}
    assert "broken.png is broken" in found[2] and "does not exist" in found[3]


def test_a_picture_is_its_square_in_the_middle_on_white(tmp_path):
    wide = np.zeros((4, 12, 4), dtype=np.uint8)
    wide[:, 4:8] = (0, 0, 255, 255)  # the rest is transparent
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (read_picture(tmp_path / "wide.png", 4) == (0, 0, 255)).all()
    wide[:, 4:8] = 0
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (read_picture(tmp_path / "wide.png", 4) == 255).all()
    grey = Image.new("L", (5, 5), 7)
    grey.save(tmp_path / "grey.gif")
    assert (read_picture(tmp_path / "grey.gif", 3) == 7).all()


def test_the_demo_writes_what_its_prompts_name(tmp_path):
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    content["splits"] = {s: {"speakers": 1, "utterances": 3} for s in SPLITS}
    content["prompts"] = ["emoji", "known_emoji", "digits"]
    config = tmp_path / "demo.yaml"
    config.write_text(yaml.safe_dump(content))
    options = CorpusOptions(config=config)
    shown = {}
    for lang in ("es", "tr"):
        language = demo.load_language(tmp_path / "corpus", lang, options)
        named = emoji_names(lang)
        for split, rows in language.splits.items():
            for row in rows:
                own, known, digits = (row.id.endswith(f"-0{n}") for n in (1, 2, 3))
                assert (row.image is None) == digits
                if row.image:
                    emoji = named[row.text]
                    assert emoji.split == (split if own else "train") and (own or known)
                    picture = read_picture(row.image, SIZE)
                    assert (picture == read_pictures()[emoji.number]).all()
                    shown.setdefault(emoji.character, set()).add(row.image)
    # One file an emoji, in all languages, and no other ones.
    assert all(len(paths) == 1 for paths in shown.values())
    assert len(os.listdir(tmp_path / "corpus" / "pictures")) == len(shown)


def test_image_scp_names_captions_alone(tmp_path):
    rows = [
        Utterance("s1-a", "s1", "a.wav", image="/pictures/a b.jpg"),
        Utterance("s1-b", "s1", "b.wav"),
    ]
    write_data_dir(tmp_path, rows)
    assert read_table(tmp_path / "image.scp") == {"s1-a": "/pictures/a b.jpg"}
    assert read_data_dir(tmp_path) == rows
