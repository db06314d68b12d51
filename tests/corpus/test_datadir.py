import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.corpus.allowed_words import GENDERS, RESERVED
from espnet2_cltm.corpus.datadir import (
    Utterance,
    read_data_dir,
    read_table,
    write_data_dir,
)
from espnet2_cltm.corpus.validate import validate_data_dir
from espnet2_cltm.errors import UserError


def refusal(action, *args) -> str:
    with pytest.raises(UserError) as error:
        action(*args)
    return str(error.value)


def bad(directory, **values) -> str:
    row = {"id": "s-1", "speaker": "s", "audio": "a.wav"} | values
    return refusal(write_data_dir, directory, [Utterance(**row)])


# Any text that fits on a line; letters of several scripts, so that the order of
# code points, of UTF-8 bytes and of a locale differ.
LINE = (
    st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]),
        min_size=1,
        max_size=8,
    )
    .map(str.strip)
    .filter(bool)
)
NAME = st.text("aZ09._éßЖ中𝄞", min_size=3, max_size=3)
LABEL = st.sampled_from(["age", "emotion", "étât-2"])


@st.composite
def data(draw):
    """A data directory's utterances; speaker ids of one width, as corpora give them."""
    rows = []
    has_duration, has_text = draw(st.booleans()), draw(st.booleans())
    lang = draw(st.none() | st.sampled_from(["ca", "zh-CN"]))
    for speaker in draw(st.sets(NAME, min_size=1, max_size=5)):
        gender = draw(st.just({}) | st.sampled_from([{"gender": g} for g in GENDERS]))
        for clip in draw(st.sets(NAME, min_size=1, max_size=3)):
            milliseconds = draw(st.integers(1, 10**7))
            rows.append(
                Utterance(
                    id=f"{speaker}-{clip}",
                    speaker=speaker,
                    audio=draw(LINE),
                    labels=gender | draw(st.dictionaries(LABEL, NAME, max_size=2)),
                    lang=lang,
                    duration=milliseconds / 1000 if has_duration else None,
                    text=draw(st.none() | LINE) if has_text else None,
                )
            )
    return draw(st.permutations(rows))


@settings(max_examples=100, deadline=None)
@given(data())
def test_what_is_written_is_read_again_and_is_valid(tmp_path_factory, rows):
    directory = tmp_path_factory.mktemp("data")
    write_data_dir(directory, rows)
    assert read_data_dir(directory) == sorted(rows, key=lambda row: row.id)
    assert [str(problem) for problem in validate_data_dir(directory)] == []


@settings(max_examples=20, deadline=None)
@given(data())
def test_files_are_sorted_as_sort_does_in_the_c_locale(tmp_path_factory, rows):
    directory = tmp_path_factory.mktemp("data")
    write_data_dir(directory, rows)
    for path in directory.iterdir():
        command = ["sort", "-c", "-u", "-k", "1,1", str(path)]
        subprocess.run(
            command, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}, check=True
        )


def test_spk2utt_and_spk2gender_list_speakers(tmp_path):
    write_data_dir(
        tmp_path,
        [
            Utterance("b-1", "b", "b.wav"),
            Utterance("b-2", "b", "b.wav", labels={"gender": "m"}),
            Utterance("a-2", "a", "a.wav", labels={"gender": "f"}),
            Utterance("a-1", "a", "a.wav", labels={"gender": "f"}),
        ],
    )
    assert (tmp_path / "spk2utt").read_text() == "a a-1 a-2\nb b-1 b-2\n"
    assert (tmp_path / "spk2gender").read_text() == "a f\nb m\n"
    assert (tmp_path / "utt2gender").read_text() == "a-1 f\na-2 f\nb-2 m\n"


def test_text_names_every_utterance_or_is_absent(tmp_path):
    rows = [Utterance("a-1", "a", "a.wav"), Utterance("a-2", "a", "a.wav", text="hi")]
    write_data_dir(tmp_path, rows)
    assert (tmp_path / "text").read_text() == "a-1\na-2 hi\n"
    write_data_dir(tmp_path, rows[:1])
    assert not (tmp_path / "text").exists()


def test_spk2gender_gives_genders_where_utt2gender_is_missing(tmp_path):
    write_data_dir(tmp_path, [Utterance("a-1", "a", "a.wav", labels={"gender": "f"})])
    (tmp_path / "utt2gender").unlink()
    assert read_data_dir(tmp_path)[0].labels == {"gender": "f"}


def test_every_label_has_a_table_and_a_table_without_values_goes(tmp_path):
    labels = {"age": "teens", "gender": "f"}
    rows = [Utterance("a-1", "a", "a", labels), Utterance("a-2", "a", "a")]
    own = {name: f"a-1 {name}\n" for name in ("utt2num_samples", "utt2uniq")}
    for name, text in {**own, "spk2age": "a x\n", "notes": ""}.items():
        (tmp_path / name).write_text(text)
    write_data_dir(tmp_path, rows)
    assert (tmp_path / "utt2age").read_text() == "a-1 teens\n"
    assert not (tmp_path / "spk2age").exists()
    assert [row.labels for row in read_data_dir(tmp_path)] == [labels, {}]
    write_data_dir(tmp_path, rows[1:])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"wav.scp", "utt2spk", "spk2utt", "notes", *own}


def test_labels_are_read_from_every_table_but_kaldis_own(tmp_path):
    write_data_dir(tmp_path, [Utterance("a-1", "a", "a"), Utterance("b-1", "b", "b")])
    for name in ({*RESERVED} - {"spk", "utt", "lang", "dur"}) | {"age.old", "age~"}:
        (tmp_path / f"utt2{name}").write_text("a-1 1\n")
    (tmp_path / "utt2accent").write_text("a-1 New  York\t City \nb-1\n")
    (tmp_path / "spk2accent").write_text("b Texas\n")
    (tmp_path / "spk2age").write_text("b teens\nc teens\n")
    assert [row.labels for row in read_data_dir(tmp_path)] == [
        {"accent": "New_York_City"},
        {"age": "teens"},
    ]


def test_an_id_that_stands_twice_is_refused(tmp_path):
    rows = [Utterance("a-1", "a", "a.wav"), Utterance("a-1", "a", "b.wav")]
    sentence = refusal(write_data_dir, tmp_path / "x", rows)
    assert sentence.startswith(f"Utterance a-1 appears twice in {tmp_path}/x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["text", "utt2dur", "utt2gender", "spk2gender"])
def test_a_table_of_other_ids_is_refused(tmp_path, name):
    write_data_dir(tmp_path, [Utterance("a-1", "a", "a.wav")])
    (tmp_path / name).write_text(f"rec-1 {'1.5' if name == 'utt2dur' else 'f'}\n")
    assert refusal(read_data_dir, tmp_path).startswith(f"{tmp_path}/{name} names rec-1")


def test_a_speaker_of_two_genders_is_refused(tmp_path):
    rows = [Utterance(f"a-{g}", "a", "a", {"gender": g}) for g in "fm"]
    sentence = refusal(write_data_dir, tmp_path, rows)
    assert sentence.startswith(f"Speaker a in {tmp_path} is given as m and as f")


@pytest.mark.parametrize(
    "name", ["", "a b", "a\u3000b", "a\tb", "a\nb", "a\0", "\ufeffa"]
)
def test_ids_with_white_space_are_refused(tmp_path, name):
    sentence = bad(tmp_path, id=name)
    assert sentence.startswith(f"The utterance id {name!r} in {tmp_path} is empty or")
    assert bad(tmp_path, speaker=name).startswith(f"The speaker id {name!r} in ")


def test_values_that_do_not_fit_on_a_line_are_refused(tmp_path):
    sentence = bad(tmp_path, text="one\ntwo")
    assert sentence.startswith(f"Utterance s-1 in {tmp_path}: its text cannot stand")
    assert "('one\\ntwo')" in sentence
    assert "its audio cannot" in bad(tmp_path, audio=os.fsdecode(b"caf\xe9.wav"))
    assert "its lang cannot" in bad(tmp_path, lang="ca\t")
    assert f"s-1 in {tmp_path} has no audio" in bad(tmp_path, audio="")
    sentence = bad(tmp_path, labels={"gender": "female"})
    assert f"s-1 in {tmp_path} has gender 'female'" in sentence
    assert "has age 'thirty two': write one word" in bad(
        tmp_path, labels={"age": "thirty two"}
    )
    for label in ("", "lang", "num_samples", "a/b", "1st"):
        assert f"has the label '{label}'" in bad(tmp_path, labels={label: "x"})
    for duration in (0.0, -1.0, float("nan"), float("inf")):
        sentence = bad(tmp_path, duration=duration)
        assert f"s-1 in {tmp_path} has duration {duration}" in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_table_is_refused_with_its_line(tmp_path):
    path = tmp_path / "wav.scp"
    for content, said in (
        (b"a 1\n b\n", ", line 2, has no id"),
        (b"a 1\n\nb 2\n", ", line 2, has no id"),
        (b"a 1\nb 2\na 3\n", ", line 3: id a appears twice"),
        (b"a 1\nb caf\xe9\n", ", line 2, is not UTF-8 text (invalid continuation byte"),
    ):
        path.write_bytes(content)
        assert refusal(read_table, path).startswith(f"{path}{said}")
    path.unlink()
    said = f"{path} cannot be read (No such file or directory)"
    assert refusal(read_table, path).startswith(said)


def test_a_table_may_have_a_mark_tabs_crlf_and_no_last_line_feed(tmp_path):
    path = tmp_path / "wav.scp"
    path.write_bytes("\ufeffa\t1 2\r\nb  x\u2028y \r\nc".encode())
    assert read_table(path) == {"a": "1 2", "b": "x\u2028y", "c": ""}


def test_malformed_values_are_refused_with_their_line(tmp_path):
    rows = [Utterance("a-1", "a", "a.wav"), Utterance("a-2", "a", "a.wav")]
    write_data_dir(tmp_path, rows)
    for value in ("soon", "0", "-1", "nan", "inf", ""):
        (tmp_path / "utt2dur").write_text(f"a-1 1.5\na-2 {value}\n")
        said = f"{tmp_path}/utt2dur, line 2: a-2 has duration '{value}'"
        assert refusal(read_data_dir, tmp_path).startswith(said)
    (tmp_path / "utt2gender").write_text("a-1 female\n")
    said = f"{tmp_path}/utt2gender, line 1: a-1 has gender 'female'"
    assert refusal(read_data_dir, tmp_path).startswith(said)


def test_different_utterances_in_two_files_are_refused(tmp_path):
    write_data_dir(tmp_path, [Utterance("a-1", "a", "a.wav")])
    (tmp_path / "utt2spk").write_text("a-2 a\n")
    said = f"Utterance a-1 of {tmp_path}/wav.scp is not in utt2spk"
    assert refusal(read_data_dir, tmp_path).startswith(said)


def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path):
    (tmp_path / "file").touch()
    sentence = refusal(
        write_data_dir, tmp_path / "file/data", [Utterance("a-1", "a", "a.wav")]
    )
    assert sentence.startswith(f"{tmp_path}/file/data/")
    assert "cannot be written (Not a directory)" in sentence
