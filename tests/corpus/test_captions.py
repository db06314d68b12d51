"""Corpora of spoken captions, of which each is a tiny one made by hand."""

import json

import pytest

from espnet2_cltm.bin.prepare_captions import main
from espnet2_cltm.corpus.datadir import read_data_dir


@pytest.fixture
def corpus(tmp_path):
    """Three pictures and three recordings, and one table of each layout."""
    for name in ("a.wav", "b.wav", "c.wav", "1.jpg", "2.jpg", "C_000000000007.jpg"):
        (tmp_path / name).write_text(name)
    coco = [
        {
            "image": "1.jpg",
            "captions": [
                {"wav": "a.wav", "speaker": "s1", "uttid": "s1-x", "text": "A  CAT"},
                {"wav": "lost.wav", "speaker": "s2", "uttid": "s2-x", "text": "CAT"},
            ],
        },
        {"image": "2.jpg", "captions": [{"wav": "b.wav", "speaker": 2}]},
    ]
    (tmp_path / "coco.json").write_text("\ufeff" + json.dumps({"data": coco}))
    (tmp_path / "wav2capt.txt").write_text("a.wav 1.jpg #0\nb.wav 1.jpg #1\n")
    with open(tmp_path / "wav2capt.txt", "a") as table:
        table.write("c.wav 2.jpg #0\n")
    (tmp_path / "wav2spk.txt").write_text("a.wav 5\nb.wav 6\nc.wav 5\n")
    (tmp_path / "images.txt").write_text("1.jpg\n")
    (tmp_path / "json").mkdir()
    row = {"duration": 1.5, "speaker": "Paul", "synthesisedCaption": "A bus."}
    row |= {"wavFilename": "a.wav", "captionID": 3, "imgID": 7, "timecode": []}
    (tmp_path / "json" / "a.json").write_text(json.dumps(row))
    return tmp_path


def prepare(corpus, layout, table, *more):
    options = ["--layout", layout, "--table", str(corpus / table)]
    options += ["--audio_root", str(corpus), "--image_root", str(corpus)]
    main([*options, "--outdir", str(corpus / "out"), *more])
    return {
        row.id: (row.audio, row.image, row.speaker, row.text)
        for row in read_data_dir(corpus / "out")
    }


def test_each_layout_gives_captions_and_their_pictures(corpus, capsys):
    a, b, one, two = (str(corpus / n) for n in ("a.wav", "b.wav", "1.jpg", "2.jpg"))
    assert prepare(corpus, "spokencoco", "coco.json") == {
        "2-b": (b, two, "2", None),
        "s1-x": (a, one, "s1", "A CAT"),
    }
    said = capsys.readouterr().out
    assert "2 captions of 2 pictures; 1 left out" in said and "lost.wav" in said
    images = ["--images", str(corpus / "images.txt")]
    assert prepare(corpus, "flickr8k", "wav2capt.txt", *images) == {
        "5-a": (a, one, "5", None),
        "6-b": (b, one, "6", None),
    }
    seven = str(corpus / "C_000000000007.jpg")
    assert prepare(corpus, "speechcoco", "json", "--image_prefix", "C_") == {
        "Paul-a": (a, seven, "Paul", "A bus.")
    }


@pytest.mark.parametrize(
    ("layout", "table", "message"),
    [
        ("spokencoco", "wav2capt.txt", "wav2capt.txt is not of the layout spokencoco"),
        ("spokencoco", "none.json", "none.json does not exist"),
        ("flickr8k", "wav2spk.txt", "the line of a.wav is not"),
        ("speechcoco", "coco.json", "coco.json is not a directory of JSON files"),
        ("speechcoco", "json", "000000000007.jpg: correct --audio_root"),
    ],
)
def test_another_table_is_named_and_nothing_is_written(
    corpus, capsys, layout, table, message
):
    with pytest.raises(SystemExit):
        prepare(corpus, layout, table)
    assert message in capsys.readouterr().err
    assert not (corpus / "out").exists()
