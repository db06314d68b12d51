"""The speaker task as an ordinary ESPnet training and inference."""

import argparse
import itertools
from types import SimpleNamespace

import kaldiio
import numpy as np
import pytest
import torch
import yaml

from espnet2_cltm.bin import speaker_inference, speaker_score, speaker_train
from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.speaker.losses import PairLoss
from espnet2_cltm.speaker.preprocessor import SpeakerPreprocessor
from espnet2_cltm.speaker.testing import predict
from espnet2_cltm.speaker.trainer import SpeakerTrainer, read_valid_trials
from espnet2_cltm.speaker.trials import read_scores, read_trials
from espnet2_cltm.task import TestSet
from espnet2_cltm.tasks.model_files import load_model
from espnet2_cltm.tasks.speech_data import SpeechDataset
from tests.speech import (
    TINY_GENDER,
    TINY_SPEAKER,
    build_speaker_model,
    draw_speaker_trials,
    write_dump,
)

SPEAKERS = {"train": 2, "dev": 2, "test": 2}
MEL = {
    "frontend": "melspec_torch",
    "frontend_conf": {"n_mels": 16, "log": True, "normalize": "mn"},
}
SINC = {
    "frontend": "asteroid_frontend",
    "frontend_conf": {
        "sinc_filters": 16,
        "sinc_kernel_size": 251,
        "sinc_stride": 16,
    },
}
ENCODERS = {
    "ecapa_tdnn": {**MEL, "encoder_conf": {"ndim": 16, "output_size": 24}},
    "identity": MEL,
    "mfaconformer": {
        **MEL,
        "encoder_conf": {
            "output_size": 16,
            "attention_heads": 2,
            "linear_units": 16,
            "num_blocks": 1,
        },
    },
    "rawnet3": {**SINC, "encoder_conf": {"ndim": 16, "output_size": 24}},
    "resnet": {**MEL, "encoder_conf": {"m_channels": 4}},
    "ska_tdnn": {**MEL, "encoder_conf": {"ndim": 16, "ska_dim": 8, "output_size": 24}},
    "xvector": {**MEL, "encoder_conf": {"ndim": 16, "output_size": 24}},
}
LOSSES = {
    "aamsoftmax": {},
    "aamsoftmax_sc_topk": {"k_top": 2},
    "softmax": {},
    "cross_entropy": {},
    "contrastive": {},
    "pair_mlp": {"hidden_sizes": [8]},
}
POOLINGS = ("mean", "stats", "chn_attn_stat")
PROJECTORS = ("linear", "rawnet3", "ska_tdnn", "xvector")


def train(lang_dirs, exp, config, *options, with_trials=True):
    """Train on the first language, validate by the trials of every one."""
    exp.mkdir(parents=True)
    (exp / "train.yaml").write_text(yaml.safe_dump(config))
    for directory in lang_dirs if with_trials else ():
        options += ("--valid_trials", f"{directory}/dev/trials,{directory.name}")
    valid = exp / "valid"
    valid.mkdir()
    for name in ("wav.scp", "utt2num_samples"):
        text = "".join((d / "dev" / name).read_text() for d in lang_dirs)
        (valid / name).write_text(text)
    train_dir = lang_dirs[0] / "train"
    speaker_train.main(
        [
            "--config",
            str(exp / "train.yaml"),
            "--train_data_path_and_name_and_type",
            f"{train_dir}/wav.scp,speech,kaldi_ark",
            "--train_data_path_and_name_and_type",
            f"{train_dir}/utt2spk,spk_labels,text",
            "--train_shape_file",
            f"{train_dir}/utt2num_samples",
            "--spk2utt",
            f"{train_dir}/spk2utt",
            "--valid_data_path_and_name_and_type",
            f"{valid}/wav.scp,speech,kaldi_ark",
            "--valid_shape_file",
            f"{valid}/utt2num_samples",
            "--output_dir",
            str(exp),
            "--seed",
            "3",
            *options,
        ]
    )


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dump")
    write_dump(directory, ["es", "tr"], SPEAKERS)
    for lang, split in itertools.product(("es", "tr"), ("dev", "test")):
        draw_speaker_trials(directory / lang / split)
    return directory


@pytest.fixture(scope="module")
def trained(dump, tmp_path_factory):
    exp = tmp_path_factory.mktemp("speaker") / "exp"
    criteria = [["valid", name, "min"] for name in ("eer", "eer_es", "eer_tr")]
    config = {**TINY_SPEAKER, "best_model_criterion": criteria, "max_epoch": 3}
    train([dump / "es", dump / "tr"], exp, config)
    return exp


def infer(exp, data, output, *options):
    speaker_inference.main(
        [
            "--train_config",
            str(exp / "config.yaml"),
            "--model_file",
            str(exp / "valid.eer.best.pth"),
            "--data_path_and_name_and_type",
            f"{data}/wav.scp,speech,kaldi_ark",
            "--output_dir",
            str(output),
            *options,
        ]
    )
    return dict(kaldiio.load_scp(str(output / "embeddings.scp")))


def message_of(capsys, command, *arguments):
    """Give the one sentence that a command ends with."""
    with pytest.raises(SystemExit) as stopped:
        command(*arguments)
    assert stopped.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


# Training.


def test_training_keeps_the_best_epoch_of_every_trial_list(trained):
    left = {path.name for path in trained.iterdir()}
    best = {f"valid.{name}.best.pth" for name in ("eer", "eer_es", "eer_tr")}
    assert {"config.yaml", "checkpoint.pth", "3epoch.pth"} | best <= left
    reporter = torch.load(trained / "checkpoint.pth", weights_only=False)["reporter"]
    for epoch in (1, 2, 3):
        stats = reporter["stats"][epoch]["valid"]
        mean = (stats["eer_es"] + stats["eer_tr"]) / 2
        assert stats["eer"] == pytest.approx(mean)


def test_trained_model_is_built_without_the_training_data(trained, tmp_path):
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["spk_num"] == 2 * SPEAKERS["train"]
    config["spk2utt"] = str(tmp_path / "deleted")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    model = load_model(
        SpeakerTask, tmp_path / "config.yaml", trained / "valid.eer.best.pth"
    )
    assert model.loss.classifier.out_features == config["spk_num"]


def test_siamese_training_runs_on_cropped_pairs(dump, tmp_path):
    config = {
        **TINY_SPEAKER,
        **ENCODERS["ecapa_tdnn"],
        "encoder": "ecapa_tdnn",
        "pooling": "chn_attn_stat",
        "projector": "rawnet3",
        "loss": "contrastive",
        "preprocessor_conf": {"target_duration": 0.2},
        "embedding_conf": {"source": "projector"},
        "max_epoch": 1,
    }
    train([dump / "es"], tmp_path / "exp", config)
    embeddings = infer(tmp_path / "exp", dump / "es/test", tmp_path / "test")
    assert len(embeddings) == 16


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({}, ["--valid_trials", "DUMP/es/dev/trials,es"], "two lists es"),
        ({}, ["--valid_trials", "DUMP/tr/test/trials,x"], "not in the validation data"),
        ({}, ["--valid_trials", "DUMP/none,x"], "none cannot be read"),
        ({}, ["--spk_num", "3"], "has 4 speakers, more than spk_num: 3"),
        ({}, ["--spk2utt", "DUMP/tr/train/spk2utt"], "is by the speaker es-"),
        ({}, ["--spk2utt", "DUMP/none"], "none cannot be read"),
        (MEL, [], "would see the padding"),
        (
            {"preprocessor_conf": {"duration": 3}},
            [],
            "preprocessor_conf cannot be used",
        ),
    ],
)
def test_training_refuses_what_does_not_fit(
    dump, tmp_path, capsys, config, options, message
):
    config = {**TINY_SPEAKER, "embedding_conf": {}, **config}
    options = [option.replace("DUMP", str(dump)) for option in options]
    assert message in message_of(
        capsys, train, [dump / "es"], tmp_path / "exp", config, *options
    )
    assert not (tmp_path / "exp" / "1epoch.pth").exists()


def test_validation_needs_no_labels_of_utterances(dump, tmp_path):
    # With several GPUs a process has those of its share of the utterances.
    dev = dump / "es/dev"
    first, *_ = (dev / "utt2spk").read_text().splitlines(keepends=True)
    (tmp_path / "utt2spk").write_text(first)
    found = []
    for labels in (dev, tmp_path):
        data = [
            (str(dev / "wav.scp"), "speech", "kaldi_ark"),
            (str(labels / "utt2spk"), "spk_labels", "text"),
        ]
        dataset = SpeechDataset(data, preprocess=SpeakerPreprocessor(False))
        SpeakerTrainer.validate_one_epoch(
            build_speaker_model(TINY_SPEAKER),
            SimpleNamespace(dataset=dataset),
            SimpleNamespace(register=found.append),
            SimpleNamespace(
                checkpoint="eer",
                valid_trials=[(str(dev / "trials"), "es")],
                valid_shape_file=[str(dev / "utt2num_samples")],
                embedding_batch_bins=480_000,
                ngpu=0,
            ),
            None,
        )
    assert found[0] == found[1] and set(found[0]) == {"eer", "eer_es", "auc_es"}


def test_training_without_trials_stops_at_once(dump, tmp_path):
    with pytest.raises(UserError, match="give --valid_trials"):
        read_valid_trials([], [str(dump / "es/dev/utt2num_samples")])


def test_training_for_its_last_epoch_needs_no_trials(dump, tmp_path):
    config = {**TINY_SPEAKER, "checkpoint": "last", "max_epoch": 1}
    train([dump / "es"], tmp_path / "exp", config, with_trials=False)
    assert (tmp_path / "exp" / "latest.pth").exists()


def test_trials_of_one_kind_are_refused(dump, tmp_path):
    lines = (dump / "es/dev/trials").read_text().splitlines(keepends=True)
    (tmp_path / "trials").write_text(
        "".join(line for line in lines if line.endswith(" target\n"))
    )
    with pytest.raises(UserError, match="has trials of one kind only"):
        read_valid_trials(
            [(str(tmp_path / "trials"), "es")], [str(dump / "es/dev/utt2num_samples")]
        )


def test_lengths_that_are_none_are_refused_with_their_line(tmp_path):
    (tmp_path / "utt2spk").write_text("a-1 a\n")
    with pytest.raises(UserError, match="line 1: 'a' is not a number of samples"):
        read_valid_trials([("trials", "es")], [str(tmp_path / "utt2spk")])


# Inference.


def test_inference_embeds_every_utterance_as_a_unit_vector(trained, dump, tmp_path):
    embeddings = infer(trained, dump / "es/test", tmp_path)
    assert list(embeddings) == sorted(read_table(dump / "es/test/wav.scp"))
    for embedding in embeddings.values():
        assert embedding.dtype == np.float32
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {
        "embeddings.ark",
        "embeddings.scp",
    }


def test_inference_scores_trials_as_the_runner_does_to_the_last_bit(
    trained, dump, tmp_path
):
    data = dump / "es/test"
    trials = read_trials(data / "trials")
    infer(trained, data, tmp_path, "--trials", str(data / "trials"))
    audio = read_table(data / "wav.scp")
    utterances = [
        ListedUtterance(utt, "", len(load_audio(audio[utt])), audio[utt])
        for utt in trials.utts
    ]
    model = load_model(
        SpeakerTask, trained / "config.yaml", trained / "valid.eer.best.pth"
    )
    runner = tmp_path / "es.npy"
    predict(model, TestSet("es", utterances, trials), runner, 480_000, "cpu")
    np.testing.assert_array_equal(
        read_scores(tmp_path / "scores", trials), np.load(runner)
    )


def test_scores_can_be_measured_by_the_scoring_command(trained, dump, tmp_path, capsys):
    trials = str(dump / "tr/test/trials")
    infer(trained, dump / "tr/test", tmp_path, "--trials", trials)
    speaker_score.main(["--trials", trials, "--scores", str(tmp_path / "scores")])
    assert "EER " in capsys.readouterr().out


def test_inference_embeds_only_what_the_trials_name(trained, dump, tmp_path):
    lines = (dump / "es/test/trials").read_text().splitlines(keepends=True)[:2]
    (tmp_path / "trials").write_text("".join(lines))
    output = tmp_path / "out"
    trials = str(tmp_path / "trials")
    embeddings = infer(trained, dump / "es/test", output, "--trials", trials)
    assert tuple(embeddings) == read_trials(trials).utts


def test_inference_keeps_to_a_key_file(trained, dump, tmp_path):
    utts = list(read_table(dump / "es/test/wav.scp"))[3:5]
    (tmp_path / "keys").write_text("".join(f"{utt}\n" for utt in reversed(utts)))
    keys = str(tmp_path / "keys")
    embeddings = infer(trained, dump / "es/test", tmp_path / "out", "--key_file", keys)
    assert list(embeddings) == utts


def test_scores_of_an_earlier_inference_do_not_stay(trained, dump, tmp_path):
    trials = str(dump / "es/test/trials")
    infer(trained, dump / "es/test", tmp_path, "--trials", trials)
    infer(trained, dump / "tr/test", tmp_path)
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model_file", "none.pth"], "weights that speaker_train wrote"),
        (["--train_config", "TMP/list.yaml"], "config.yaml that speaker_train wrote"),
        (
            ["--train_config", "TMP/broken.yaml"],
            "broken.yaml, line 2, is not valid YAML",
        ),
        (["--train_config", "TMP/gender.yaml"], "config.yaml that speaker_train wrote"),
        (["--model_file", "TMP/list.yaml"], "does not hold the weights"),
        (["--model_file", "TMP/empty.pth"], "does not hold the weights"),
        (["--model_file", "EXP/checkpoint.pth"], "does not hold the weights"),
        (["--trials", "DUMP/tr/test/trials"], "is not in"),
        (["--trials", "TMP/empty.pth"], "is empty"),
        (["--key_file", "TMP/empty.pth"], "is empty"),
        (["--key_file", "DUMP/tr/test/wav.scp"], "is not in"),
        (["--ngpu", "1"], "asks for more GPUs"),
    ],
)
def test_inference_refuses_what_does_not_fit(
    trained, dump, tmp_path, capsys, options, message
):
    if "--ngpu" in options and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    (tmp_path / "gender.yaml").write_text(yaml.safe_dump(TINY_GENDER))
    (tmp_path / "empty.pth").touch()
    places = {"TMP": tmp_path, "DUMP": dump, "EXP": trained}
    for name, place in places.items():
        options = [option.replace(name, str(place)) for option in options]
    output = tmp_path / "out"
    error = message_of(capsys, infer, trained, dump / "es/test", output, *options)
    assert message in error
    assert not output.exists()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(399, np.int16), "has 399 samples, fewer than 400"),
        (np.zeros(16000 * 601, np.int16), "longer than 600 s"),
        (None, "cannot be read"),
    ],
)
def test_unusable_audio_is_named(trained, tmp_path, capsys, samples, message):
    if samples is None:
        (tmp_path / "wav.scp").write_text("a-1 none.ark:7\n")
    else:
        ark = str(tmp_path / "wav.ark")
        audio = {"a-1": (16000, samples)}
        kaldiio.save_ark(ark, audio, scp=str(tmp_path / "wav.scp"))
    error = message_of(capsys, infer, trained, tmp_path, tmp_path / "out")
    assert f"The audio of utterance a-1 in {tmp_path}/wav.scp" in error
    assert message in error


def test_weights_that_are_not_finite_are_refused(trained, dump, tmp_path, capsys):
    weights = torch.load(trained / "latest.pth", weights_only=True)
    odd = {
        name: torch.full_like(value, torch.nan) if value.is_floating_point() else value
        for name, value in weights.items()
    }
    torch.save(odd, tmp_path / "odd.pth")
    options = ("--model_file", str(tmp_path / "odd.pth"))
    error = message_of(
        capsys, infer, trained, dump / "es/test", tmp_path / "out", *options
    )
    assert "is not finite" in error
    assert not (tmp_path / "out" / "embeddings.scp").exists()


# Parts.


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_trains_with_a_batch_of_one(encoder, batch):
    config = {**ENCODERS[encoder], "encoder": encoder, "pooling": "stats"}
    model = build_speaker_model({**TINY_SPEAKER, "embedding_conf": {}, **config})
    train_one_step(model, batch)
    embed = model.eval().embed(torch.randn(batch, 4000), torch.full((batch,), 4000))
    assert embed.shape == (batch, 8)


@pytest.mark.parametrize(
    ("pooling", "projector", "loss"),
    [
        *itertools.product(POOLINGS, PROJECTORS, ["cross_entropy"]),
        *(("stats", "ska_tdnn", loss) for loss in LOSSES if loss != "cross_entropy"),
    ],
)
def test_every_head_trains_with_a_batch_of_one(pooling, projector, loss):
    config = {
        "pooling": pooling,
        "projector": projector,
        "loss": loss,
        "loss_conf": LOSSES[loss],
    }
    model = build_speaker_model({**TINY_SPEAKER, **config})
    for batch in (2, 1):  # an epoch whose last batch is one utterance
        train_one_step(model, batch)


def train_one_step(model, batch):
    torch.manual_seed(batch)
    lengths = torch.full((batch,), 4000)
    inputs = {"speech": torch.randn(batch, 4000), "speech_lengths": lengths}
    if isinstance(model.loss, PairLoss):
        inputs |= {"speech2": torch.randn(batch, 4000), "speech2_lengths": lengths}
    loss, stats, weight = model(spk_labels=torch.ones(batch, 1).long(), **inputs)
    loss.backward()
    assert torch.isfinite(loss) and set(stats) == {"loss", "accuracy"}
    assert weight == batch
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


def test_every_part_of_espnet_has_its_name_here():
    choices = {one.name: set(one.classes) for one in SpeakerTask.class_choices_list}
    assert choices["encoder"] == set(ENCODERS)
    assert choices["loss"] == set(LOSSES)
    assert choices["projector"] == set(PROJECTORS)
    assert choices["pooling"] == set(POOLINGS)
    assert {"hubert", "melspec_torch", "s3prl"} <= choices["frontend"]


def test_head_depends_on_the_seed_and_not_on_the_encoder():
    hubert = {**TINY_SPEAKER["frontend_conf"]["model"], "num_hidden_layers": 2}
    deeper = {**TINY_SPEAKER, "frontend_conf": {"model": hubert}}
    for head in ("projector.linear.weight", "loss.classifier.weight"):
        first = build_speaker_model(TINY_SPEAKER, seed=5).get_parameter(head)
        torch.rand(3)
        other = build_speaker_model(deeper, seed=5).get_parameter(head)
        assert torch.equal(first, other)
        other = build_speaker_model(TINY_SPEAKER, seed=6).get_parameter(head)
        assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"encoder": "foo"}, "encoder: foo is unknown: give one of ecapa_tdnn,"),
        ({"frontend": "foo"}, "frontend: foo is unknown"),
        ({"init": "xavier_uniform"}, "would overwrite the encoder.s weights"),
        ({"projector_conf": {"size": 3}}, "projector: linear cannot be built"),
        ({"loss": "contrastive", "loss_conf": {"margin": 3}}, "margin: 3 must"),
        ({"loss": "aamsoftmax_sc_topk"}, "k_top: 5 must be below the number of"),
        ({"embedding_conf": {"layers": 3}}, "embedding_conf cannot be used"),
        ({"embedding_conf": {"source": "foo"}}, "source: foo is unknown"),
        (
            {"embedding_conf": {"source": "hidden_layers", "num_layers": 3}},
            "num_layers: 3 is more than this encoder's 2 hidden states",
        ),
        (
            {**MEL, "embedding_conf": {"source": "hidden_layers"}},
            "needs the frontend ssl",
        ),
    ],
)
def test_part_that_cannot_be_built_is_named(config, message):
    with pytest.raises(UserError, match=message):
        build_speaker_model({**TINY_SPEAKER, **config})


@pytest.mark.parametrize(
    "path",
    [
        "conf/train_speaker.yaml",
        "conf/tuning/train_speaker_ecapa.yaml",
        "conf/tuning/train_speaker_siamese.yaml",
        "conf/tuning/train_speaker_pair_mlp.yaml",
    ],
)
def test_shipped_configuration_builds_its_model(path):
    args = SpeakerTask.get_parser().parse_args(["--config", path])
    assert isinstance(args, argparse.Namespace)
    args.spk_num = 3
    SpeakerTask.build_model(args)
