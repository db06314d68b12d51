import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from espnet2_cltm.corpus.common_voice import COMMON_VOICE
from espnet2_cltm.corpus.datadir import SPLITS, Utterance, read_data_dir
from espnet2_cltm.corpus.demo import DEMO
from espnet2_cltm.corpus.kaldi import KALDI
from espnet2_cltm.corpus.language import CorpusOptions, LanguageSplits
from espnet2_cltm.corpus.options import LANGS
from espnet2_cltm.corpus.prepare import (
    DONE,
    choose_languages,
    prepare,
    prepare_language,
)
from espnet2_cltm.corpus.validate import validate_language
from espnet2_cltm.errors import UserError
from espnet2_cltm.language_codes import CODE_RULE
from tests.corpus.test_common_voice import make_language, row
from tests.corpus.test_kaldi import make_split

ROOT = Path(__file__).parents[2]


def balanced(split: str, speakers: int = 4, clips: int = 3) -> list[dict[str, str]]:
    return [
        row(f"{split}{s}", f"{split}{s}_{c}.mp3", "male" if s % 2 else "female")
        for s in range(speakers)
        for c in range(clips)
    ]


@pytest.fixture
def release(tmp_path) -> Path:
    for lang in ("ca", "es"):
        tables = {split: balanced(split) for split in ("train", "dev", "test")}
        tables["train"] += [row("train0", "x.mp3", "other"), row("n", "y.mp3", "")]
        make_language(tmp_path / "cv", lang, **tables)
    return tmp_path / "cv"


def run(release: Path, langs=(), corpus=COMMON_VOICE, **options) -> list[str]:
    lines: list[str] = []
    datadir = release.parent / "data"
    prepare(corpus, release, langs, datadir, CorpusOptions(**options), lines.append)
    return lines


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_every_language_becomes_valid_directories_and_a_list_of_what_was_dropped(
    release,
):
    run(release)
    data = release.parent / "data/common_voice"
    for lang in ("ca", "es"):
        assert validate_language(data / lang, check_audio=True) == []
        assert len(read_data_dir(data / lang / "train")) == 12
        assert (data / lang / "rejected.tsv").read_text() == (
            "split\titem\treason\n"
            "train\tx.mp3\tgender is 'other'\n"
            "train\ty.mp3\tgender not given\n"
        )


def test_one_line_a_language_counts_what_is_kept_and_dropped(release):
    assert run(release, ["ca"]) == [
        "[1/1] ca: train 12 utterances (6 f + 6 m) from 4 speakers (2 f + 2 m); "
        "dev 12 utterances (6 f + 6 m) from 4 speakers (2 f + 2 m); "
        "test 12 utterances (6 f + 6 m) from 4 speakers (2 f + 2 m); "
        "dropped 2 (gender is 'other': 1, gender not given: 1)"
    ]


def test_what_is_complete_and_unchanged_is_skipped(release):
    first = run(release)
    before = contents(release.parent / "data")
    again = run(
        release,
        corpus=replace(COMMON_VOICE, load_language=lambda *_: pytest.fail("loaded")),
    )
    data = release.parent / "data/common_voice"
    assert again == [
        f"{line} (skipped: {data}/{lang} is complete and its input and options are "
        "unchanged)"
        for line, lang in zip(first, ("ca", "es"), strict=True)
    ]
    assert contents(release.parent / "data") == before


def test_changed_input_or_options_or_lost_files_are_prepared_again(release):
    def skipped(**options) -> bool:
        return "(skipped: " in run(release, ["ca"], **options)[0]

    for options in ({}, {"max_train_utts": 4}, {"max_train_utts": 4, "seed": 1}, {}):
        assert [skipped(**options), skipped(**options)] == [False, True]
    table = release / "ca/train.tsv"
    table.write_text(table.read_text().replace("other", "female"))
    assert [skipped(), skipped()] == [False, True]
    (release / "ca/clips/train0_0.mp3").unlink()
    assert [skipped(), skipped()] == [False, True]
    directory = release.parent / "data/common_voice/ca"
    assert len(read_data_dir(directory / "train")) == 12
    (directory / "dev/utt2lang").unlink()
    assert [skipped(), skipped()] == [False, True]
    (directory / "prepared.json").write_text("{half")
    assert [skipped(), skipped()] == [False, True]


def test_the_number_of_processes_changes_nothing(release):
    run(release, ["ca"], nj=1)
    assert "(skipped: " in run(release, ["ca"], nj=4)[0]


def test_limits_are_balanced_listed_and_the_same_every_time(release):
    limits = {"max_train_utts": 5, "max_test_utts": 4, "seed": 7}
    line = run(release, ["ca"], **limits)[0]
    directory = release.parent / "data/common_voice/ca"
    genders = {
        split: Counter(utt.labels["gender"] for utt in read_data_dir(directory / split))
        for split in ("train", "dev", "test")
    }
    assert sorted(genders["train"].values()) == [2, 3]
    assert genders["dev"] == genders["test"] == {"f": 2, "m": 2}
    assert line.endswith(
        "dropped 25 (gender is 'other': 1, gender not given: 1, over the limit of 4: "
        "16, over the limit of 5: 7)"
    )
    rejected = (directory / "rejected.tsv").read_text().splitlines()
    assert rejected[1:] == sorted(rejected[1:])
    assert sum(line.endswith("\tover the limit of 5") for line in rejected) == 7
    before = contents(directory)
    (directory / "prepared.json").unlink()
    run(release, ["ca"], **limits)
    assert contents(directory) == before


def test_a_language_without_a_gender_is_prepared_with_one_line_about_it(release):
    men = [{**item, "gender": "male"} for item in balanced("train")]
    make_language(release, "ca", train=men, dev=balanced("dev"), test=balanced("test"))
    lines = run(release, ["ca"])
    assert lines[1:] == [
        "[1/1] ca: too few speakers of a gender (train has "
        "no female speakers); stage 3 decides in which tasks it takes part"
    ]
    assert len(read_data_dir(release.parent / "data/common_voice/ca/train")) == 12


def test_a_language_with_one_speaker_of_a_gender_is_pointed_out(release):
    make_language(
        release,
        "ca",
        train=balanced("train"),
        dev=balanced("dev", speakers=2),
        test=balanced("test", speakers=2),
    )
    assert run(release, ["ca"])[1:] == [
        "[1/1] ca: very few speakers of a gender (test has 1 "
        "female speaker, test has 1 male speaker); stage 3 decides in which tasks it "
        "takes part"
    ]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("gender", ["", "other"])
def test_a_language_keeps_unlabelled_utterances_where_a_split_has_no_others(
    release, split, gender
):
    table = [{**item, "gender": gender} for item in balanced(split)]
    make_language(release, "ca", **{split: table})
    lines = run(release)
    assert lines[1].startswith(f"[1/2] ca: no usable utterance of {split} has ")
    assert "gender" in lines[1] and "stage 3 leaves ca out" in lines[1]
    assert f"{split} 12 utterances (0 f + 0 m + 12 unknown)" in lines[0]
    assert len(lines) == 3
    assert lines[2].startswith("[2/2] es: train 12 utterances (6 f + 6 m)")
    data = release.parent / "data/common_voice"
    assert validate_language(data / "ca", check_audio=True) == []
    assert not (data / "ca" / split / "utt2gender").exists()
    # The other language still gives up its unlabelled rows.
    assert "gender not given" in (data / "es/rejected.tsv").read_text()
    before = contents(data)
    assert ["(skipped: " in line for line in run(release)] == [True, False, True]
    assert run(release)[1] == lines[1]
    assert contents(data) == before


def test_a_language_without_any_gender_is_one_line(release):
    tables = {
        split: [{**item, "gender": ""} for item in balanced(split)] for split in SPLITS
    }
    make_language(release, "ca", **tables)
    lines = run(release, ["ca"])
    assert lines[0] == (
        "[1/1] ca: train 12 utterances from 4 speakers; dev 12 utterances from 4 "
        "speakers; test 12 utterances from 4 speakers; none dropped"
    )
    assert len(lines) == 2
    assert "no usable utterance of train and dev and test has" in lines[1]
    assert run(release, ["ca"], require_labels=()) == lines[:1]


def test_several_labels_may_be_required(release):
    tables = {
        split: [
            item | {"age": "" if item["path"].endswith("_2.mp3") else "teens"}
            for item in balanced(split)
        ]
        for split in SPLITS
    }
    make_language(release, "ca", **tables)
    lines = run(release, ["ca"], require_labels=("gender", "age"))
    assert len(lines) == 1
    assert lines[0].endswith("dropped 12 (age not given: 12)")
    lines = run(release, ["es"], require_labels=("gender", "age"))
    assert "train 12 utterances" in lines[0] and "gender not given: 1" in lines[0]
    assert "no usable utterance of train and dev and test has" in lines[1]
    assert "age" in lines[1]


def test_a_table_of_labels_is_joined_and_is_one_of_the_inputs(release):
    pattern = f"{release}/{{lang}}/emotion.tsv"
    rows = {
        f"{split}{s}_{c}": ("joy", "anger")[c % 2]
        for split in SPLITS
        for s in range(4)
        for c in range(3)
    }
    for lang in ("ca", "es"):
        lines = [f"{clip}.mp3\t{emotion}\n" for clip, emotion in rows.items()]
        (release / lang / "emotion.tsv").write_text("path\temotion\n" + "".join(lines))
    (release / "es/emotion.tsv").open("a").write("gone.mp3\tjoy\n")
    first = run(release, labels=pattern)
    assert "36 utterances" in first[1] and f"{release}/ca/emotion.tsv" in first[1]
    assert "1 of its 37 rows" in first[3]
    data = release.parent / "data/common_voice"
    train = read_data_dir(data / "ca/train")
    assert all(u.labels["emotion"] == rows[u.id.split("-")[2]] for u in train)
    assert validate_language(data / "ca") == []
    again = run(release, labels=pattern)
    assert ["(skipped: " in line for line in again] == [True, False, True, False]
    assert again[1::2] == first[1::2]
    (release / "ca/emotion.tsv").write_text("path\temotion\ntrain0_0\tfear\n")
    changed = run(release, labels=pattern)
    assert ["(skipped: " in line for line in changed[::2]] == [False, True]
    assert "1 utterance;" in changed[1]
    (release / "es/emotion.tsv").unlink()
    with pytest.raises(UserError, match="1 of 2 languages"):
        run(release, labels=pattern)
    run(release)
    assert not (data / "ca/train/utt2emotion").exists()


def test_labels_that_come_later_are_taken(release):
    tables = {split: balanced(split) for split in SPLITS}
    unlabelled = [{**item, "gender": ""} for item in balanced("dev")]
    make_language(release, "ca", **tables | {"dev": unlabelled})
    assert len(run(release, ["ca"])) == 2
    make_language(release, "ca", **tables)
    lines = run(release, ["ca"])
    assert len(lines) == 1
    assert "dev 12 utterances (6 f + 6 m)" in lines[0]


def test_a_language_of_kaldi_directories_keeps_them_too(tmp_path):
    corpus = tmp_path / "own"
    make_split(corpus / "ca/train", {"s1": "f", "s2": "m"})
    make_split(corpus / "ca/dev", {"s3": "f"}, spk2gender=None)
    make_split(corpus / "ca/test", {"s4": "f", "s5": "m"}, spk2gender="")
    for _ in range(2):
        lines = run(corpus, corpus=KALDI)
        assert len(lines) == 2
        assert "no usable utterance of dev and test has" in lines[1]
    assert "(skipped: " in lines[0]
    assert len(read_data_dir(tmp_path / "data/kaldi/ca/dev")) == 2


def test_a_split_that_is_empty_for_other_reasons_is_reported(release):
    # Without a gender or with one, their speakers belong to test.
    shared = [row(f"test{s}", f"dev{s}.mp3", "") for s in range(4)]
    tables = {"train": balanced("train"), "test": balanced("test")}
    make_language(release, "ca", dev=shared, **tables)
    with pytest.raises(UserError) as error:
        run(release, ["ca"])
    rejected = release.parent / "data/common_voice/ca/rejected.tsv"
    assert str(error.value).startswith(
        f"{release}/ca: no utterance of dev is left (4 (speaker is also in test: 4) "
        f"dropped; see {rejected})"
    )
    assert rejected.read_text().count("\tspeaker is also in test\n") == 4


def test_a_table_without_rows_is_reported(release):
    make_language(release, "ca", test=[])
    said = rf"{release}/ca: no utterance of test is left \(it is empty; see "
    with pytest.raises(UserError, match=said):
        run(release, ["ca"])


def test_a_failing_language_does_not_stop_the_others(release):
    make_language(release, "ba", dev="")
    make_language(release, "zz", test=b"\xff\xfe")
    lines: list[str] = []
    datadir = release.parent / "data"
    with pytest.raises(UserError) as error:
        prepare(COMMON_VOICE, release, (), datadir, CorpusOptions(), lines.append)
    assert str(error.value).startswith("2 of 4 languages could not be prepared (ba zz)")
    assert lines[0].startswith(f"[1/4] ba: failed: {release}/ba/dev.tsv is empty")
    assert lines[1].startswith("[2/4] ca: train 12 utterances")
    assert lines[3].startswith(
        f"[4/4] zz: failed: {release}/zz/test.tsv, line 1, is not"
    )
    assert (datadir / "common_voice/es/prepared.json").exists()


def test_a_failed_language_is_not_taken_for_prepared(release):
    run(release, ["ca"])
    done = release.parent / "data/common_voice/ca/prepared.json"
    assert done.exists()
    (release / "ca/test.tsv").write_text("")
    with pytest.raises(UserError):
        run(release, ["ca"])
    assert not done.exists()


def test_a_corpus_that_breaks_the_rules_is_found_out(release):
    def load_language(*_) -> LanguageSplits:
        utterance = Utterance("s-1", "s", "a.wav", {"gender": "f"})
        return LanguageSplits({split: [utterance] for split in SPLITS})

    with pytest.raises(UserError) as error:
        run(release, ["ca"], replace(COMMON_VOICE, load_language=load_language))
    directory = release.parent / "data/common_voice/ca"
    assert str(error.value) == (
        f"{directory}/dev/utt2spk:1: speaker s is also in train. (2 problems in "
        f"{directory}; 'python3 -m espnet2_cltm.bin.validate_data {directory}' lists "
        "them.) Correct the corpus and run again."
    )
    assert not (directory / "prepared.json").exists()


def test_a_corpus_without_list_inputs_is_compared_by_what_it_gives(release):
    corpus = replace(COMMON_VOICE, list_inputs=None)
    assert "(skipped: " not in run(release, ["ca"], corpus)[0]
    assert "(skipped: " in run(release, ["ca"], corpus)[0]
    (release / "ca/clips/train0_0.mp3").unlink()
    assert "(skipped: " not in run(release, ["ca"], corpus)[0]


def test_unprintable_items_stay_on_one_line_of_rejected(release):
    strange = row("q", "a\x0bb\x85c.mp3", "")
    make_language(release, "ca", train=[*balanced("train"), strange])
    run(release, ["ca"])
    rejected = release.parent / "data/common_voice/ca/rejected.tsv"
    assert rejected.read_text().splitlines() == [
        "split\titem\treason",
        "train\ta b c.mp3\tgender not given",
    ]


def test_killed_at_any_file_it_starts_again_and_gives_the_same(release):
    run(release, ["ca"])
    data = release.parent / "data"
    expected = contents(data)
    program = (
        "import os, signal, sys\n"
        "from espnet2_cltm import files\n"
        "from espnet2_cltm.corpus import common_voice, datadir, prepare\n"
        "from espnet2_cltm.corpus.language import CorpusOptions\n"
        "left, real = int(sys.argv[3]), files.write_text\n"
        "def write_text(path, text):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left < 0:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(path, text)\n"
        "datadir.write_text = files.write_text = write_text\n"
        "prepare.prepare(common_voice.COMMON_VOICE, sys.argv[1], ['ca'],\n"
        "                sys.argv[2], CorpusOptions())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for files_written in (0, 5, 12, 18):
        other = release.parent / f"data{files_written}"
        command = [sys.executable, "-c", program, release, other, str(files_written)]
        killed = subprocess.run(command, env=environment, check=False)
        assert killed.returncode == -9
        assert not (other / "common_voice/ca/prepared.json").exists()
        prepare(COMMON_VOICE, release, ["ca"], other, CorpusOptions(), lambda _: None)
        assert contents(other) == expected


def test_the_record_of_what_it_was_made_from_can_be_read(release):
    outcome = prepare_language(
        COMMON_VOICE, release, "ca", release.parent / "data", CorpusOptions()
    )
    record = json.loads((outcome.directory / DONE).read_text())
    assert record["made_from"]["inputs"][f"{release}/ca/train.tsv"][0] > 0
    assert record["speakers"]["test"] == {"f": 2, "m": 2}
    assert set(record["files"]) < set(contents(outcome.directory))


@pytest.mark.parametrize("function", ["load_language", "list_languages"])
def test_a_file_that_the_system_refuses_is_one_sentence(release, function):
    # Permissions don't stop root, under which tests may run.
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/locked/train.tsv")

    said = r"/locked/train\.tsv cannot be read \(Permission denied\)"
    with pytest.raises(UserError, match=said):
        run(release, ["ca"], replace(COMMON_VOICE, **{function: refuse}))


LANGUAGES = [f"l{number:02d}" for number in range(54)]


@pytest.fixture
def corpus_dir(tmp_path):
    for lang in reversed(LANGUAGES):
        for split in ("train", "dev", "test"):
            (tmp_path / lang / split).mkdir(parents=True)
    return tmp_path


def test_no_languages_means_all(corpus_dir):
    assert choose_languages(KALDI, corpus_dir) == LANGUAGES
    assert choose_languages(KALDI, corpus_dir, []) == LANGUAGES


def test_languages_keep_their_order_and_are_taken_once(corpus_dir):
    assert choose_languages(KALDI, corpus_dir, ["l07", "l01", "l07"]) == [
        "l07",
        "l01",
    ]


def test_unknown_languages_are_refused_with_the_known_ones(corpus_dir):
    with pytest.raises(UserError) as error:
        choose_languages(KALDI, corpus_dir, ["l07", "xx"])
    assert str(error.value).startswith(f"xx of --langs is not in {corpus_dir} (kaldi)")
    assert " ".join(LANGUAGES) in str(error.value)


ODD = ["my lang", "ca\tes", "ca\u00a0es", "ca+es", "a,b", "a;b", "a~b", 'a"b', "-x"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("corpus", [COMMON_VOICE, KALDI])
def test_a_directory_whose_name_is_no_language_code_is_refused(tmp_path, corpus, odd):
    for lang in ("aa", odd):
        (tmp_path / lang / "train").mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / lang / f"{split}.tsv").touch()
    with pytest.raises(UserError) as error:
        choose_languages(corpus, tmp_path)
    assert str(error.value) == (
        f"{str(tmp_path / odd)!r} cannot be a language's directory, as a language code "
        f"has {CODE_RULE}: rename it, or choose other languages with --langs."
    )
    assert choose_languages(corpus, tmp_path, ["aa"]) == ["aa"]
    with pytest.raises(UserError, match=r"^xx of --langs .*: choose from aa;"):
        choose_languages(corpus, tmp_path, ["xx"])


def test_languages_that_differ_in_case_only_are_refused(tmp_path):
    for lang in ("ca", "CA"):
        (tmp_path / lang / "train").mkdir(parents=True)
    with pytest.raises(UserError, match=r"languages CA and ca of .* in case only"):
        choose_languages(KALDI, tmp_path)


@pytest.mark.parametrize("odd", [*ODD[3:], "..", "x" * 41, "ca ca", "ca CA", "a/b"])
def test_an_option_of_languages_takes_codes_each_once(odd):
    with pytest.raises(ValueError, match="--langs takes language codes"):
        LANGS.read_given(odd)
    assert LANGS.read_given("zh-CN nan-tw ca_1 català")[2:] == ("ca_1", "català")


def test_every_language_of_the_demo_has_a_code(tmp_path):
    pytest.importorskip("espeakng_loader", reason="the demo's synthesiser is absent")
    assert choose_languages(DEMO, tmp_path)


def test_what_a_spreadsheet_would_run_is_quoted_and_labels_are_bounded(tmp_path):
    rows = [
        row("a", "t.mp3", accents="=cmd|' /C calc'!A0"),
        row("x", "u.mp3", accents="x" * 5000, age="-1"),
        row("a", "=gone.mp3"),
    ]
    clips = ["t.mp3", "u.mp3", "d.mp3", "e.mp3"]
    corpus = make_language(tmp_path / "cv", train=rows, clips=clips)
    prepare(COMMON_VOICE, corpus, ["ca"], tmp_path / "data", CorpusOptions())
    directory = tmp_path / "data/common_voice/ca"
    labels = {
        Path(utt.audio).name: utt.labels for utt in read_data_dir(directory / "train")
    }
    assert labels["t.mp3"]["accents"] == "'=cmd|'_/C_calc'!A0"
    assert labels["u.mp3"] == {"accents": "x" * 80, "age": "-1", "gender": "m"}
    assert "\t'=gone.mp3\t" in (directory / "rejected.tsv").read_text()
    table = tmp_path / "own.tsv"
    table.write_text(f"clip\temotion\nt.mp3\t{'y' * 5000}\n")
    with pytest.raises(UserError, match=r"has emotion 'y{110,}\.\.\. write one"):
        prepare(
            COMMON_VOICE,
            corpus,
            ["ca"],
            tmp_path / "more",
            CorpusOptions(labels=str(table)),
        )
