"""Values of a configuration that make no training, and pickles in its files."""

import logging
import os
import pickle
import socket

import pytest
import torch
import yaml

from espnet2_cltm.bin import gender_train, hubert_pretrain, speaker_train
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.checkpoint import hub_is_reachable
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.tasks.building import check_training
from espnet2_cltm.tasks.command import check_checkpoint
from espnet2_cltm.tasks.options import parse_options
from espnet2_cltm.tasks.training import training_arguments
from tests.frontend.test_damaged_checkpoints import Opener
from tests.speech import TINY_GENDER

CLASSES = ("--classes", "f m")


def write_config(directory, **options):
    path = directory / "train.yaml"
    path.write_text(yaml.safe_dump({**TINY_GENDER, "num_workers": 0, **options}))
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epoch", 0),
        ("max_epoch", None),
        ("max_epoch", True),
        ("max_epoch", 2.5),
        ("accum_grad", -1),
        ("batch_size", 0),
        ("valid_batch_size", 0),
        ("batch_bins", 0),
        ("num_iters_per_epoch", 0),
        ("num_workers", -1),
        ("grad_clip", float("nan")),
        ("grad_clip", 0.0),
        ("seed", 2**32),
        ("seed", 2**32 - 1),
        ("seed", -1),
        ("use_amp", "perhaps"),
        ("batch_type", "bogus"),
        ("optim", "nope"),
        ("scheduler", "nope"),
        ("strategy", "nope"),
        ("frontend", "nope"),
        ("train_dtype", "float16"),
        ("optim_conf", [1]),
        ("frontend_conf", "hubert-small"),
        ("classes", ["f", "m"]),
        ("fold_length", [0]),
        ("no_such_option", 1),
    ],
)
def test_a_value_that_an_option_cannot_have_is_named(tmp_path, name, value):
    path = write_config(tmp_path, **{name: value})
    with pytest.raises(UserError, match=name) as caught:
        parse_options(LabelEspnetTask.get_parser(), ["--config", str(path)])
    assert str(path) in str(caught.value)


def test_one_value_stands_for_a_list_of_one(tmp_path):
    path = write_config(tmp_path, init_param="a.pth", optim_conf=None)
    args = parse_options(LabelEspnetTask.get_parser(), ["--config", str(path)])
    assert args.init_param == ["a.pth"] and args.optim_conf == {}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"freeze_param": ["nothing"]}, "freeze_param: nothing"),
        ({"freeze_param": ["frontend", "projector", "classifier"]}, "left to train"),
        ({"optim_conf": {"lr": -1.0}}, "optim: "),
        ({"optim_conf": {"learning": 1.0}}, "learning"),
        ({"scheduler_conf": {"gamma": 1}}, "without a scheduler"),
        ({"scheduler": "exponentiallr", "scheduler_conf": {"x": 1}}, "scheduler: "),
        ({"pooling_conf": {"x": 1}}, "pooling_conf"),
        ({"projector_conf": {"output_size": -1}}, "projector_conf"),
        ({"strategy": "freeze", "strategy_conf": {"part": 99}}, "part: 99"),
        ({"model_conf": {"autocast": "float8"}}, "autocast: float8"),
        ({"init_param": ["/no/such.pth"]}, "/no/such.pth"),
    ],
)
def test_what_cannot_be_built_is_named_before_there_is_data(tmp_path, options, told):
    args = training_arguments(
        LabelEspnetTask, write_config(tmp_path, **options), CLASSES
    )
    with pytest.raises(UserError, match=told):
        check_training(LabelEspnetTask, args)


def test_a_check_leaves_logging_for_espnet_to_set_up(tmp_path, monkeypatch):
    class Task(LabelEspnetTask):
        @classmethod
        def build_model(cls, args):
            logging.info("as where an encoder is read")
            return super().build_model(args)

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    check_training(Task, training_arguments(Task, write_config(tmp_path), CLASSES))
    assert logging.getLogger().handlers == []


@pytest.mark.parametrize(
    "kind", ["pickle", "inside", "nan", "other", "nothing", "text"]
)
def test_init_param_holds_weights_alone_that_fit(tmp_path, kind):
    path = tmp_path / "weights.pth"
    plain = training_arguments(LabelEspnetTask, write_config(tmp_path), CLASSES)
    state = LabelEspnetTask.build_model(plain).state_dict()
    param = f"{path}:no_such_part" if kind == "nothing" else str(path)
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Opener(tmp_path / "opened")))
    elif kind == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    else:
        if kind == "inside":
            state["more"] = Opener(tmp_path / "opened")
        elif kind == "nan":
            state["projector.linear.bias"].fill_(float("nan"))
        elif kind == "other":
            state["projector.linear.bias"] = torch.zeros(3)
        torch.save(state, path)
    args = training_arguments(
        LabelEspnetTask, write_config(tmp_path, init_param=[param]), CLASSES
    )
    with pytest.raises(UserError, match=f"init_param: {path}"):
        check_training(LabelEspnetTask, args)
    assert not (tmp_path / "opened").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize(
    "main", [gender_train.main, speaker_train.main, hubert_pretrain.main]
)
def test_a_missing_gpu_is_told_by_the_training_commands(main, tmp_path, capsys):
    n_gpus = str(torch.cuda.device_count() + 1)
    with pytest.raises(SystemExit) as stopped:
        main(["--output_dir", str(tmp_path), "--ngpu", n_gpus])
    assert stopped.value.code == 1
    assert f"--ngpu {n_gpus} asks for more GPUs" in capsys.readouterr().err


def test_a_dry_run_asks_for_no_encoder_that_is_elsewhere(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise AssertionError("The network was asked for.")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    model = "utter-project/no-such-encoder"
    path = write_config(tmp_path, frontend_conf={"model": model})
    gender_train.main(
        [
            *("--config", str(path), "--output_dir", str(tmp_path / "exp")),
            *("--iterator_type", "none", "--dry_run", "true"),
        ]
    )
    written = yaml.safe_load((tmp_path / "exp" / "config.yaml").read_text())
    assert written["frontend_conf"]["model"] == model


def test_without_a_network_the_hub_is_not_asked(monkeypatch):
    def no_network(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    hub_is_reachable.cache_clear()
    assert not hub_is_reachable()
    hub_is_reachable.cache_clear()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "names no "),
        (["--train_data_path_and_name_and_type", "a,speech,sound"], "names no label"),
        (
            [
                *("--train_data_path_and_name_and_type", "none.scp,speech,sound"),
                *("--train_data_path_and_name_and_type", "none.lab,label,text"),
                *("--train_shape_file", "none.len"),
            ],
            "none.len is missing",
        ),
        (
            [
                *("--train_data_path_and_name_and_type", "a.scp,speech,sound"),
                *("--train_data_path_and_name_and_type", "a.lab,label,text"),
                *("--train_data_path_and_name_and_type", "b.scp,speech,sound"),
            ],
            "(a.scp and b.scp)",
        ),
    ],
)
def test_data_that_are_not_there_are_named(tmp_path, capsys, options, told):
    with pytest.raises(SystemExit) as stopped:
        gender_train.main(
            [
                *("--config", str(write_config(tmp_path))),
                *("--output_dir", str(tmp_path / "exp"), *options),
            ]
        )
    assert stopped.value.code == 1 and told in capsys.readouterr().err


def test_a_training_is_resumed_from_weights_alone(tmp_path, capsys):
    torch.save({"model": Opener(tmp_path / "opened")}, tmp_path / "checkpoint.pth")
    with pytest.raises(UserError, match=r"checkpoint\.pth cannot be resumed from"):
        check_checkpoint(tmp_path / "checkpoint.pth")
    assert not (tmp_path / "opened").exists()
