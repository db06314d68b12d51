import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from espnet2_cltm.bin.prepare_data import get_parser, main
from espnet2_cltm.bin.validate_data import main as validate
from espnet2_cltm.corpus.language import CorpusSpec
from espnet2_cltm.errors import UserError
from espnet2_cltm.registry import find_corpus
from tests.corpus.test_common_voice import CV_MINI, make_language, row

ROOT = Path(__file__).parents[2]


@pytest.fixture
def release(tmp_path) -> Path:
    for lang in ("ca", "es", "zh-CN"):
        tables = {
            split: [
                row(f"{split}{s}", f"{split}{s}.mp3", "male" if s % 2 else "female")
                for s in range(4)
            ]
            for split in ("train", "dev", "test")
        }
        make_language(tmp_path / "cv", lang, **tables)
    return tmp_path / "cv"


def run(release: Path, *options: str) -> None:
    datadir = str(release.parent / "data")
    place = ["--corpus", "common_voice", "--corpus_dir", str(release)]
    main([*place, "--datadir", datadir, *options])


def prepared(release: Path) -> list[str]:
    return sorted(
        path.name for path in (release.parent / "data/common_voice").iterdir()
    )


def refusal(capsys, *options: str) -> str:
    with pytest.raises(SystemExit) as leaving:
        main(list(options))
    assert leaving.value.code == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.split(": error: ", 1)[1]


def test_languages_are_one_text(release):
    run(release, "--langs", "ca  es")
    assert prepared(release) == ["ca", "es"]


def test_all_languages_are_prepared_by_default(release, capsys):
    run(release, "--langs", "")
    assert prepared(release) == ["ca", "es", "zh-CN"]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "[1/3] ca",
        "[2/3] es",
        "[3/3] zh-CN",
    ]


def test_options_reach_the_corpus(release):
    emotions = release / "ca.csv"
    emotions.write_text("path,emotion\ntrain0.mp3,joy\n")
    labels = ("--labels", f"{release}/{{lang}}.csv", "--require_labels", "")
    run(release, "--langs", "ca", "--max_train_utts", "2", *labels)
    train = release.parent / "data/common_voice/ca/train"
    assert len((train / "wav.scp").read_text().splitlines()) == 2
    record = json.loads((train.parent / "prepared.json").read_text())
    assert str(emotions) in record["made_from"]["inputs"]
    assert record["made_from"]["require_labels"] == []


def test_an_unknown_corpus_is_refused_with_the_known_ones(capsys):
    sentence = refusal(capsys, "--corpus", "timit")
    assert "timit" in sentence and "common_voice, demo, demo_words, kaldi" in sentence


def test_an_unknown_language_is_refused_with_the_known_ones(release, capsys):
    options = ["--corpus", "common_voice", "--corpus_dir", str(release)]
    sentence = refusal(capsys, *options, "--langs", "ca xx")
    assert "xx" in sentence and str(release) in sentence and "ca es zh-CN" in sentence


def test_languages_joined_by_plus_are_refused(release, capsys):
    with pytest.raises(SystemExit):
        run(release, "--langs", "zh-CN ca+es")
    error = capsys.readouterr().err
    assert "--langs: takes language codes" in error and "'zh-CN ca+es'" in error


def test_a_corpus_lies_where_db_sh_says(release, capsys, monkeypatch):
    monkeypatch.chdir(release.parent)
    monkeypatch.delenv("COMMON_VOICE", raising=False)
    sentence = refusal(capsys, "--corpus", "common_voice")
    assert "COMMON_VOICE in db.sh" in sentence and "--corpus_dir" in sentence
    monkeypatch.setenv("COMMON_VOICE", str(release))
    main(["--corpus", "common_voice", "--langs", "ca"])
    assert prepared(release) == ["ca"]


def test_a_corpus_has_a_place_of_its_own():
    corpus = CorpusSpec("own", list, list, default_dir="downloads/own")
    assert corpus.choose_directory("", {}) == Path("downloads/own")
    with pytest.raises(UserError, match="known: give it with --corpus_dir"):
        replace(corpus, default_dir="").choose_directory("", {})


def test_a_failing_language_ends_in_status_1_after_the_others(release, capsys):
    (release / "ca/dev.tsv").write_text("")
    options = ["--corpus", "common_voice", "--corpus_dir", str(release)]
    error = refusal(capsys, *options, "--datadir", str(release.parent / "data"))
    assert error.startswith("1 of 3 languages could not be prepared (ca): ")
    assert (release.parent / "data/common_voice/zh-CN/prepared.json").exists()


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--max_train_utts", "-1", "takes a whole number, at least 0, not '-1'"),
        ("--max_test_utts", "some", "takes a whole number, at least 0, not 'some'"),
        ("--nj", "0", "takes a whole number, at least 1, not '0'"),
        ("--use_validated", "perhaps", "takes true or false, not 'perhaps'"),
    ],
)
def test_values_that_make_no_sense_are_refused(capsys, option, value, sentence):
    with pytest.raises(SystemExit) as leaving:
        main([option, value])
    assert leaving.value.code == 2
    assert f"argument {option}: {sentence}" in capsys.readouterr().err


def test_the_defaults_prepare_the_demo():
    args = get_parser().parse_args([])
    assert (args.corpus, args.datadir, args.langs) == ("demo", "data", ())
    for name in ("demo", "demo_words"):
        config = find_corpus(name).choose_config(args.demo_config or "")
        assert config.name == f"{name}.yaml" and config.is_file()


def without_espnet(directory: Path) -> dict[str, str]:
    """An environment in which importing ESPnet or PyTorch fails."""
    for name in ("espnet2", "espnet", "torch"):
        directory.joinpath(name).mkdir(parents=True)
        directory.joinpath(name, "__init__.py").write_text("raise ImportError\n")
    return os.environ | {"PYTHONPATH": f"{directory}{os.pathsep}{ROOT}"}


def test_the_scripts_of_stage_1_run_without_espnet(release):
    data = release.parent / "data"
    environment = without_espnet(release.parent / "hidden")
    command = [sys.executable, str(ROOT / "local/prepare_data.py")]
    command += ["--corpus", "common_voice", "--corpus_dir", str(release)]
    command += ["--datadir", str(data), "--langs", "ca es"]
    subprocess.run(command, env=environment, check=True)
    assert os.access(ROOT / "local/prepare_data.py", os.X_OK)
    command = [sys.executable, str(ROOT / "local/validate_data.py"), str(data)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 6


def test_the_real_sample_becomes_valid_directories(tmp_path, capsys):
    if not CV_MINI.is_dir():
        pytest.skip(f"{CV_MINI} is absent")
    run(CV_MINI, "--datadir", str(tmp_path), "--use_validated", "true")
    validate([str(tmp_path), "--check_audio", "true", "--require_labels", "gender"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[1/2] pl: train 480 utterances (160 f + 320 m) from 3 ")
    assert lines[0].endswith("; none dropped")
    assert (
        f"{tmp_path}/common_voice/ur/test: valid, 160 utterances of 9 speakers"
        in (lines[-1])
    )
