import pytest

from espnet2_cltm.bin.validate_data import main
from espnet2_cltm.corpus.datadir import Utterance, write_data_dir


@pytest.fixture
def language(tmp_path):
    for split, speaker, labels in (
        ("train", "a", {"gender": "f"}),
        ("dev", "b", {}),
        ("test", "c", {"gender": "m"}),
    ):
        rows = [Utterance(f"{speaker}-{n}", speaker, "x.wav", labels) for n in (1, 2)]
        write_data_dir(tmp_path / "ca" / split, rows)
    return tmp_path / "ca"


def fail(capsys, *options: str) -> tuple[list[str], str]:
    with pytest.raises(SystemExit) as leaving:
        main(list(options))
    assert leaving.value.code == 1
    output = capsys.readouterr()
    return output.out.splitlines(), output.err.split(": error: ", 1)[1]


def test_valid_directories_are_counted(language, capsys):
    main([str(language)])
    assert capsys.readouterr().out.splitlines() == [
        f"{language}/train: valid, 2 utterances of 1 speakers (1 f)",
        f"{language}/dev: valid, 2 utterances of 1 speakers (1 unknown)",
        f"{language}/test: valid, 2 utterances of 1 speakers (1 m)",
    ]


def test_a_directory_given_twice_is_checked_once(language, capsys):
    main([str(language / "dev"), str(language / "dev")])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_problems_of_all_directories_are_listed_before_status_1(language, capsys):
    (language / "train/utt2gender").write_text("a-1 female\na-2 f\n")
    write_data_dir(language / "test", [Utterance("b-1", "b", "x.wav")])
    lines, error = fail(capsys, str(language))
    assert lines == [
        f"{language}/train/utt2gender:1: gender of a-1 is 'female', not m or f.",
        f"{language}/train/utt2gender:1: speaker a is female here but f in "
        "spk2gender:1.",
        f"{language}/dev: valid, 2 utterances of 1 speakers (1 unknown)",
        f"{language}/test: valid, 1 utterances of 1 speakers (1 unknown)",
        f"{language}/test/utt2spk:1: speaker b is also in dev.",
    ]
    assert error == (
        "3 problems in 3 data directories, listed above as file:line: correct them and "
        "run again.\n"
    )


def test_a_missing_split_is_a_problem(language, capsys):
    for path in (language / "dev").iterdir():
        path.unlink()
    (language / "dev").rmdir()
    lines, _ = fail(capsys, str(language))
    assert f"{language}/dev: the directory is missing." in lines


def test_options_are_heeded(language, capsys):
    lines, _ = fail(capsys, str(language / "dev"), "--require_labels", "gender")
    assert lines == [f"{language}/dev/utt2gender: the file is missing."]
    lines, error = fail(capsys, str(language / "dev"), "--check_audio", "true")
    assert lines == [
        f"{language}/dev/wav.scp:{n}: audio of b-{n}, x.wav, does not exist."
        for n in (1, 2)
    ]
    assert error.startswith("2 problems in 1 data directory, listed above")


def test_a_place_without_data_is_refused(tmp_path, capsys):
    _, error = fail(capsys, str(tmp_path / "nowhere"))
    assert error == (
        f"{tmp_path}/nowhere holds no data directory (one with wav.scp and utt2spk): "
        "correct the path, or run stage 1.\n"
    )
