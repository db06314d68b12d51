"""Pretraining as an ordinary ESPnet training: repeatable, resumable, exported."""

import numpy as np
import pytest
import torch
import yaml
from transformers import HubertModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.bin import hubert_export, hubert_pretrain
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.pretraining.model import MaskedPredictionModel
from tests.speech import TINY_HUBERT

CONFIG = {
    "frontend_conf": {"model": TINY_HUBERT},
    "num_clusters": 8,
    "crop_seconds": 0.25,
    "augmentation": "simulated",
    "model_conf": {
        "code_size": 8,
        "mask_length": 3,
        "masked_weight": 0.5,
        "contrast_weight": 0.5,
        "summary_weight": 1.0,
    },
    "optim": "adamw",
    "optim_conf": {"lr": 1.0e-3},
    "scheduler": "onecyclelr",
    "scheduler_conf": {"max_lr": 3.0e-3, "total_steps": 8},
    "max_epoch": 2,
    "num_iters_per_epoch": 4,
    "batch_type": "unsorted",
    "batch_size": 4,
    "num_workers": 0,
    "use_tensorboard": False,
    "use_matplotlib": False,
    "num_att_plot": 0,
    "keep_nbest_models": 1,
    "best_model_criterion": [["valid", "acc", "max"]],
}


@pytest.fixture(scope="module")
def targets(captioned):
    return captioned


def train(targets, outdir, seed=1, **changes):
    config = outdir.with_suffix(".yaml")
    config.write_text(yaml.safe_dump({**CONFIG, **changes}))
    options = ["--config", str(config), "--seed", str(seed), "--resume", "true"]
    for mode, split in (("train", "train"), ("valid", "dev")):
        directory = targets / "targets" / split
        options += [
            f"--{mode}_data_path_and_name_and_type",
            f"{directory}/wav.scp,speech,kaldi_ark",
            f"--{mode}_data_path_and_name_and_type",
            f"{directory}/target.scp,target,kaldi_ark",
            f"--{mode}_data_path_and_name_and_type",
            f"{directory}/other_wav.scp,other_speech,kaldi_ark",
            f"--{mode}_data_path_and_name_and_type",
            f"{directory}/other_target.scp,other_target,kaldi_ark",
            f"--{mode}_data_path_and_name_and_type",
            f"{directory}/utt2spk,speaker,text_int",
            f"--{mode}_shape_file",
            f"{directory}/utt2num_samples",
        ]
    options += ["--batch_groups", str(targets / "targets" / "train" / "utt2lang")]
    hubert_pretrain.main([*options, "--output_dir", str(outdir)])
    return outdir


def weights(outdir):
    return torch.load(outdir / "latest.pth", weights_only=True)


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.fixture(scope="module")
def trained(targets, tmp_path_factory):
    return train(targets, tmp_path_factory.mktemp("trained") / "exp")


def test_the_same_seed_gives_the_same_losses(targets, tmp_path, monkeypatch):
    losses = []
    forward = MaskedPredictionModel.forward

    def recording(self, **batch):
        loss, stats, weight = forward(self, **batch)
        losses.append(float(loss))
        return loss, stats, weight

    monkeypatch.setattr(MaskedPredictionModel, "forward", recording)
    for name, seed in (("first", 5), ("second", 5), ("other", 6)):
        train(targets, tmp_path / name, seed)
    first, second, other = np.array_split(losses, 3)
    assert len(first) >= 8
    np.testing.assert_array_equal(first, second)
    assert not np.any(first == other)


def test_loading_processes_do_not_matter(targets, trained, tmp_path):
    again = train(targets, tmp_path / "exp", num_workers=2)
    assert_same(weights(again), weights(trained))


def test_an_interrupted_training_goes_on_to_the_same_weights(
    targets, trained, tmp_path, monkeypatch
):
    calls = []
    forward = MaskedPredictionModel.forward

    def interrupted(self, **batch):
        calls.append(self.training)
        if sum(calls) == 6:  # in the second epoch
            raise KeyboardInterrupt
        return forward(self, **batch)

    with monkeypatch.context() as context:
        context.setattr(MaskedPredictionModel, "forward", interrupted)
        with pytest.raises(SystemExit) as stopped:
            train(targets, tmp_path / "exp")
        assert stopped.value.code == 130
    train(targets, tmp_path / "exp")
    assert_same(weights(tmp_path / "exp"), weights(trained))


def test_an_export_is_what_was_trained_in_hugging_faces_layout(
    trained, tmp_path, capsys
):
    hubert_export.main(
        [
            *("--train_config", str(trained / "config.yaml")),
            *("--model_file", str(trained / "latest.pth")),
            *("--outdir", str(tmp_path / "hf"), "--dtype", "float32"),
        ]
    )
    assert "parameters in float32" in capsys.readouterr().out
    state = weights(trained)
    exported = HubertModel.from_pretrained(tmp_path / "hf").state_dict()
    for name, value in exported.items():
        assert torch.equal(value, state[f"hubert.hubert.{name}"]), name
    assert Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "hf").do_normalize
    frontend = HubertFrontend(str(tmp_path / "hf")).eval()
    assert not frontend.hubert.config.apply_spec_augment
    features, _ = frontend(torch.randn(1, 8000), torch.tensor([8000]))
    assert features.isfinite().all()


def test_half_precision_is_read_as_single_and_is_near(trained, tmp_path):
    hubert_export.main(
        [
            *("--train_config", str(trained / "config.yaml")),
            *("--model_file", str(trained / "latest.pth")),
            *("--outdir", str(tmp_path / "hf")),
        ]
    )
    state = weights(trained)
    for name, value in HubertFrontend(str(tmp_path / "hf")).hubert.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(
            value, state[f"hubert.hubert.{name}"], rtol=1e-3, atol=1e-4
        )


def test_a_pretraining_goes_on_from_an_export(targets, trained, tmp_path):
    hubert_export.main(
        [
            *("--train_config", str(trained / "config.yaml")),
            *("--model_file", str(trained / "latest.pth")),
            *("--outdir", str(tmp_path / "hf"), "--dtype", "float32"),
        ]
    )
    still = train(
        targets,
        tmp_path / "exp",
        frontend_conf={"model": str(tmp_path / "hf")},
        optim_conf={"lr": 0.0, "weight_decay": 0.0},
        scheduler=None,
        scheduler_conf={},
        max_epoch=1,
    )
    state = weights(still)
    for name, value in weights(trained).items():
        if name.startswith("hubert."):
            assert torch.equal(value, state[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterator_type": "chunk"}, "set iterator_type to sequence"),
        (
            {"augmentation_conf": {"noise_prob": 2}},
            "noise_prob: 2 of the augmentation",
        ),
        ({"augmentation_conf": {"echo": 2}}, "cannot be built with augmentation_conf"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(
    targets, tmp_path, capsys, changes, message
):
    with pytest.raises(SystemExit):
        train(targets, tmp_path / "exp", **changes)
    assert message in capsys.readouterr().err


def test_weights_of_another_model_are_refused(trained, tmp_path, capsys):
    config = yaml.safe_load((trained / "config.yaml").read_text())
    config["frontend_conf"]["model"]["hidden_size"] = 8
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit):
        hubert_export.main(
            [
                *("--train_config", str(tmp_path / "config.yaml")),
                *("--model_file", str(trained / "latest.pth")),
                *("--outdir", str(tmp_path / "hf")),
            ]
        )
    assert "does not hold the weights of the encoder" in capsys.readouterr().err
    assert not (tmp_path / "hf").exists()
