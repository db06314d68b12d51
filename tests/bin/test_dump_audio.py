import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet2_cltm.bin.dump_audio import main
from espnet2_cltm.bin.prepare_data import main as prepare_data
from espnet2_cltm.corpus.datadir import SPLITS, Utterance, read_data_dir, write_data_dir
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import DrawingRules, UnfitLanguage
from tests.corpus.test_common_voice import make_language, row
from tests.corpus.test_kaldi import make_split

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
                    Utterance(
                        f"{split}s-{index}",
                        f"{split}s",
                        str(clip),
                        {"gender": "f"},
                        lang,
                    )
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


def test_only_the_languages_asked_for_are_decoded(recipe, capsys):
    main(["--corpus", "demo", "--langs", "ur ca"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in lines] == ["ur:", "ca:"]
    assert not (recipe / "dump/demo/es").exists()


def test_an_unknown_language_is_refused_with_the_known_ones(recipe, capsys):
    with pytest.raises(SystemExit) as status:
        main(["--corpus", "demo", "--langs", "ur xx"])
    assert status.value.code == 1
    said = capsys.readouterr().err
    assert "data/demo has no data directories of xx, only of ca, es, ur: " in said
    assert not (recipe / "dump").exists()


def test_a_corpus_that_is_not_prepared_is_said(recipe, capsys):
    with pytest.raises(SystemExit) as status:
        main(["--corpus", "other"])
    assert status.value.code == 1
    assert "data/other holds no data directories" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--nj", "0", "takes a whole number, at least 1, not '0'"),
        ("--nj", "x", "takes a whole number, at least 1, not 'x'"),
        ("--max_rejected", "5", "takes a share from 0 to 1"),
        ("--max_rejected", "x", "takes a share from 0 to 1"),
    ],
)
def test_impossible_options_are_refused(recipe, capsys, option, value, sentence):
    with pytest.raises(SystemExit) as status:
        main(["--corpus", "demo", option, value])
    assert status.value.code == 2
    assert f"argument {option}: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["common_voice", "kaldi"])
def test_a_language_without_genders_in_dev_comes_through_stages_1_and_2(
    tmp_path, capsys, layout
):
    corpus = tmp_path / "corpus"
    if layout == "kaldi":
        for split in SPLITS:
            make_split(corpus / "ca" / split, {f"{split}0": "f", f"{split}1": "m"})
        (corpus / "ca/dev/spk2gender").unlink()
    else:
        tables = {
            split: [row(f"{split}{n}", f"{split}{n}.wav", stated[n]) for n in (0, 1)]
            for split, stated in {
                "train": ("female", "male"),
                "dev": ("", "other"),
                "test": ("female", "male"),
            }.items()
        }
        make_language(corpus, "ca", **tables)
    tone = 0.1 * np.sin(np.arange(16000) / 10)
    for clip in corpus.rglob("*.wav"):
        soundfile.write(clip, tone, 16000)
    data, dump = str(tmp_path / "data"), tmp_path / "dump"
    where = ["--corpus", layout, "--datadir", data]
    for skipped in (False, True):
        prepare_data([*where, "--corpus_dir", str(corpus)])
        main([*where, "--dumpdir", str(dump)])
        output = capsys.readouterr().out
        assert output.count("no usable utterance of dev has") == 1
        assert ("(skipped: " in output) == skipped
        assert ("; all decoded before, skipped" in output) == skipped
    splits = {split: read_data_dir(dump / layout / "ca" / split) for split in SPLITS}
    assert all(utt.labels == {} for utt in splits["dev"])
    assert {utt.labels["gender"] for utt in splits["train"]} == {"f", "m"}
    # Stage 3 leaves the language out for the reason that stage 1 has said.
    rules = DrawingRules(budget=0, options={"classes": ["f", "m"]})
    with pytest.raises(UnfitLanguage, match=r"^dev has 0 utterances"):
        find_task("gender").draw(splits, rules, [42])


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
