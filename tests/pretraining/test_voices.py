"""Voices: one of each utterance, scaled by the training set, made piece by piece."""

import kaldiio
import numpy as np
import pytest

from espnet2_cltm.bin import hubert_voices
from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.features import describe_voice
from espnet2_cltm.pretraining.voices import read_voice_size
from tests.speech import write_dump


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    directory = tmp_path_factory.mktemp("voices") / "dump" / "demo"
    write_dump(directory, ["es", "tr"], {"train": 2, "dev": 1})
    return directory


def make(dump, outdir, *options):
    hubert_voices.main(["--dump", str(dump), "--outdir", str(outdir), *options])
    return outdir


@pytest.fixture(scope="module")
def made(dump, tmp_path_factory):
    return make(dump, tmp_path_factory.mktemp("made") / "voices")


def vectors(outdir, split):
    return {
        utt: kaldiio.load_mat(location)
        for utt, location in read_table(outdir / split / "voice.scp").items()
    }


def test_every_utterance_has_its_voice_scaled_by_the_training_set(dump, made):
    raw = {
        split: {
            utt: describe_voice(load_audio(location))
            for lang in ("es", "tr")
            for utt, location in read_table(dump / lang / split / "wav.scp").items()
        }
        for split in ("train", "dev")
    }
    heard = np.stack(list(raw["train"].values()))
    for split, rows in raw.items():
        found = vectors(made, split)
        assert found.keys() == rows.keys()
        for utt, row in rows.items():
            wanted = (row - heard.mean(axis=0)) / heard.std(axis=0)
            wanted[-2:] *= 3
            np.testing.assert_allclose(found[utt], wanted, rtol=1e-3, atol=1e-3)
    assert read_voice_size(made) == 81


def test_processes_do_not_matter(dump, made, tmp_path):
    again = make(dump, tmp_path / "voices", "--nj", "2")
    for split in ("train", "dev"):
        for utt, vector in vectors(again, split).items():
            np.testing.assert_array_equal(vector, vectors(made, split)[utt])


def test_what_is_there_is_not_made_again(dump, made, tmp_path, capsys):
    copy = tmp_path / "voices"
    make(dump, copy)
    pieces = sorted((copy / "languages").glob("*.scp"))
    (copy / "train" / "voice.scp").unlink()
    pieces[0].unlink()
    times = {path: path.stat().st_mtime_ns for path in pieces[1:]}
    make(dump, copy)
    assert times == {path: path.stat().st_mtime_ns for path in pieces[1:]}
    assert vectors(copy, "train").keys() == vectors(made, "train").keys()
    capsys.readouterr()
    make(dump, copy)
    assert "all voices were made before, skipped" in capsys.readouterr().out


def test_those_of_other_languages_are_refused(dump, made, capsys):
    with pytest.raises(SystemExit):
        make(dump, made, "--langs", "es")
    assert "holds targets of another setting (langs" in capsys.readouterr().err


def test_voices_that_are_not_there_are_named(tmp_path):
    with pytest.raises(UserError, match="run the stage that makes voices"):
        read_voice_size(tmp_path)
