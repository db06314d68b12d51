"""Stage 2 for an experiment: it decodes what stage 3 draws, which is what it was."""

import re
import shutil

import numpy as np
import pytest
import soundfile
import yaml

from espnet2_cltm.bin.dump_audio import main as dump_audio
from espnet2_cltm.bin.make_plan import main as make_plan
from espnet2_cltm.bin.prepare_data import main as prepare_data
from espnet2_cltm.corpus.stored import read_split, read_undecoded
from espnet2_cltm.corpus.utterance_list import read_utterance_list
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from tests.corpus.test_kaldi import make_split
from tests.speech import TINY_GENDER, TINY_SPEAKER

N_TRAIN = 40  # speakers of two utterances


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Stage 1 of two languages; every sixth file of ca's train is not audio."""
    root = tmp_path_factory.mktemp("prepared")
    for lang in ("ca", "es"):
        for split, n in (("train", N_TRAIN), ("dev", 4), ("test", 8)):
            speakers = {f"{split}{k:02d}": "fm"[k % 2] for k in range(n)}
            make_split(root / "corpus" / lang / split, speakers)
    for n, clip in enumerate(sorted((root / "corpus").rglob("*.wav"))):
        if {"ca", "train"} <= {*clip.parts} and n % 6 == 0:
            clip.write_bytes(b"RIFF, but no audio")
        else:
            noise = 0.1 * np.random.default_rng(n).standard_normal(2400 + 16 * n)
            soundfile.write(clip, noise, 16000)
    where = ["--corpus", "kaldi", "--datadir", str(root / "data")]
    prepare_data([*where, "--corpus_dir", str(root / "corpus")])
    for task, config in (("gender", TINY_GENDER), ("speaker", TINY_SPEAKER)):
        (root / f"{task}.yaml").write_text(yaml.safe_dump(config))
    return root


class Experiment:
    """Stages 2 and 3 below a directory."""

    def __init__(self, prepared, root, *more):
        self.exp = ExperimentDir(root / "exp")
        self.store = root / "dump/kaldi"
        self.stage_2 = [
            *("--corpus", "kaldi", "--datadir", str(prepared / "data")),
            *("--dumpdir", str(root / "dump"), "--max_rejected", "0.5"),
        ]
        self.stage_3 = [
            *("--exp", str(self.exp.root), "--corpus", "kaldi"),
            *("--dumpdir", str(root / "dump"), "--steps", "data"),
            *("--gender_config", str(prepared / "gender.yaml")),
            *("--speaker_config", str(prepared / "speaker.yaml")),
            *more,
        ]

    def decode_all(self):
        dump_audio(self.stage_2)

    def decode(self, *more):
        dump_audio([*self.stage_2, "--", *self.stage_3, *more])

    def plan(self, *more):
        make_plan([*self.stage_3, *more])

    def lists(self):
        """All that is drawn, but for the place of the audio."""
        return {
            str(path.relative_to(self.exp.root)): [
                (u.utt, u.label, u.num_samples, u.speaker)
                for u in read_utterance_list(path)
            ]
            for path in sorted((self.exp.root / "data").rglob("*.tsv"))
        }

    def trials(self):
        return {p.name: p.read_text() for p in self.exp.root.rglob("*.trials")}

    def decoded(self, lang):
        return {u.id for u in read_split(self.store / lang / "train")[0]}


@pytest.mark.parametrize(
    "asked",
    [
        ("--task", "gender", "--gender_budget", "4"),
        ("--task", "speaker", "--speaker_budget", "5"),
        ("--task", "gender speaker", "--gender_budget", "3", "--speaker_budget", "7"),
        ("--task", "gender", "--regime_budgets", "2 4 64"),
    ],
)
def test_what_is_drawn_is_what_a_whole_store_gives(prepared, tmp_path, asked):
    seeds = ("--seeds", "42 43 44")
    whole = Experiment(prepared, tmp_path / "whole", *asked, *seeds)
    whole.decode_all()
    whole.plan()
    part = Experiment(prepared, tmp_path / "part", *asked, *seeds)
    part.decode()
    part.plan()
    assert part.lists() == whole.lists()
    assert part.trials() == whole.trials()
    assert read_plan(part.exp.plan) == read_plan(whole.exp.plan)
    for lang in ("ca", "es"):
        assert part.decoded(lang) <= whole.decoded(lang)
        for split in ("dev", "test"):
            stored = (one.store / lang / split for one in (part, whole))
            ours, theirs = ([u.id for u in read_split(x)[0]] for x in stored)
            assert ours == theirs


def test_a_growing_experiment_decodes_only_what_is_missing(prepared, tmp_path, capsys):
    asked = ("--task", "gender", "--gender_budget", "3", "--seeds")
    grown = Experiment(prepared, tmp_path / "grown", *asked)
    grown.decode("42 43")
    first = grown.decoded("ca")
    arks = {p: p.stat().st_mtime_ns for p in grown.store.rglob("*.ark")}
    assert 0 < len(first) < 2 * N_TRAIN
    capsys.readouterr()
    grown.decode("42 43")
    assert (
        capsys.readouterr().out.count("not decoded; all decoded before, skipped") == 2
    )
    with pytest.raises(SystemExit):
        grown.plan("42 43 44")
    said = capsys.readouterr().err
    assert "drawn from ca" in said and "run stage 2" in said and "--decode all" in said
    assert not grown.exp.plan.exists()
    grown.decode("42 43 44")
    assert first < grown.decoded("ca")
    assert (
        arks.items()
        <= {p: p.stat().st_mtime_ns for p in grown.store.rglob("*.ark")}.items()
    )
    grown.plan("42 43 44")
    whole = Experiment(prepared, tmp_path / "whole", *asked, "42 43 44")
    whole.decode_all()
    whole.plan()
    assert grown.lists() == whole.lists()
    # The rest comes without decoding anything twice, and nothing is left.
    grown.decode_all()
    assert grown.decoded("ca") == whole.decoded("ca")
    assert read_undecoded(grown.store / "ca/train") == []
    grown.plan("42 43 44")
    # A store that is made anew has its audio elsewhere.
    shutil.rmtree(grown.store)
    grown.decode_all()
    grown.plan("42 43 44")
    for path in grown.exp.root.rglob("train.*.tsv"):
        stored = {
            u.audio for u in read_split(grown.store / path.parts[-2] / "train")[0]
        }
        assert {u.audio for u in read_utterance_list(path)} <= stored


def test_a_language_with_too_many_bad_recordings_is_refused(prepared, tmp_path, capsys):
    one = Experiment(prepared, tmp_path, "--task", "gender", "--gender_budget", "2")
    one.stage_2[-1] = "0.05"
    with pytest.raises(SystemExit):
        one.decode()
    said = capsys.readouterr()
    assert re.search(r"ca: \d+ of \d+ utterances .* no more than 5\.0%", said.err)
    assert "es: " in said.out and not (one.store / "ca/train/wav.scp").exists()
