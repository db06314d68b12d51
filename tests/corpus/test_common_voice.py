import hashlib
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.corpus import common_voice
from espnet2_cltm.corpus.common_voice import list_languages, load_language
from espnet2_cltm.corpus.language import CorpusOptions, LanguageSplits, person_of
from espnet2_cltm.errors import UserError

CV_MINI = Path(__file__).parents[2] / "../shared/corpora/cv-mini"
HEADER_1 = ["client_id", "path", "sentence", "up_votes", "down_votes"]
HEADER_1 += ["age", "gender", "accent"]
HEADER_22 = ["client_id", "path", "sentence_id", "sentence", "sentence_domain"]
HEADER_22 += ["up_votes", "down_votes", "age", "gender", "accents", "variant"]
HEADER_22 += ["locale", "segment"]
ALL = ["t.mp3", "d.mp3", "e.mp3"]  # the clips of make_language's own tables


def client(number: int | str) -> str:
    """A client_id as Common Voice gives it: 128 hexadecimal characters."""
    return hashlib.sha512(str(number).encode()).hexdigest()


def table(rows: list[dict[str, str]], header: list[str] = HEADER_22) -> str:
    lines = ["\t".join(header)]
    lines += ["\t".join(row.get(name, "") for name in header) for row in rows]
    return "\n".join(lines) + "\n"


def row(speaker: int | str, clip: str, gender: str = "male_masculine", **more: str):
    return {"client_id": client(speaker), "path": clip, "gender": gender, **more}


def make_language(corpus_dir: Path, lang: str = "ca", clips=(), **tables) -> Path:
    """Write a language; tables are text or rows, clips default to all named in rows."""
    directory = corpus_dir / lang
    (directory / "clips").mkdir(parents=True, exist_ok=True)
    given = {
        "train": [row("a", "t.mp3")],
        "dev": [row("b", "d.mp3")],
        "test": [row("c", "e.mp3")],
    } | tables
    names = set(clips)
    for name, content in given.items():
        if isinstance(content, list):
            if not clips:
                names |= {item["path"] for item in content}
            content = table(content)
        if isinstance(content, str):
            content = content.encode()
        (directory / f"{name}.tsv").write_bytes(content)
    for name in names:
        (directory / "clips" / name).touch()
    return corpus_dir


def load(corpus_dir: Path, **options) -> LanguageSplits:
    return load_language(corpus_dir, "ca", CorpusOptions(**options))


def rejections(language: LanguageSplits) -> list[tuple[str, str, str]]:
    return sorted((r.split, r.item, r.reason) for r in language.rejected)


def labels(language: LanguageSplits, label: str) -> dict[int, str | None]:
    """A label of train by the number that is the clip's name."""
    train = language.splits["train"]
    return {int(Path(utt.audio).stem): utt.labels.get(label) for utt in train}


def clip_names(language: LanguageSplits, split: str) -> list[str]:
    return sorted(Path(utt.audio).name for utt in language.splits[split])


def test_old_and_new_gender_values_are_understood(tmp_path):
    values = ["male", "female", "male_masculine", "female_feminine", "Female"]
    rows = [row(n, f"{n}.mp3", value) for n, value in enumerate(values)]
    language = load(make_language(tmp_path, train=rows))
    assert labels(language, "gender") == {0: "m", 1: "f", 2: "m", 3: "f", 4: "f"}
    assert language.rejected == []


def test_other_gender_values_are_no_label_and_their_names_are_kept(tmp_path):
    values = ["other", "non-binary", "do_not_wish_to_say", "transgender", "intersex"]
    rows = [row(n, f"{n}.mp3", value) for n, value in enumerate([*values, ""])]
    language = load(make_language(tmp_path, train=rows))
    assert labels(language, "gender") == dict.fromkeys(range(6))
    unusable = {
        (utt.rpartition("-")[2], label): why
        for (utt, label), why in language.unusable.items()
    }
    assert unusable == {
        (str(n), "gender"): f"gender is '{value}'" for n, value in enumerate(values)
    }


def test_age_accents_and_variant_are_labels_of_one_word(tmp_path):
    rows = [
        row(0, "0.mp3", age="teens", accents=" Southern  Irish,slight\u00a0lisp "),
        row(1, "1.mp3", "", variant="pt-BR : Brasil"),
    ]
    language = load(make_language(tmp_path, train=rows))
    assert [utt.labels for utt in language.splits["train"]] == [
        {"gender": "m", "age": "teens", "accents": "Southern_Irish,slight_lisp"},
        {"variant": "pt-BR_:_Brasil"},
    ]
    old = table([row(0, "0.mp3", accent="valencia")], HEADER_1)
    language = load(make_language(tmp_path, train=old, clips=["0.mp3", *ALL]))
    assert labels(language, "accents") == {0: "valencia"}


def test_a_speaker_who_states_both_genders_is_rejected_whole_in_every_table(tmp_path):
    train = [row("x", "1.mp3", "male"), row("x", "2.mp3", "male"), row("a", "t.mp3")]
    validated = [row("x", "3.mp3", "female")]
    corpus = make_language(tmp_path, train=train, validated=validated)
    assert clip_names(load(corpus), "train") == ["1.mp3", "2.mp3", "t.mp3"]
    language = load(corpus, use_validated=True)
    assert clip_names(language, "train") == ["t.mp3"]
    assert rejections(language) == [
        ("train", f"{n}.mp3", "speaker states both genders") for n in (1, 2, 3)
    ]


def test_speakers_leave_train_first_and_then_dev(tmp_path):
    corpus = make_language(
        tmp_path,
        train=[row(n, f"t{n}.mp3") for n in (1, 2, 3)],
        dev=[row(n, f"d{n}.mp3") for n in (2, 4, 5)],
        test=[row(n, f"e{n}.mp3") for n in (3, 4)],
    )
    language = load(corpus)
    assert clip_names(language, "train") == ["t1.mp3"]
    assert clip_names(language, "dev") == ["d2.mp3", "d5.mp3"]
    assert clip_names(language, "test") == ["e3.mp3", "e4.mp3"]
    assert rejections(language) == [
        ("dev", "d4.mp3", "speaker is also in test"),
        ("train", "t2.mp3", "speaker is also in dev"),
        ("train", "t3.mp3", "speaker is also in test"),
    ]


def test_validated_adds_new_clips_of_speakers_of_neither_dev_nor_test(tmp_path):
    corpus = make_language(
        tmp_path,
        train=[row("a", "t.mp3")],
        dev=[row("b", "d.mp3")],
        test=[row("c", "e.mp3")],
        validated=[
            row("a", "t.mp3"),
            row("b", "d.mp3"),
            row("c", "e.mp3"),
            row("a", "new_of_a.mp3"),
            row("b", "new_of_b.mp3"),
            row("c", "new_of_c.mp3"),
            row("z", "new_of_z.mp3"),
        ],
    )
    assert clip_names(load(corpus), "train") == ["t.mp3"]
    language = load(corpus, use_validated=True)
    assert clip_names(language, "train") == ["new_of_a.mp3", "new_of_z.mp3", "t.mp3"]
    assert rejections(language) == [
        ("train", "new_of_b.mp3", "speaker is also in dev"),
        ("train", "new_of_c.mp3", "speaker is also in test"),
    ]


def test_one_recording_under_two_clients_stays_in_test_alone(tmp_path):
    corpus = make_language(
        tmp_path, train=[row("a", "t.mp3"), row("x", "e.mp3")], test=[row("c", "e.mp3")]
    )
    language = load(corpus)
    assert clip_names(language, "train") == ["t.mp3"]
    assert rejections(language) == [("train", "e.mp3", "clip is also in test")]


def test_a_clip_listed_twice_is_taken_once(tmp_path):
    corpus = make_language(tmp_path, train=[row("a", "t.mp3"), row("a", "t.mp3")])
    language = load(corpus)
    assert clip_names(language, "train") == ["t.mp3"]
    assert rejections(language) == [("train", "t.mp3", "clip listed twice")]


def test_a_clip_that_is_not_there_is_rejected(tmp_path):
    train = [row("a", "t.mp3"), row("a", "gone.mp3")]
    corpus = make_language(tmp_path, train=train, clips=ALL)
    language = load(corpus)
    assert rejections(language) == [("train", "gone.mp3", "clip missing")]


def test_mostly_missing_clips_are_reported_in_one_sentence(tmp_path):
    corpus = make_language(tmp_path, clips=["d.mp3"])
    said = rf"2 of the 3 clips .* not in {tmp_path}/ca/clips \(the first is e\.mp3\)"
    with pytest.raises(UserError, match=said):
        load(corpus)


def test_a_missing_clips_directory_is_reported(tmp_path):
    shutil.rmtree(make_language(tmp_path) / "ca/clips")
    with pytest.raises(UserError, match=rf"3 of the 3 clips .* not in {tmp_path}/ca "):
        load(tmp_path)


def test_unbalanced_quotes_are_ordinary_characters(tmp_path):
    rows = [
        row("a", "1.mp3", sentence='"Never closed'),
        row("a", "2.mp3", sentence='He said "no'),
        row("a", "3.mp3", sentence='"""'),
        row("a", "4.mp3", sentence="l'últim"),
    ]
    language = load(make_language(tmp_path, train=rows))
    texts = {Path(utt.audio).stem: utt.text for utt in language.splits["train"]}
    assert texts == {
        "1": '"Never closed',
        "2": 'He said "no',
        "3": '"""',
        "4": "l'últim",
    }


def test_white_space_and_line_separators_in_a_sentence_become_one_space(tmp_path):
    rows = [row("a", "1.mp3", sentence="one\u2028two\u00a0 three\x85four\rfive\0 ")]
    language = load(make_language(tmp_path, train=rows))
    assert [utt.text for utt in language.splits["train"]] == ["one two three four five"]


def test_an_empty_sentence_gives_no_text(tmp_path):
    language = load(make_language(tmp_path))
    assert [utt.text for utt in language.splits["train"]] == [None]


def test_a_byte_order_mark_and_crlf_change_nothing(tmp_path):
    rows = [row("a", "t.mp3", sentence="Bon dia")]
    plain = load(make_language(tmp_path, train=rows))
    windows = b"\xef\xbb\xbf" + table(rows).replace("\n", "\r\n").encode()
    marked = load(make_language(tmp_path, train=windows))
    assert marked.splits == plain.splits
    assert marked.rejected == []


def test_columns_of_the_first_releases_are_enough(tmp_path):
    rows = [row("a", "t.mp3", "male", sentence="Bon dia")]
    language = load(make_language(tmp_path, train=table(rows, HEADER_1), clips=ALL))
    assert [utt.text for utt in language.splits["train"]] == ["Bon dia"]


def test_columns_may_stand_in_any_order(tmp_path):
    rows = [row("a", "t.mp3", "female", sentence="Bon dia")]
    header = ["gender", "sentence", "new_column", "path", "client_id"]
    language = load(make_language(tmp_path, train=table(rows, header), clips=ALL))
    (utterance,) = language.splits["train"]
    assert (utterance.labels, utterance.text) == ({"gender": "f"}, "Bon dia")


def test_paths_without_mp3_name_the_same_clip(tmp_path):
    corpus = make_language(tmp_path, train=[row("a", "t")], clips=ALL)
    (utterance,) = load(corpus).splits["train"]
    assert utterance.audio == f"{tmp_path}/ca/clips/t.mp3"
    assert utterance.id == f"{utterance.speaker}-t"


def test_rows_of_another_width_are_rejected(tmp_path):
    header = ["client_id", "path", "sentence", "gender", "locale"]
    lines = [
        "\t".join(header),
        f"{client('a')}\tt.mp3\tBon dia\tmale",
        f"{client('a')}\tline.mp3\tBon",
        "dia\tmale\tca",
        f"{client('a')}",
        "\tno_client.mp3\tBon dia\tmale\tca",
        f"{client('a')}\ttab.mp3\tBon\tdia\tmale\t",
        "",
    ]
    corpus = make_language(
        tmp_path, train="\n".join(lines) + "\n", clips=[*ALL, "line.mp3", "tab.mp3"]
    )
    language = load(corpus)
    assert clip_names(language, "train") == ["t.mp3"]
    assert rejections(language) == [
        ("train", "train.tsv line 3", "row with fewer fields than the header"),
        ("train", "train.tsv line 4", "row with fewer fields than the header"),
        ("train", "train.tsv line 5", "row with fewer fields than the header"),
        ("train", "train.tsv line 6", "row without client_id or path"),
        ("train", "train.tsv line 7", "row with more fields than the header"),
    ]


def test_a_table_that_was_saved_with_quotes_is_the_same(tmp_path):
    rows = [row("a", "t.mp3", sentence='Say ""no""'), row("a", "u.mp3")]
    plain = load(make_language(tmp_path, train=rows, clips=[*ALL, "u.mp3"]))
    lines = table(rows).rstrip("\n").split("\n")
    quoted = ("\t".join(f'"{v}"' for v in line.split("\t")) for line in lines)
    again = load(make_language(tmp_path, train="\n".join(quoted) + "\n"))
    assert [u.text for u in again.splits["train"]] == ['Say "no"', None]
    ids = [[utt.id for utt in one.splits["train"]] for one in (plain, again)]
    assert ids[0] == ids[1]


def test_without_a_gender_column_no_gender_is_known(tmp_path):
    dev = table([row("b", "d.mp3")], ["client_id", "path", "sentence"])
    assert (
        load(make_language(tmp_path, dev=dev, clips=ALL)).splits["dev"][0].labels == {}
    )


@pytest.mark.parametrize("missing", ["client_id", "path"])
def test_a_missing_indispensable_column_is_reported(tmp_path, missing):
    header = [name for name in HEADER_1 if name != missing]
    corpus = make_language(tmp_path, test=table([row("c", "e.mp3")], header))
    said = rf"{tmp_path}/ca/test\.tsv has no column '{missing}' .*{', '.join(header)}"
    with pytest.raises(UserError, match=said):
        load(corpus)


def test_an_empty_table_is_reported(tmp_path):
    with pytest.raises(UserError, match=rf"{tmp_path}/ca/test\.tsv is empty"):
        load(make_language(tmp_path, test=""))


def test_a_table_that_is_not_utf8_is_reported_with_its_line(tmp_path):
    text = table([row("a", "t.mp3"), row("a", "u.mp3", sentence="caf\xe9")])
    with pytest.raises(UserError) as error:
        load(make_language(tmp_path, train=text.encode("latin-1")))
    sentence = str(error.value)
    assert sentence.startswith(f"{tmp_path}/ca/train.tsv, line 3, is not UTF-8 text (")
    assert sentence.endswith("): extract the file from the archive again.")


def test_a_missing_validated_table_is_reported(tmp_path):
    said = rf"{tmp_path}/ca/validated\.tsv cannot be read \(No such file"
    with pytest.raises(UserError, match=said):
        load(make_language(tmp_path), use_validated=True)


def test_ids_are_of_one_width_and_free_of_white_space(tmp_path):
    rows = [
        {"client_id": client("a"), "path": "a b\u3000c.mp3", "gender": "male"},
        {"client_id": "Short id", "path": "2.mp3", "gender": "male"},
        {"client_id": "abc", "path": "3.mp3", "gender": "male"},
        {"client_id": client("a").upper(), "path": "4.mp3", "gender": "male"},
    ]
    language = load(make_language(tmp_path, train=rows))
    utterances = {Path(utt.audio).stem: utt for utt in language.splits["train"]}
    assert {len(utt.speaker) for utt in utterances.values()} == {len("ca-") + 16}
    assert len({utt.speaker for utt in utterances.values()}) == 4
    first = utterances["a b\u3000c"]
    digest = hashlib.sha256(client("a").encode()).hexdigest()[:16]
    assert first.speaker == f"ca-{digest}"
    assert first.id == f"{first.speaker}-a_b_c"
    digest = hashlib.sha256(b"abc").hexdigest()[:16]
    assert utterances["3"].speaker == f"ca-{digest}"


@settings(max_examples=50, deadline=None)
@given(clients=st.sets(st.text(min_size=1) | st.integers(0, 9).map(client)))
def test_a_client_is_one_person_in_all_languages_and_nobody_else(clients):
    ca, zh = (common_voice.name_speakers(clients, lang) for lang in ("ca", "zh-CN"))
    people = {who: person_of(name, "ca") for who, name in ca.items()}
    assert people == {who: person_of(name, "zh-CN") for who, name in zh.items()}
    assert len(set(people.values())) == len(clients)
    alone = common_voice.name_speakers(list(clients)[:1], "ca")
    assert alone.items() <= ca.items()


def test_durations_are_taken_where_all_of_a_split_are_known(tmp_path):
    corpus = make_language(tmp_path, dev=[row("b", "d.mp3"), row("b", "d2.mp3")])
    (tmp_path / "ca/clip_durations.tsv").write_text(
        "clip\tduration[ms]\nt.mp3\t6120\nd.mp3\t3000\nd2.mp3\t0\ne.mp3\t1500\n"
    )
    splits = load(corpus).splits
    durations = {s: [utt.duration for utt in splits[s]] for s in splits}
    assert durations == {"train": [6.12], "dev": [None, None], "test": [1.5]}


def test_a_missing_corpus_directory_is_reported(tmp_path):
    said = rf"{tmp_path}/nowhere is not a directory: set COMMON_VOICE .* --corpus_dir"
    with pytest.raises(UserError, match=said):
        list_languages(tmp_path / "nowhere")


TABLE = st.lists(
    st.tuples(
        st.integers(0, 6),  # client
        st.integers(0, 30),  # clip
        st.sampled_from(["male", "female_feminine", "", "other"]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(
    tables=st.fixed_dictionaries(
        {name: TABLE for name in ("train", "dev", "test", "validated")}
    ),
    use_validated=st.booleans(),
)
def test_splits_never_share_speakers_or_clips_and_nothing_vanishes(
    tmp_path_factory, tables, use_validated
):
    tmp_path = tmp_path_factory.mktemp("cv")
    rows = {
        name: [row(who, f"{clip}.mp3", gender) for who, clip, gender in content]
        for name, content in tables.items()
    }
    corpus = make_language(
        tmp_path, **rows, clips=[f"{number}.mp3" for number in range(31)]
    )
    language = load(corpus, use_validated=use_validated)
    speakers = {s: {utt.speaker for utt in language.splits[s]} for s in language.splits}
    clips = {s: clip_names(language, s) for s in language.splits}
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not speakers[one] & speakers[other]
        assert not set(clips[one]) & set(clips[other])
    for names in clips.values():
        assert len(names) == len(set(names))
    genders = {}
    for utterances in language.splits.values():
        for utt in utterances:
            if gender := utt.labels.get("gender"):
                assert genders.setdefault(utt.speaker, gender) == gender
    # Each row of a split is kept or rejected; rows of validated may also be in use.
    dropped = Counter(rejection.split for rejection in language.rejected)
    for split in ("dev", "test"):
        assert len(clips[split]) + dropped[split] == len(tables[split])
    if not use_validated:
        assert len(clips["train"]) + dropped["train"] == len(tables["train"])


def test_the_real_sample_is_read_whole():
    if not CV_MINI.is_dir():
        pytest.skip(f"{CV_MINI} is absent")
    language = load_language(CV_MINI, "ur", CorpusOptions())
    sizes = {split: len(utts) for split, utts in language.splits.items()}
    assert sizes == {"train": 216, "dev": 24, "test": 160}
    genders = Counter(utt.labels["gender"] for utt in language.splits["test"])
    assert genders == {"m": 132, "f": 28}
    assert language.rejected == []
    assert all(Path(utt.audio).is_file() for utt in language.splits["train"])
