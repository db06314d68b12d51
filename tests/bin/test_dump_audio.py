import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet2_cltm.bin.dump_audio import main
from espnet2_cltm.corpus.datadir import Utterance, write_data_dir

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe directory with three languages, one of them with half its audio."""
    monkeypatch.chdir(tmp_path)
    tone = 0.1 * np.sin(np.arange(16000) / 10)
    for lang, n_missing in {"ca": 0, "es": 2, "ur": 0}.items():
        for split in ("train", "test"):
            utterances = []
            for index in range(4):
                clip = tmp_path / f"{lang}-{split}-{index}.wav"
                if index >= n_missing:
                    soundfile.write(clip, tone, 16000)
                utterances.append(
                    Utterance(f"{split}s-{index}", f"{split}s", str(clip), "f", lang)
                )
            write_data_dir(tmp_path / "data/demo" / lang / split, utterances)
    return tmp_path


def test_a_failing_language_does_not_stop_the_others(recipe, capsys):
    with pytest.raises(SystemExit) as status:
        main(["--corpus", "demo"])
    assert status.value.code == 1
    output, errors = capsys.readouterr()
    assert "ca: 0.00 hours, 8 utterances kept, none rejected\n" in output
    assert "ur: 0.00 hours, 8 utterances kept, none rejected\n" in output
    assert "es: 4 of 8 utterances (50.0%) cannot be used" in errors
    assert "1 of 3 languages have no complete audio store (es)" in errors
    assert (recipe / "dump/demo/ur/train/wav.scp").exists()
    assert not (recipe / "dump/demo/es/train/wav.scp").exists()


def test_what_was_rejected_is_counted_by_reason(recipe, capsys):
    main(["--corpus", "demo", "--langs", "es", "--max_rejected", "0.5"])
    assert capsys.readouterr().out == (
        "es: 0.00 hours, 4 utterances kept, 4 rejected (4 missing)\n"
    )
    main(["--corpus", "demo", "--langs", "es", "--max_rejected", "0.5"])
    assert capsys.readouterr().out == (
        "es: 0.00 hours, 4 utterances kept, 4 rejected (4 missing); all decoded "
        "before, skipped\n"
    )


@pytest.mark.parametrize("langs", [["ur ca"], ["ur", "ca", "ur"]])
def test_only_the_languages_asked_for_are_decoded(recipe, capsys, langs):
    main(["--corpus", "demo", "--langs", *langs])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in lines] == ["ur:", "ca:"]
    assert not (recipe / "dump/demo/es").exists()


def test_an_unknown_language_is_refused_with_the_known_ones(recipe, capsys):
    with pytest.raises(SystemExit) as status:
        main(["--corpus", "demo", "--langs", "ur", "xx"])
    assert status.value.code == 1
    assert "data/demo has no xx, only ca, es, ur: correct" in capsys.readouterr().err
    assert not (recipe / "dump").exists()


def test_a_corpus_that_is_not_prepared_is_said(recipe, capsys):
    with pytest.raises(SystemExit) as status:
        main(["--corpus", "other"])
    assert status.value.code == 1
    assert "data/other holds no data directories" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--nj", "0", "takes a whole number from 1 on, not '0'"),
        ("--nj", "x", "takes a whole number from 1 on, not 'x'"),
        ("--max_rejected", "5", "takes a number from 0 to 1, not '5'"),
        ("--max_rejected", "x", "takes a number from 0 to 1, not 'x'"),
    ],
)
def test_impossible_options_are_refused(recipe, capsys, option, value, sentence):
    with pytest.raises(SystemExit) as status:
        main(["--corpus", "demo", option, value])
    assert status.value.code == 2
    assert f"argument {option}: {sentence}\n" in capsys.readouterr().err


def test_the_script_of_the_recipe_runs(recipe):
    options = ["--corpus", "demo", "--langs", "ca", "--nj", "2"]
    result = subprocess.run(
        [sys.executable, ROOT / "local" / "dump_audio.py", *options],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("ca: ")
