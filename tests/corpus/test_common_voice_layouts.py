"""Common Voice in the forms in which people have it."""

import shutil
from pathlib import Path

import pytest

from espnet2_cltm.corpus.common_voice import COMMON_VOICE, load_language
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.corpus.language import CorpusOptions
from espnet2_cltm.corpus.prepare import choose_languages, prepare
from espnet2_cltm.errors import UserError
from tests.corpus.test_common_voice import client, make_language, row, table

RELEASE = "cv-corpus-{}.0-2026-03-09"
SPONTANEOUS = ["client_id", "audio_id", "audio_file", "duration_ms", "transcription"]
SPONTANEOUS += ["age", "gender", "accents", "variant", "language", "split"]


def spontaneous(root: Path, lang: str = "ca", splits=SPLITS) -> None:
    (root / "audios").mkdir(parents=True)
    rows = []
    for split in splits:
        clip = f"spontaneous-speech-{lang}-{split}.mp3"
        rows.append(
            {
                **{"client_id": client(split), "audio_file": clip, "split": split},
                **{"gender": "female_feminine", "duration_ms": "1500"},
                "transcription": "bon dia",
            }
        )
        (root / "audios" / clip).touch()
    (root / f"ss-corpus-{lang}.tsv").write_text(table(rows, SPONTANEOUS))


def mirror(root: Path, lang: str = "ca", packed: bool = False) -> None:
    make_language(root, lang)
    clips = {"train": "t.mp3", "dev": "d.mp3", "test": "e.mp3"}
    for split, clip in clips.items():
        (root / "transcript" / lang).mkdir(parents=True, exist_ok=True)
        (root / lang / f"{split}.tsv").rename(root / f"transcript/{lang}/{split}.tsv")
        shard = root / f"audio/{lang}/{split}/{lang}_{split}_0"
        if packed:
            shard.parent.mkdir(parents=True)
            shard.with_suffix(".tar").touch()
        else:
            shard.mkdir(parents=True)
            (shard / clip).touch()
    shutil.rmtree(root / lang)


def archives(root: Path, *numbers: int, lang: str = "ca") -> None:
    for number in numbers:
        make_language(
            root / f"mcv-scripted-{lang}-v{number}.0" / RELEASE.format(number)
        )


def one_language(root: Path) -> None:
    make_language(root.parent, root.name)


def named_after_its_archive(root: Path) -> None:
    make_language(root, "mcv-scripted-ca-v25.0")


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (make_language, "clips"),
        (lambda root: make_language(root / RELEASE.format(22)), "clips"),
        (lambda root: archives(root, 25), "clips"),
        (lambda root: archives(root, 9, 25, 24), "mcv-scripted-ca-v25.0"),
        (named_after_its_archive, "clips"),
        (mirror, "audio/ca"),
        (lambda root: spontaneous(root / "sps-corpus-3.0-2026-03-09-ca"), "audios"),
        (spontaneous, "audios"),
    ],
)
def test_a_layout_is_read_or_found_below(tmp_path, make, place):
    make(tmp_path)
    assert choose_languages(COMMON_VOICE, tmp_path) == ["ca"]
    language = load_language(tmp_path, "ca", CorpusOptions())
    assert all(len(language.splits[split]) == 1 for split in SPLITS)
    assert not language.rejected
    for split in SPLITS:
        (utterance,) = language.splits[split]
        assert place in utterance.audio and Path(utterance.audio).exists()
        assert utterance.labels["gender"] in "fm"
    inputs = COMMON_VOICE.list_inputs(tmp_path, "ca", CorpusOptions())
    assert any(path.suffix == ".tsv" for path in inputs)


def test_one_language_is_a_corpus(tmp_path):
    make_language(tmp_path, "ca")
    assert choose_languages(COMMON_VOICE, tmp_path / "ca") == ["ca"]
    language = load_language(tmp_path / "ca", "ca", CorpusOptions())
    assert len(language.splits["train"]) == 1


def test_spontaneous_speech_has_durations_and_counts_rows_of_no_split(tmp_path):
    spontaneous(tmp_path, splits=[*SPLITS, ""])
    language = load_language(tmp_path, "ca", CorpusOptions())
    assert language.splits["dev"][0].duration == 1.5
    assert language.splits["dev"][0].text == "bon dia"
    assert [r.reason for r in language.rejected] == ["row of no split"]


@pytest.mark.parametrize("suffix", ["wav", "flac", "opus", "WAV"])
def test_converted_clips_are_found_and_told(tmp_path, suffix):
    corpus = make_language(tmp_path)
    for clip in (corpus / "ca/clips").iterdir():
        clip.rename(clip.with_suffix(f".{suffix}"))
    language = load_language(corpus, "ca", CorpusOptions())
    assert language.splits["train"][0].audio.endswith(f"t.{suffix}")
    assert language.notes == [
        f"3 clips are .{suffix} files, which the tables name otherwise"
    ]


def test_the_newest_of_several_releases_is_taken_and_told(tmp_path, capsys):
    archives(tmp_path / "a", 24, 25)
    make_language(tmp_path / "a/cv-corpus-26.0-delta-2026-06-01", "ca")
    (tmp_path / "a/cv-corpus-26.0-delta-2026-06-01/ca/test.tsv").unlink()
    spontaneous(tmp_path / "a/sps-corpus-27.0-ca")
    prepare(COMMON_VOICE, tmp_path / "a", [], tmp_path / "data", CorpusOptions())
    said = capsys.readouterr().out
    place = tmp_path / "a/mcv-scripted-ca-v25.0" / RELEASE.format(25) / "ca"
    assert f"ca: taken from {place}, and not from " in said
    # Told again by a second call, which has nothing to do.
    prepare(COMMON_VOICE, tmp_path / "a", [], tmp_path / "data", CorpusOptions())
    assert f"ca: taken from {place}, and not from " in capsys.readouterr().out


def test_two_places_that_may_be_either_are_asked_about(tmp_path):
    make_language(tmp_path / "mine")
    make_language(tmp_path / "yours")
    make_language(tmp_path / "mine", "es")
    assert choose_languages(COMMON_VOICE, tmp_path) == ["es"]
    with pytest.raises(UserError, match=r"ca lies both in \S+ and in .*--corpus_dir"):
        choose_languages(COMMON_VOICE, tmp_path, ["es", "ca"])


@pytest.mark.parametrize("release", ["cv-corpus-22.0", "cv-corpus-22.0-delta-2025"])
def test_a_language_that_lacks_a_table_is_told_and_refused_when_asked(
    tmp_path, release, capsys
):
    make_language(tmp_path, "es")
    make_language(tmp_path / release, "ca")
    (tmp_path / release / "ca/dev.tsv").unlink()
    prepare(COMMON_VOICE, tmp_path, [], tmp_path / "data", CorpusOptions())
    why = "is of a delta release" if "delta" in release else "has no dev.tsv"
    said = capsys.readouterr().out
    assert f"ca is not prepared: {tmp_path / release}/ca {why}" in said
    assert "[1/1] es: " in said
    with pytest.raises(UserError, match=why):
        prepare(COMMON_VOICE, tmp_path, ["es", "ca"], tmp_path, CorpusOptions())
    shutil.rmtree(tmp_path / "es")
    with pytest.raises(UserError, match=why):
        choose_languages(COMMON_VOICE, tmp_path)


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    ("make", "given", "said"),
    [
        (lambda root: touch(root / "mcv-ca.tar.gz"), ".", r"extract \S+mcv-ca.tar.gz"),
        (lambda root: touch(root / "cv.tgz"), "cv.tgz", "is an archive: extract it"),
        (lambda root: touch(root / "ca/train-0.parquet"), ".", "with the audio in it"),
        (lambda root: touch(root / "ca/train/wav.scp"), ".", "give --corpus kaldi"),
        (make_language, "ca/clips", "within one language's directory; give .*/ca "),
        (lambda root: None, ".", "extract the archives of the languages there"),
    ],
)
def test_other_directories_are_told_what_they_are(tmp_path, make, given, said):
    make(tmp_path)
    with pytest.raises(UserError, match=said):
        choose_languages(COMMON_VOICE, tmp_path / given)


def test_a_mirror_whose_shards_are_packed_is_told_so(tmp_path):
    mirror(tmp_path, packed=True)
    with pytest.raises(UserError, match=r"extract \S+audio/ca/\S+_0\.tar and the arch"):
        load_language(tmp_path, "ca", CorpusOptions())


def test_clips_in_directories_of_their_own_are_found_behind_links_too(tmp_path):
    rows = [row("a", "sub/t.mp3"), row("a", "u.mp3")]
    corpus = make_language(tmp_path / "cv", train=rows, clips=["d.mp3", "e.mp3"])
    touch(corpus / "ca/clips/0/t.mp3")
    touch(tmp_path / "other_disk/u.mp3")
    (corpus / "ca/clips/1").symlink_to(tmp_path / "other_disk")
    language = load_language(corpus, "ca", CorpusOptions())
    assert len(language.splits["train"]) == 2
