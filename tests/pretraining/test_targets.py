"""Targets: whole or absent, the same with any number of processes, mixed."""

import itertools
import json
from pathlib import Path

import kaldiio
import numpy as np
import pytest
from sklearn.cluster import KMeans

from espnet2_cltm.bin import hubert_targets
from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.corpus.demo_config import read_config
from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.crops import count_frames
from espnet2_cltm.pretraining.features import mfcc
from espnet2_cltm.pretraining.targets import (
    TargetSettings,
    chosen_audio,
    nearest_centroids,
)
from tests.speech import write_dump


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    directory = tmp_path_factory.mktemp("targets") / "dump" / "demo"
    write_dump(directory, ["es", "tr"], {"train": 2, "dev": 1})
    return directory


def make(dump, outdir, *options):
    hubert_targets.main(
        [
            *("--dump", str(dump), "--outdir", str(outdir)),
            *("--num_clusters", "8", "--min_seconds", "0.27", "--seed", "3"),
            *options,
        ]
    )
    return outdir


@pytest.fixture(scope="module")
def made(dump, tmp_path_factory):
    return make(dump, tmp_path_factory.mktemp("made") / "targets")


def clusters(outdir, split="train"):
    return {
        utt: kaldiio.load_mat(location)
        for utt, location in read_table(outdir / split / "target.scp").items()
    }


def test_every_frame_has_the_nearest_cluster(dump, made):
    centroids = np.load(made / "kmeans.npy")
    assert centroids.shape == (8, 39)
    audio = read_table(made / "train" / "wav.scp")
    for utt, found in clusters(made).items():
        waveform = load_audio(audio[utt])
        assert found.dtype == np.int32 and len(found) == count_frames(len(waveform))
        frames = mfcc(waveform)
        distances = np.linalg.norm(frames[:, None] - centroids, axis=2)
        assert np.all(
            distances.min(axis=1) + 1e-3 >= distances[np.arange(len(frames)), found]
        )


def test_centroids_are_about_as_good_as_those_of_full_k_means(dump, made):
    frames = np.concatenate(
        [
            mfcc(load_audio(audio))
            for lang in ("es", "tr")
            for audio in read_table(dump / lang / "train" / "wav.scp").values()
        ]
    )
    centroids = np.load(made / "kmeans.npy")
    ours = ((frames - centroids[nearest_centroids(frames, centroids)]) ** 2).sum()
    full = KMeans(8, n_init=3, random_state=0).fit(frames).inertia_
    assert ours < 1.15 * full


def test_hours_are_whole_speakers_and_fewer_are_the_beginning_of_more(dump):
    speakers = read_table(dump / "es/train/utt2spk")
    lengths = read_table(dump / "es/train/utt2num_samples")

    def choose(seconds):
        settings = TargetSettings(
            *(str(dump), ("es",), "mfcc", "", 0, 8, 1000, 0.27, 3), seconds / 3600
        )
        return chosen_audio(settings, "es", "train").keys()

    def last(utts):
        counted = [int(lengths[utt]) / 16000 for utt in utts]
        return sum(seconds for seconds in counted if seconds >= 0.27)

    few, more = choose(0.5), choose(2.0)
    assert few < more and len({speakers[utt] for utt in few}) == 1
    assert last(few) >= 0.5 and last(more) >= 2.0
    with pytest.raises(UserError, match=r"es/train has 0\.0.*--hours"):
        choose(9 * 3600)


def test_utterances_shorter_than_a_crop_are_left_out(dump, made, capsys):
    lengths = read_table(made / "train" / "utt2num_samples")
    every = {
        utt: int(length)
        for lang in ("es", "tr")
        for utt, length in read_table(dump / lang / "train" / "utt2num_samples").items()
    }
    assert {utt for utt, n in every.items() if n >= 0.27 * 16000} == set(lengths)
    assert len(lengths) < len(every)


def test_neighbours_in_the_shape_file_are_of_mixed_languages(made):
    utts = list(read_table(made / "train" / "utt2num_samples"))
    assert utts != sorted(utts)
    languages = [utt.partition("-")[0] for utt in utts]
    changes = sum(a != b for a, b in itertools.pairwise(languages))
    assert changes > len(languages) / 4


def test_every_utterance_has_another_of_its_speaker(dump, made):
    audio = read_table(made / "train" / "wav.scp")
    utt_of = {location: utt for utt, location in audio.items()}
    speaker = {
        utt: (lang, name)
        for lang in ("es", "tr")
        for utt, name in read_table(dump / lang / "train" / "utt2spk").items()
    }
    others = read_table(made / "train" / "other_wav.scp")
    clusters_of = read_table(made / "train" / "target.scp")
    assert others.keys() == audio.keys()
    for utt, location in others.items():
        other = utt_of[location]
        assert speaker[other] == speaker[utt]
        alone = sum(speaker[any_utt] == speaker[utt] for any_utt in audio) == 1
        assert (other == utt) == alone
        found = read_table(made / "train" / "other_target.scp")[utt]
        assert found == clusters_of[other]


def test_processes_do_not_matter(dump, made, tmp_path):
    again = make(dump, tmp_path / "again", "--nj", "2")
    assert (again / "kmeans.npy").read_bytes() == (made / "kmeans.npy").read_bytes()
    for split in ("train", "dev"):
        first, second = clusters(made, split), clusters(again, split)
        assert first.keys() == second.keys()
        for utt in first:
            np.testing.assert_array_equal(first[utt], second[utt])


def test_only_what_is_missing_is_made(dump, made, capsys):
    (made / "languages" / "tr.dev.scp").unlink()
    (made / "dev" / "wav.scp").unlink()
    kept = (made / "languages" / "es.train.ark").stat().st_mtime_ns
    before = clusters(made)
    make(dump, made)
    assert "fitted before, skipped" in capsys.readouterr().out
    assert (made / "languages" / "es.train.ark").stat().st_mtime_ns == kept
    assert (made / "dev" / "wav.scp").exists()
    assert clusters(made).keys() == before.keys()
    (made / "train" / "utt2num_samples.captions").unlink()  # of an earlier version
    make(dump, made)
    assert (made / "train" / "utt2num_samples.captions").exists()
    capsys.readouterr()
    make(dump, made)
    assert "all targets were made before, skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num_clusters", "9"], "of another setting (num_clusters: 8, now 9)"),
        (["--langs", "xx"], "no decoded audio of xx, only of es, tr: correct --langs"),
        (["--features", "layer"], "--features layer needs a HuBERT: give --model."),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    dump, made, capsys, options, message
):
    with pytest.raises(SystemExit):
        make(dump, made, *options)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num_clusters", "5000"], "frames to fit 5000 clusters on: give more audio"),
        (["--min_seconds", "9"], "has no utterance of 9.0 s or more in train"),
    ],
)
def test_too_little_audio_is_refused(dump, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        make(dump, tmp_path / "targets", *options)
    assert message in capsys.readouterr().err


def test_a_corpus_without_audio_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        make(tmp_path / "none", tmp_path / "targets")
    assert "none holds no decoded audio: run stages 1 and 2" in capsys.readouterr().err


def test_settings_tell_what_the_targets_are(made):
    settings = json.loads((made / "settings.json").read_text())
    assert settings["features"] == "mfcc" and settings["langs"] == ["es", "tr"]
    assert Path(settings["dump"]).name == "demo"


ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs2" / "cltm" / "ssl1"


def test_nothing_of_the_demo_is_in_its_data():
    demo = read_config(ROOT / "conf" / "demo.yaml")
    ours = read_config(RECIPE / "conf" / "corpus.yaml")
    assert len(ours.languages) >= 40
    assert not set(ours.languages) & {
        *demo.languages,
        "zh",
        "es-419",
        "es-mx",
        "pl",
        "ur",
    }
    assert set(ours.languages) <= set(espeak.language_files())
    assert ours.seed != demo.seed
    assert not set(ours.prompts) & set(demo.prompts)
    for gender, voices in demo.voices.items():
        assert not set(ours.voices[gender].variants) & set(voices.variants)
    for name in ("rate", "volume", "flutter", "single_formants", "intonation"):
        lowest, highest = getattr(demo, name)
        wider = getattr(ours, name)
        assert wider[0] <= lowest and highest <= wider[1], name
