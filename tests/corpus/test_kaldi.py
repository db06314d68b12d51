import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.corpus import kaldi
from espnet2_cltm.corpus.audio_places import Segment
from espnet2_cltm.corpus.datadir import SPLITS, Utterance
from espnet2_cltm.corpus.kaldi import KALDI, list_inputs, list_languages, load_language
from espnet2_cltm.corpus.language import CorpusOptions, LanguageSplits, person_of
from espnet2_cltm.corpus.phones import Phone
from espnet2_cltm.corpus.prepare import prepare_language
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.shared_speakers import without_tested


def make_split(directory: Path, speakers: dict[str, str], **files: str) -> None:
    """Two utterances a speaker; ``files`` replaces or adds files, None leaves out."""
    directory.mkdir(parents=True)
    ids = [(f"{speaker}-{n}", speaker) for speaker in speakers for n in (1, 2)]
    for utt, _ in ids:
        (directory / f"{utt}.wav").touch()
    content = {
        "wav.scp": "".join(f"{utt} {directory}/{utt}.wav\n" for utt, _ in ids),
        "utt2spk": "".join(f"{utt} {speaker}\n" for utt, speaker in ids),
        "spk2gender": "".join(f"{s} {gender}\n" for s, gender in speakers.items()),
    }
    for name, text in (content | files).items():
        if text is not None:
            (directory / name.replace("wav_scp", "wav.scp")).write_text(text)


@pytest.fixture
def corpus(tmp_path) -> Path:
    make_split(tmp_path / "ca/train", {"s1": "f", "s2": "m"})
    make_split(tmp_path / "ca/dev", {"s3": "f"})
    make_split(tmp_path / "ca/test", {"s4": "m"})
    return tmp_path


def load(corpus: Path, **options) -> LanguageSplits:
    return load_language(corpus, "ca", CorpusOptions(**options))


def refusal(corpus: Path, **options) -> str:
    with pytest.raises(UserError) as error:
        load(corpus, **options)
    return str(error.value)


def rejections(language: LanguageSplits) -> list[tuple[str, str, str]]:
    return sorted((r.split, r.item, r.reason) for r in language.rejected)


def test_ids_get_language_and_speaker_in_front(corpus):
    train = load(corpus).splits["train"]
    assert [(utt.id, utt.speaker, utt.labels, utt.lang) for utt in train] == [
        ("ca-s1-1", "ca-s1", {"gender": "f"}, "ca"),
        ("ca-s1-2", "ca-s1", {"gender": "f"}, "ca"),
        ("ca-s2-1", "ca-s2", {"gender": "m"}, "ca"),
        ("ca-s2-2", "ca-s2", {"gender": "m"}, "ca"),
    ]


def test_ids_get_the_language_in_front_whatever_they_begin_with(corpus):
    shutil.rmtree(corpus / "ca/train")
    make_split(corpus / "ca/train", {"ca-s1": "f"})
    train = load(corpus).splits["train"]
    assert [(utt.id, utt.speaker) for utt in train] == [
        ("ca-ca-s1-1", "ca-ca-s1"),
        ("ca-ca-s1-2", "ca-ca-s1"),
    ]


OWN_IDS = st.from_regex(r"(ca-|es-|a|-|_){1,3}", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(
    people=st.fixed_dictionaries(
        {(lang, split): st.sets(OWN_IDS) for lang in ("ca", "es") for split in SPLITS}
    ),
    utts=st.lists(OWN_IDS, min_size=1, max_size=3, unique=True),
)
def test_people_and_utterances_stay_as_many_and_nobody_tested_is_trained_on(
    people, utts
):
    """Ids in, as many ids out; one person in two languages by the corpus's own ids."""
    own = {}
    for lang in ("ca", "es"):
        names = [
            (split, speaker, utt if bare else f"{speaker}-{utt}")
            for split in SPLITS
            for speaker in people[lang, split]
            for bare, utt in enumerate(utts)
        ]
        new = kaldi._new_ids([Utterance(u, s, "x") for _, s, u in names], lang)
        assert len(set(new.values())) == len({(s, u) for _, s, u in names})
        assert all(new[s, u].startswith(f"{lang}-{s}-") for _, s, u in names)
        own[lang] = {
            split: [
                Utterance(new[s, u], f"{lang}-{s}", "x")
                for of, s, u in names
                if of == split
            ]
            for split in SPLITS
        }
    tested = {
        lang: {
            split: frozenset(person_of(u.speaker, lang) for u in own[lang][split])
            for split in ("dev", "test")
        }
        for lang in own
    }
    for lang, other in (("ca", "es"), ("es", "ca")):
        for split, barred in (("train", ("dev", "test")), ("dev", ("test",))):
            kept = without_tested(tested, lang, split, own[lang][split])
            left = {person_of(u.speaker, lang) for u in kept}
            expected = people[lang, split].difference(
                *(people[other, b] for b in barred)
            )
            assert left == expected


def test_utt2gender_is_taken_before_spk2gender(corpus):
    (corpus / "ca/train/utt2gender").write_text("s1-1 f\ns2-1 m\ns2-2 m\n")
    language = load(corpus)
    genders = [utt.labels.get("gender") for utt in language.splits["train"]]
    assert genders == ["f", None, "m", "m"]
    own = [language.own_name(utt) for utt in language.splits["train"]]
    assert own == ["s1-1", "s1-2", "s2-1", "s2-2"]


def test_every_table_of_labels_is_taken_and_is_an_input(corpus):
    before = KALDI.list_inputs(corpus, "ca", CorpusOptions())
    (corpus / "ca/train/utt2emotion").write_text("s1-1 anger\ns2-2 joy\n")
    (corpus / "ca/train/spk2age").write_text("s1 teens\n")
    labels = [utt.labels for utt in load(corpus).splits["train"]]
    assert labels == [
        {"age": "teens", "emotion": "anger", "gender": "f"},
        {"age": "teens", "gender": "f"},
        {"gender": "m"},
        {"emotion": "joy", "gender": "m"},
    ]
    added = set(KALDI.list_inputs(corpus, "ca", CorpusOptions())) - set(before)
    assert {path.name for path in added} == {"utt2emotion", "spk2age"}


def test_text_and_durations_are_taken(corpus):
    (corpus / "ca/dev/text").write_text("s3-1 bon\tdia\ns3-2 adéu\n")
    (corpus / "ca/dev/utt2dur").write_text("s3-1 1.5\ns3-2 2\n")
    dev = load(corpus).splits["dev"]
    assert [(utt.text, utt.duration) for utt in dev] == [("bon dia", 1.5), ("adéu", 2)]


def test_times_of_phones_follow_their_utterances(corpus):
    path = corpus / "ca/train/phones.ctm"
    assert path in list_inputs(corpus, "ca", CorpusOptions())
    path.write_text("s1-1 1 0.1 0.2 a\ns1-1 1 0.3 0.1 b\ns2-2 1 0 1 c\n")
    phones = load(corpus).phones
    assert phones == {
        "ca-s1-1": [Phone(0.1, 0.2, "a"), Phone(0.3, 0.1, "b")],
        "ca-s2-2": [Phone(0, 1, "c")],
    }


def test_times_beyond_the_audio_or_of_nothing_are_refused(corpus):
    path = corpus / "ca/train/phones.ctm"
    (corpus / "ca/train/utt2dur").write_text(
        "".join(f"{utt} 0.5\n" for utt in ("s1-1", "s1-2", "s2-1", "s2-2"))
    )
    path.write_text("s1-1 1 0.1 0.9 a\n")
    assert refusal(corpus).startswith(f"{path}, line 1: s1-1 has a phone that ends")
    path.write_text("s4-1 1 0.1 0.2 a\n")
    said = f"{path}, line 1: the directory has no utterance s4-1"
    assert refusal(corpus).startswith(said)


def test_a_shared_speaker_leaves_train(corpus):
    shutil.rmtree(corpus / "ca/train")
    make_split(corpus / "ca/train", {"s1": "f", "s4": "m"})
    language = load(corpus)
    assert {utt.speaker for utt in language.splits["train"]} == {"ca-s1"}
    assert rejections(language) == [
        ("train", "s4-1", "speaker is also in test"),
        ("train", "s4-2", "speaker is also in test"),
    ]


@pytest.mark.parametrize("value", ["female", "F", "1"])
def test_genders_other_than_m_and_f_are_refused_with_their_line(corpus, value):
    path = corpus / "ca/train/utt2gender"
    path.write_text(f"s1-1 f\ns1-2 {value}\n")
    assert refusal(corpus).startswith(f"{path}, line 2: s1-2 has gender '{value}'")
    path.unlink()
    path = corpus / "ca/train/spk2gender"
    path.write_text(f"s1 {value}\ns2 m\n")
    assert refusal(corpus).startswith(f"{path}, line 1: s1 has gender '{value}'")


def test_a_speaker_of_two_genders_is_refused_with_both_places(corpus):
    train = corpus / "ca/train"
    (train / "utt2gender").write_text("s1-1 m\ns1-2 m\ns2-1 m\ns2-2 m\n")
    sentence = refusal(corpus)
    assert sentence.startswith(f"{train}/utt2gender:1: speaker s1 ")
    assert "spk2gender:1" in sentence
    (train / "spk2gender").unlink()
    (train / "utt2gender").write_text("s1-1 f\ns1-2 m\ns2-1 m\ns2-2 m\n")
    assert refusal(corpus).startswith(f"{train}/utt2gender:2: speaker s1 ")


def test_spk2gender_may_name_other_speakers(corpus):
    train = corpus / "ca/train"
    (train / "spk2gender").write_text("s1 f\ns4 m\n")
    assert len(load(corpus).splits["train"]) == 4
    (train / "utt2gender").write_text("s1-1 f\ns2-1 m\n")
    assert len(load(corpus).splits["train"]) == 4


def test_without_a_gender_file_no_gender_is_given(corpus):
    (corpus / "ca/dev/spk2gender").unlink()
    assert [utt.labels for utt in load(corpus).splits["dev"]] == [{}, {}]


def test_segments_are_parts_of_recordings(corpus):
    train = corpus / "ca/train"
    rows = [line.split() for line in (train / "wav.scp").read_text().splitlines()]
    (train / "wav.scp").write_text(f"rec {rows[0][1]}\n")
    segments = [f"{utt} rec {n}.25 {n + 1}\n" for n, (utt, _) in enumerate(rows)]
    (train / "segments").write_text("".join(segments))
    loaded = load(corpus).splits["train"]
    assert {row.audio for row in loaded} == {rows[0][1]}
    assert [row.segment for row in loaded] == [
        Segment("rec", n + 0.25, n + 1) for n in range(len(rows))
    ]
    (train / "segments").write_text("".join([*segments[:-1], f"{rows[-1][0]} rec 2\n"]))
    assert f"{train}/segments, line {len(rows)}: write" in refusal(corpus)
    (train / "segments").write_text("".join(segments).replace(" rec ", " tape "))
    assert "recording tape is not in wav.scp" in refusal(corpus)


def test_a_missing_split_is_refused(corpus):
    (corpus / "ca/dev").rename(corpus / "ca/valid")
    assert refusal(corpus).startswith(f"{corpus}/ca/dev is missing")


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk"])
def test_a_missing_file_is_refused(corpus, name):
    (corpus / "ca/test" / name).unlink()
    assert refusal(corpus).startswith(f"{corpus}/ca/test/{name} is missing")


def test_an_utterance_in_one_file_alone_is_refused(corpus):
    with (corpus / "ca/test/utt2spk").open("a") as lines:
        lines.write("s4-3 s4\n")
    said = f"s4-3 of {corpus}/ca/test/utt2spk is not in wav.scp"
    assert said in refusal(corpus)


def test_an_utterance_without_audio_or_speaker_is_refused(corpus):
    scp = corpus / "ca/test/wav.scp"
    text = scp.read_text()
    scp.write_text(text.splitlines()[0] + "\ns4-2\n")
    assert refusal(corpus).startswith(f"{scp}, line 2: s4-2 has no audio")
    scp.write_text(text)
    (corpus / "ca/test/utt2spk").write_text("s4-1 s4\ns4-2 s4 extra\n")
    assert f"{corpus}/ca/test/utt2spk, line 2: 's4 extra' cannot" in refusal(corpus)


def test_a_partial_utt2dur_is_refused(corpus):
    (corpus / "ca/dev/utt2dur").write_text("s3-1 1.5\n")
    assert f"{corpus}/ca/dev/utt2dur has 1 of 2 utterances" in refusal(corpus)


def test_a_path_relative_to_the_data_directory_is_told_apart(corpus, monkeypatch):
    monkeypatch.chdir(corpus)
    dev = corpus / "ca/dev"
    (dev / "wav.scp").write_text("s3-1 ca/dev/s3-1.wav\ns3-2 s3-2.wav\n")
    sentence = refusal(corpus)
    assert f"{dev}/wav.scp, line 2: s3-2.wav does not exist in {corpus}" in sentence
    assert f"write {dev}/s3-2.wav" in sentence


def test_a_path_relative_to_the_working_directory_is_kept_as_it_is(corpus, monkeypatch):
    monkeypatch.chdir(corpus)
    (corpus / "ca/dev/wav.scp").write_text("s3-1 ca/dev/s3-1.wav\ns3-2 ca/dev/s3-2.wav")
    assert [utt.audio for utt in load(corpus).splits["dev"]] == [
        "ca/dev/s3-1.wav",
        "ca/dev/s3-2.wav",
    ]


def test_a_missing_audio_file_is_rejected_and_most_of_them_are_an_error(corpus):
    train = corpus / "ca/train"
    (train / "s1-2.wav").unlink()
    assert rejections(load(corpus)) == [("train", "s1-2", "audio file missing")]
    # So that stage 1 reads the language again when the file is there.
    assert train / "s1-2.wav" in list_inputs(corpus, "ca", CorpusOptions())
    (train / "s1-1.wav").unlink()
    (train / "s2-2.wav").unlink()
    sentence = refusal(corpus)
    assert f"{train}/wav.scp, line 1: {train}/s1-1.wav does not exist" in sentence
    assert "3 of 4" in sentence and f"{Path.cwd()}" in sentence


def test_a_name_with_nul_is_that_of_a_missing_file(corpus):
    scp = corpus / "ca/train/wav.scp"
    scp.write_text(scp.read_text().replace("s1-2.wav", "s1\0-2.wav"))
    out = corpus / "data"
    prepare_language(KALDI, corpus, "ca", out, CorpusOptions(require_labels=()))
    rejected = (out / "kaldi/ca/rejected.tsv").read_text()
    assert rejected.endswith("train\ts1-2\taudio file missing\n")


def test_pipes_and_archives_are_passed_on(corpus):
    dev = corpus / "ca/dev"
    (dev / "a.ark").touch()
    pipe = "sox /nowhere/x.flac -t wav - |"
    (dev / "wav.scp").write_text(f"s3-1 {dev}/a.ark:19\ns3-2 {pipe}\n")
    assert [utt.audio for utt in load(corpus).splits["dev"]] == [
        f"{dev}/a.ark:19",
        pipe,
    ]


def test_speakers_that_sort_otherwise_than_their_utterances_are_refused(tmp_path):
    make_split(tmp_path / "ca/train", {"s1": "f", "s1-2": "m"})
    make_split(tmp_path / "ca/dev", {"s3": "f"})
    make_split(tmp_path / "ca/test", {"s4": "m"})
    utterances = tmp_path / "ca/train/wav.scp"
    # s1-2-1 comes before s1-x, though s1 comes before s1-2.
    for name in ("wav.scp", "utt2spk"):
        path = tmp_path / "ca/train" / name
        path.write_text(
            path.read_text().replace("s1-1 ", "s1-x ").replace("\ns1-2 ", "\ns1-y ")
        )
    assert utterances.read_text().startswith("s1-x ")
    assert f"ca-s1 and ca-s1-2 of {tmp_path}/ca/train sort" in refusal(tmp_path)


def test_languages_are_directories_with_a_split(corpus):
    (corpus / "eu/train").mkdir(parents=True)
    (corpus / "downloads").mkdir()
    assert list_languages(corpus) == ["ca", "eu"]


def test_wrong_corpus_directories_are_refused(corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    for directory, said in (
        (tmp_path / "nowhere", "is not a directory"),
        (corpus / "ca", f"give {corpus}."),
        (tmp_path / "empty", "put each language's directories"),
    ):
        with pytest.raises(UserError, match=f"^{directory} .*{said}"):
            list_languages(directory)


def test_all_three_splits_come_out(corpus):
    assert tuple(load(corpus).splits) == SPLITS
