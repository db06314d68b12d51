"""The gender task as an ordinary ESPnet training and inference."""

import argparse

import numpy as np
import pytest
import torch
import yaml
from espnet2.train.dataset import ESPnetDataset

from espnet2_cltm.bin import gender_inference, gender_train
from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.label.espnet_task import LabelEspnetTask, LabelPreprocessor
from espnet2_cltm.label.inference import read_predictions
from espnet2_cltm.tasks.parts import scale_waveform
from tests.speech import TINY_GENDER, build_gender_model, write_dump


def data_options(lang_dir, which, split, kind="kaldi_ark"):
    directory = lang_dir / split
    return [
        f"--{which}_data_path_and_name_and_type",
        f"{directory}/wav.scp,speech,{kind}",
        f"--{which}_data_path_and_name_and_type",
        f"{directory}/utt2gender,label,text",
        f"--{which}_shape_file",
        f"{directory}/utt2num_samples",
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("gender")
    write_dump(root / "dump", ["es"])
    config = root / "train_gender.yaml"
    config.write_text(yaml.safe_dump({**TINY_GENDER, "max_epoch": 4}))
    gender_train.main(
        [
            "--config",
            str(config),
            *data_options(root / "dump" / "es", "train", "train"),
            *data_options(root / "dump" / "es", "valid", "dev"),
            "--output_dir",
            str(root / "exp"),
            "--seed",
            "3",
        ]
    )
    return root


def infer(root, output, *options):
    gender_inference.main(
        [
            "--train_config",
            str(root / "exp" / "config.yaml"),
            "--model_file",
            str(root / "exp" / "latest.pth"),
            "--data_path_and_name_and_type",
            f"{root}/dump/es/test/wav.scp,speech,kaldi_ark",
            "--output_dir",
            str(output),
            *options,
        ]
    )
    return read_predictions(output / "predictions.tsv")


def test_training_leaves_what_espnet_leaves(trained):
    left = {path.name for path in (trained / "exp").iterdir()}
    assert {"config.yaml", "checkpoint.pth", "4epoch.pth", "valid.acc.best.pth"} <= left


def test_inference_labels_every_test_utterance(trained, tmp_path):
    predictions = infer(trained, tmp_path)
    utts = list(read_table(trained / "dump/es/test/wav.scp"))
    assert [prediction.utt for prediction in predictions] == utts


def test_inference_keeps_to_a_key_file(trained, tmp_path):
    utts = list(read_table(trained / "dump/es/test/wav.scp"))[:3]
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{utt}\n" for utt in utts))
    predictions = infer(trained, tmp_path, "--key_file", str(keys))
    assert [prediction.utt for prediction in predictions] == utts


def test_inference_refuses_weights_of_another_model(trained, tmp_path, capsys):
    torch.save({"classifier.linear.weight": torch.zeros(2, 8)}, tmp_path / "odd.pth")
    with pytest.raises(SystemExit) as stopped:
        infer(trained, tmp_path, "--model_file", str(tmp_path / "odd.pth"))
    assert stopped.value.code == 1
    assert "does not hold the weights of the model" in capsys.readouterr().err


def test_inference_names_a_missing_model(trained, tmp_path, capsys):
    with pytest.raises(SystemExit):
        infer(trained, tmp_path, "--model_file", str(tmp_path / "none.pth"))
    assert "none.pth is missing" in capsys.readouterr().err


def test_training_stops_at_a_label_that_is_no_gender(trained, tmp_path, capsys):
    labels = trained / "dump/es/train/utt2gender"
    odd = tmp_path / "utt2gender"
    odd.write_text(labels.read_text().replace(" m\n", " male\n", 1))
    options = data_options(trained / "dump/es", "train", "train")
    options[3] = f"{odd},label,text"
    with pytest.raises(SystemExit):
        gender_train.main(
            [
                "--config",
                str(trained / "train_gender.yaml"),
                *options,
                *data_options(trained / "dump/es", "valid", "dev"),
                "--output_dir",
                str(tmp_path / "exp"),
            ]
        )
    assert "is labelled 'male'" in capsys.readouterr().err


def test_head_depends_on_the_seed_and_not_on_the_encoder():
    deeper = {
        **TINY_GENDER,
        "frontend_conf": {
            "model": {**TINY_GENDER["frontend_conf"]["model"], "num_hidden_layers": 2}
        },
    }
    head = "projector.linear.weight"
    first = build_gender_model(TINY_GENDER, seed=5).get_parameter(head)
    torch.rand(3)
    assert torch.equal(first, build_gender_model(deeper, seed=5).get_parameter(head))
    other = build_gender_model(TINY_GENDER, seed=6).get_parameter(head)
    assert not torch.equal(first, other)


def test_kaldi_ark_and_sound_give_one_scale():
    pcm = np.array([-32768, 0, 16384], dtype=np.int16)
    from_ark, from_sound = scale_waveform(pcm), scale_waveform(pcm / 32768)
    np.testing.assert_array_equal(from_ark, from_sound)
    assert from_ark.dtype == from_sound.dtype == np.float32


def test_espnet_reads_the_audio_store_as_the_runner_does(trained):
    wav_scp = trained / "dump/es/test/wav.scp"
    dataset = ESPnetDataset(
        [(str(wav_scp), "speech", "kaldi_ark")],
        preprocess=LabelPreprocessor(["f", "m"]),
    )
    for utt, location in read_table(wav_scp).items():
        np.testing.assert_array_equal(dataset[utt][1]["speech"], load_audio(location))


def test_unlabelled_speech_passes_for_inference():
    ready = LabelPreprocessor(["f", "m"])("utt", {"speech": np.zeros(400)})
    assert set(ready) == {"speech"}


def test_unknown_gender_is_refused_with_its_utterance():
    with pytest.raises(UserError, match="Utterance es-1 is labelled 'x'"):
        LabelPreprocessor(["f", "m"])("es-1", {"speech": np.zeros(400), "label": "x"})


@pytest.mark.parametrize("pooling", ["mean", "stats"])
def test_poolings_are_chosen_by_name(pooling):
    model = build_gender_model({**TINY_GENDER, "pooling": pooling})
    speech, lengths = torch.randn(2, 1600), torch.tensor([1600, 800])
    loss, stats, weight = model(speech, lengths, torch.tensor([[0], [1]]))
    assert loss.requires_grad and set(stats) == {"loss", "acc"} and weight == 2


def test_shipped_configurations_build_their_models():
    for path in ("conf/train_label.yaml",):
        args = LabelEspnetTask.get_parser().parse_args(
            ["--config", path, "--classes", "f m"]
        )
        assert isinstance(args, argparse.Namespace)
        LabelEspnetTask.build_model(args)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pooling": "foo"}, "pooling: foo is unknown: give one of mean, stats"),
        ({"projector_conf": {"size": 3}}, "projector: linear cannot be built"),
    ],
)
def test_part_that_cannot_be_built_is_named(config, message):
    with pytest.raises(UserError, match=message):
        build_gender_model({**TINY_GENDER, **config})


def test_inference_refuses_a_configuration_of_something_else(trained, tmp_path, capsys):
    other = tmp_path / "config.yaml"
    other.write_text("optim: adamw\n")
    with pytest.raises(SystemExit):
        infer(trained, tmp_path, "--train_config", str(other))
    assert "is not the config.yaml that label_train wrote" in capsys.readouterr().err
