from pathlib import Path

import pytest

from espnet2_cltm.corpus.common_voice import COMMON_VOICE
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.labels import join_labels, labels_file, read_label_rows
from espnet2_cltm.corpus.language import CorpusOptions, LanguageSplits
from espnet2_cltm.errors import UserError

CV_REAL = Path(__file__).parents[2] / "../shared/corpora/cv-real"


def language(*audio: str, own_names: list[str] | None = None) -> LanguageSplits:
    """One utterance of train for each location, ``ca-s-0`` and so on."""
    train = [
        Utterance(f"ca-s-{n}", "ca-s", location, {"age": "teens"})
        for n, location in enumerate(audio)
    ]
    names = dict(zip((utt.id for utt in train), own_names or audio, strict=True))
    return LanguageSplits({"train": train}, [], lambda utt: names[utt.id])


@pytest.fixture
def join(tmp_path):
    """Join a table, given as text, and return the emotion of each utterance."""

    def joined(to: LanguageSplits, text: str) -> list[str | None]:
        path = tmp_path / "labels.tsv"
        path.write_text(text, encoding="utf-8")
        with_labels, _ = join_labels(to, path)
        return [utt.labels.get("emotion") for utt in with_labels.splits["train"]]

    return joined


def refusal(join, to: LanguageSplits, text: str) -> str:
    with pytest.raises(UserError) as error:
        join(to, text)
    return str(error.value)


CLIP = language("/cv/ca/clips/clip_1.mp3", own_names=["clip_1.mp3"])


@pytest.mark.parametrize(
    "name",
    [
        *("clip_1.mp3", "clip_1", "clip_1.wav", "clips/clip_1.mp3"),
        *("/elsewhere/clip_1.MP3", "C:\\data\\clip_1.mp3", "ca-s-0", " clip_1 "),
    ],
)
def test_a_clip_is_found_by_any_of_its_names(join, name):
    assert join(CLIP, f"path\temotion\n{name}\tjoy\n") == ["joy"]


def test_an_utterance_is_found_by_its_id_before_and_after_it_is_renamed(join):
    own = language("a.ark:7", "b.ark:9", "cat x.wav |", own_names=["s_0.wav", "1", "2"])
    text = "utt,emotion\ns_0.wav,joy\n1,anger\nca-s-2,fear\n"
    assert join(own, text) == ["joy", "anger", "fear"]
    assert "no row is about" in refusal(join, own, "utt,emotion\na.ark:7,joy\nx,joy\n")


def test_files_of_one_name_are_told_apart_by_their_directories(join):
    same = language("/d/a/1.wav", "/d/b/1.wav", own_names=["x", "y"])
    assert join(same, "f\temotion\nb/1.wav\tjoy\n/d/a/1\tfear\n") == ["fear", "joy"]
    for name in ("1.wav", "c/1.wav"):
        sentence = refusal(join, same, f"f\temotion\n{name}\tjoy\n")
        assert f"line 2: '{name}'" in sentence and "ca-s-1" in sentence


def test_columns_become_labels_of_one_word_and_empty_cells_none(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(
        '\ufeffclip,emotion,"speaking style"\r\n'
        'a.wav,joy,"read, slowly "\r\n'
        "b.wav,,spontaneous\r\n\r\n",
        encoding="utf-8",
    )
    rows = read_label_rows(path)
    assert [(row.line, row.key, row.labels) for row in rows] == [
        (2, "a.wav", {"emotion": "joy", "speaking_style": "read,_slowly"}),
        (3, "b.wav", {"speaking_style": "spontaneous"}),
    ]


@pytest.mark.parametrize(
    "text", ['clip\tmood\n"a\tso so\n', '"clip"\t"mood"\n"""a"\t"so so"\n']
)
def test_quotes_are_taken_off_where_the_header_has_them(tmp_path, text):
    path = tmp_path / "labels.tsv"
    path.write_text(text)
    assert [(row.key, row.labels) for row in read_label_rows(path)] == [
        ('"a', {"mood": "so_so"})
    ]


def test_labels_come_before_the_corpuss_own_and_are_counted(tmp_path):
    path = tmp_path / "labels.tsv"
    path.write_text("utt\tage\tmood\n0.wav\tforty\tgood\n1.wav\t\tbad\nx.wav\tten\t\n")
    joined, what = join_labels(language("0.wav", "1.wav", "2.wav"), path)
    assert [utt.labels for utt in joined.splits["train"]] == [
        {"age": "forty", "mood": "good"},
        {"age": "teens", "mood": "bad"},
        {"age": "teens"},
    ]
    assert what.startswith(f"{path} gives age of 1 utterance, mood of 2 utterances;")
    assert "1 of its 3 rows" in what


def test_genders_are_f_and_m_however_they_are_written(tmp_path):
    path = tmp_path / "labels.tsv"
    path.write_text("utt\tgender\n0.wav\tFemale\n1.wav\tm\n2.wav\tother\n")
    joined, _ = join_labels(language("0.wav", "1.wav", "2.wav"), path)
    genders = [utt.labels.get("gender") for utt in joined.splits["train"]]
    assert genders == ["f", "m", None]
    assert joined.unusable == {("ca-s-2", "gender"): "gender is 'other'"}


def test_a_repeated_row_is_taken_once_and_a_contradiction_refused(join):
    rows = "path\temotion\nclip_1\tjoy\nclip_1.mp3\tjoy\n"
    assert join(CLIP, rows) == ["joy"]
    sentence = refusal(join, CLIP, f"{rows}ca-s-0\tfear\n")
    assert "lines 2 and 4" in sentence and "ca-s-0" in sentence


def test_a_table_that_matches_nothing_is_refused_with_both_sides_names(join):
    sentence = refusal(join, CLIP, "path\temotion\nother.mp3\tjoy\n")
    for name in ("other.mp3", "clip_1.mp3", "ca-s-0", "labels.tsv"):
        assert name in sentence
    assert "clip_1.mp3" in refusal(join, CLIP, "path\temotion\n")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "no column of labels"),
        ("path\nclip_1\n", "no column of labels"),
        ("path;emotion\nclip_1;joy\n", "no column of labels"),
        ("path\tlang\nclip_1\tca\n", "utt2lang"),
        ("path\temotion\temotion\nclip_1\tjoy\tjoy\n", "utt2emotion"),
        ("path,a/b\nclip_1,c\n", "utt2a/b"),
        ("path,\nclip_1,c\n", "''"),
        ("path\temotion\nclip_1\tjoy\nclip_1\n", "line 3, has 1 field"),
        ("path,emotion\nclip_1,joy,anger\n", "line 2, has 3 fields"),
    ],
)
def test_a_malformed_table_is_refused_with_its_place(join, text, fact):
    sentence = refusal(join, CLIP, text)
    assert "labels.tsv" in sentence and fact in sentence


def test_a_missing_table_is_named(tmp_path):
    path = labels_file(f"{tmp_path}/{{lang}}/{{lang}}.tsv", "am")
    assert path == tmp_path / "am/am.tsv"
    with pytest.raises(UserError, match=f"{path} cannot be read"):
        join_labels(CLIP, path)


@pytest.mark.parametrize(("lang", "labelled"), [("am", 903), ("da", 375), ("de", 481)])
def test_emotions_of_real_speech_are_joined(lang, labelled):
    if not CV_REAL.is_dir():
        pytest.skip(f"{CV_REAL} is absent")
    loaded = COMMON_VOICE.load_language(CV_REAL, lang, CorpusOptions())
    joined, what = join_labels(
        loaded, labels_file(f"{CV_REAL}/{{lang}}/emotion.tsv", lang)
    )
    assert f"emotion of {labelled} utterances; every row matches" in what
    assert all("emotion" in u.labels for rows in joined.splits.values() for u in rows)
