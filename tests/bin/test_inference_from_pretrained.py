"""Kept models outside of their experiment, against the run's own predictions."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
import yaml
from espnet2.main_funcs.pack_funcs import unpack
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.bin import gender_inference, speaker_inference
from espnet2_cltm.bin.gender_inference import Speech2Label
from espnet2_cltm.bin.speaker_inference import Speech2Embedding
from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import read_test_set
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.label.inference import read_predictions
from espnet2_cltm.speaker.trials import read_scores
from espnet2_cltm.tasks.model_files import load_model, read_packed_model
from tests.experiment.kept_experiments import (
    GENDER,
    HUBERT,
    SPEAKER,
    SPEAKERS,
    make_left,
    plan_experiment,
    settings_for,
)
from tests.speech import write_dump


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    write_dump(root / "demo", ["es", "fi"], SPEAKERS, utterances=3)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A pretrained encoder in a directory, as one from the hub would lie there."""
    directory = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(5)
    HubertModel(HubertConfig(**HUBERT)).save_pretrained(directory)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def kept(store, checkpoint, tmp_path_factory):
    encoder = {"frontend_conf": {"model": str(checkpoint)}}
    settings = settings_for(
        store,
        ("gender", "speaker"),
        train_config={"gender": {**GENDER, **encoder}, "speaker": SPEAKER},
    )
    directory = plan_experiment(tmp_path_factory.mktemp("exp"), settings, ["es", "fi"])
    make_left(directory, "all")
    return directory


@pytest.fixture
def elsewhere(kept, checkpoint, store, tmp_path):
    """Give the kept models where neither experiment nor encoder can be found."""
    shutil.copytree(
        kept.runs,
        tmp_path / "models",
        ignore=lambda directory, names: (
            [
                name
                for name in names
                if "." in name and not name.endswith((".zip", "s42"))
            ]
            + ["train", "valid", "predictions"]
        ),
    )
    hidden = [path.rename(f"{path}.hidden") for path in (kept.root, checkpoint)]
    yield tmp_path / "models"
    for path in hidden:
        path.rename(str(path).removesuffix(".hidden"))


RUNS = ("single.es", "double.es", "pair.es+fi")


def gender_run(kind):
    return f"gender.{kind}.n2.s42"


def speaker_run(kind):
    return f"speaker.{kind}.n4.s42"


@pytest.mark.parametrize("kind", RUNS)
def test_command_gives_the_runs_predictions_to_the_last_bit(
    kept, store, tmp_path, kind
):
    name = gender_run(kind)
    gender_inference.main(
        [
            *("--model_tag", str(kept.run(name))),
            "--data_path_and_name_and_type",
            f"{store}/demo/es/test/wav.scp,speech,kaldi_ark",
            *("--output_dir", str(tmp_path)),
        ]
    )
    expected = kept.predictions(name, "es", ".tsv").read_bytes()
    assert (tmp_path / "predictions.tsv").read_bytes() == expected


@pytest.mark.parametrize(
    ("kind", "language"),
    [(kind, "es") for kind in RUNS] + [("single.es", "fi"), ("pair.es+fi", "fi")],
)
def test_command_gives_the_runs_scores_to_the_last_bit(
    kept, store, tmp_path, kind, language
):
    name = speaker_run(kind)
    predictions = kept.predictions(name, language, ".npy")
    test = read_test_set(kept, "speaker", language)
    speaker_inference.main(
        [
            *("--model_tag", str(kept.model(name))),
            *("--language", language),
            "--data_path_and_name_and_type",
            f"{store}/demo/{language}/test/wav.scp,speech,kaldi_ark",
            *("--trials", str(test.data_path)),
            *("--output_dir", str(tmp_path)),
        ]
    )
    scores = read_scores(tmp_path / "scores", test.data)
    np.testing.assert_array_equal(scores, np.load(predictions))


def test_gender_is_predicted_without_experiment_encoder_or_hub(kept, elsewhere):
    root = type(kept)(kept.root.with_name(f"{kept.root.name}.hidden"))
    audio = {u.utt: u.audio for u in read_test_set(root, "gender", "es").utterances}
    predictions = read_predictions(
        root.predictions(gender_run("single.es"), "es", ".tsv")
    )
    speech2label = Speech2Label.from_pretrained(elsewhere / gender_run("single.es"))
    for prediction in predictions:
        waveform = load_audio(audio[prediction.utt])
        label, probabilities = speech2label(waveform)
        assert label == prediction.label
        # Alone, not in the run's batch.
        assert probabilities == pytest.approx(prediction.probabilities, abs=1e-5)
        assert list(probabilities) == ["f", "m"]
        as_integers = (waveform * 32768).astype(np.int16)
        assert speech2label(as_integers)[1] == probabilities
        assert speech2label(torch.from_numpy(waveform))[1] == probabilities


def test_the_encoders_normalisation_comes_with_the_model(kept, elsewhere):
    speech2label = Speech2Label.from_pretrained(elsewhere / gender_run("single.es"))
    assert speech2label.model.frontend.normalize_waveform is False


def test_two_utterances_are_scored_without_the_experiment(kept, elsewhere):
    root = type(kept)(kept.root.with_name(f"{kept.root.name}.hidden"))
    test = json.loads(root.metrics(speaker_run("pair.es+fi")).read_text())["test"]
    assert set(test) == {"es", "fi"}
    for language in ("es", "fi"):
        scores = np.load(root.predictions(speaker_run("pair.es+fi"), language, ".npy"))
        listed = read_test_set(root, "speaker", language)
        audio = {u.utt: load_audio(u.audio) for u in listed.utterances}
        speech2embedding = Speech2Embedding.from_pretrained(
            elsewhere / speaker_run("pair.es+fi"), language=language
        )
        trials = listed.data
        for index in range(0, len(trials), 5):
            first, second = (
                audio[trials.utts[side[index]]] for side in (trials.enrol, trials.test)
            )
            # Alone, not in the run's batch.
            assert speech2embedding.score(first, second) == pytest.approx(
                scores[index], abs=1e-5
            )
        embedding = speech2embedding(first)
        assert embedding.dtype == torch.float32
        assert float(embedding.norm()) == pytest.approx(1.0, abs=1e-6)


def test_each_checkpoint_is_kept_once_and_each_language_knows_its_own(kept):
    n_checkpoints = set()
    for planned in read_plan(kept.plan):
        run = planned.run
        packed = read_packed_model(kept.model(run.name))
        metrics = json.loads(kept.metrics(run.name).read_text())
        for language, checkpoint in metrics["checkpoints"].items():
            entry = dict(packed.checkpoints[language])
            assert entry.pop("file") == f"{checkpoint['epoch']}epoch.pth"
            assert entry == checkpoint
        epochs = {c["epoch"] for c in metrics["checkpoints"].values()}
        with zipfile.ZipFile(packed.path) as archive:
            names = archive.namelist()
        assert sorted(names) == sorted(
            ["meta.yaml", "config.yaml", *(f"{epoch}epoch.pth" for epoch in epochs)]
        )
        assert packed.languages == run.languages
        n_checkpoints.add(len(epochs))
    assert n_checkpoints == {1, 2}


def test_espnet_unpacks_a_kept_model(kept, tmp_path):
    files = unpack(kept.model(gender_run("single.es")), tmp_path)
    assert set(files) == {"train_config", "model_file"}
    model = load_model(LabelEspnetTask, **files)
    ours = Speech2Label.from_pretrained(kept.run(gender_run("single.es"))).model
    for name, weight in ours.state_dict().items():
        assert weight.equal(model.state_dict()[name])
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    defaults = vars(LabelEspnetTask.get_parser().parse_args([]))
    assert config.keys() >= defaults.keys() - {"config"}


def test_a_pair_with_two_checkpoints_wants_a_language(kept, tmp_path):
    path = two_checkpoints(kept, tmp_path)
    with pytest.raises(
        UserError, match=r"holds 2 checkpoints, .* one of es, fi as lang"
    ):
        Speech2Embedding.from_pretrained(path)
    with pytest.raises(UserError, match="was not tested on 'tr': give one of es, fi"):
        Speech2Embedding.from_pretrained(path, language="tr")


def two_checkpoints(kept, tmp_path):
    """Give a pair's model whose languages take different weights."""
    path = tmp_path / "model.zip"
    with (
        zipfile.ZipFile(kept.model(speaker_run("pair.es+fi"))) as before,
        zipfile.ZipFile(path, "w") as after,
    ):
        meta = yaml.safe_load(before.read("meta.yaml"))
        weights = before.read(meta["checkpoints"]["es"]["file"])
        for number, language in enumerate(("es", "fi")):
            meta["checkpoints"][language]["file"] = f"{number}epoch.pth"
            after.writestr(f"{number}epoch.pth", weights)
        after.writestr("meta.yaml", yaml.safe_dump(meta))
        after.writestr("config.yaml", before.read("config.yaml"))
    return path


def test_what_is_no_kept_model_is_one_sentence(kept, tmp_path):
    single = kept.model(gender_run("single.es"))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(single.read_bytes()[:-500])
    flipped = tmp_path / "flipped.zip"
    content = bytearray(single.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(bytes(content))
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("meta.yaml", "files: {}\nyaml_files: {}\n")
    escaping = tmp_path / "escaping.zip"
    with zipfile.ZipFile(escaping, "w") as archive:
        meta = {"task": "gender", "run": "r", "languages": ["es"]}
        meta["checkpoints"] = {"es": {"file": "../1epoch.pth"}}
        archive.writestr("meta.yaml", yaml.safe_dump(meta))
        archive.writestr("config.yaml", "")
        archive.writestr("../1epoch.pth", "")
    (tmp_path / "empty").mkdir()
    for tag, message in [
        (cut, r"cut\.zip is damaged \(File is not a zip file\)"),
        (flipped, r"flipped\.zip is damaged \(Bad CRC-32 .*\): delete it, copy it ag"),
        (foreign, r"foreign\.zip is not a model that an experiment has kept"),
        (escaping, r"escaping\.zip is not a model that an experiment has kept"),
        (tmp_path / "empty", r"empty/model\.zip is missing: .* --keep_models"),
        (tmp_path / "no.zip", r"no\.zip is missing"),
        (
            kept.run(speaker_run("single.es")),
            "model of the task speaker",
        ),
        ("someone/no-such-model", "not available from the hub"),
        ("not a hub id at all", "not available from the hub"),
    ]:
        with pytest.raises(UserError, match=message):
            Speech2Label.from_pretrained(tag)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give train_config and model_file, or model_tag"),
        ({"model_tag": "a", "model_file": "b"}, "give either model_tag, or"),
        (
            {"train_config": "a", "model_file": "b", "language": "es"},
            "without model_tag",
        ),
    ],
)
def test_options_that_name_no_one_model_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Speech2Label(**options)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros((2, 16000), dtype=np.float32), r"has the shape \(2, 16000\)"),
        (np.zeros(399, dtype=np.float32), "has 399 samples, fewer than 400"),
        (np.full(16000, np.nan, dtype=np.float32), "holds NaN"),
    ],
)
def test_waveforms_that_cannot_be_used_are_refused(kept, waveform, message):
    speech2label = Speech2Label.from_pretrained(kept.run(gender_run("single.es")))
    with pytest.raises(UserError, match=message):
        speech2label(waveform)
