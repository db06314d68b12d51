"""A strategy of one's own, found by its entry point: its hooks in every training."""

import sys
import textwrap

import pytest
import torch
import yaml
from espnet2.torch_utils.recursive_op import recursive_average

from espnet2_cltm import registry
from espnet2_cltm.bin import label_train, speaker_train
from espnet2_cltm.errors import UserError
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.registry import find_strategy, strategy_names
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.tasks.adaptation import _batch_hooks
from espnet2_cltm.tasks.model_files import (
    PackedModel,
    load_model,
    pack_model,
    read_packed_model,
)
from espnet2_cltm.tasks.training import train_in_memory, training_arguments
from tests.speech import (
    TINY_GENDER,
    TINY_HUBERT,
    TINY_SPEAKER,
    build_gender_model,
    draw_speaker_trials,
    write_dump,
)

OUTSIDE = '''
import torch
from espnet2_cltm.strategies.strategy import Strategy, encoder_of

calls = []


class Thaw(Strategy):
    """The head alone in the first epoch, then all but the convolutions.

    The top layer joins in with the first epoch's second batch.
    """

    def __init__(self, weight=0.1):
        self.weight = weight
        self.is_thawed = False
        self.n_batches = 0

    def prepare(self, model):
        calls.append("prepare")
        top = encoder_of(model).hubert.encoder.layers[-1].final_layer_norm
        torch.nn.init.normal_(top.weight)

    def frozen_prefix(self, model):
        depth = encoder_of(model).hubert.config.num_hidden_layers
        return -1 if self.is_thawed else depth - min(self.n_batches, 1)

    def parameter_groups(self, model):
        encoder = list(model.frontend.parameters())
        known = {id(parameter) for parameter in encoder}
        head = [p for p in model.parameters() if id(p) not in known]
        return [{"params": encoder, "lr_scale": 0.5}, {"params": head}]

    def on_epoch(self, model, epoch):
        calls.append(("epoch", epoch))
        self.is_thawed = epoch > 1

    def on_step(self, model, step):
        calls.append(("step", step))
        self.n_batches = step

    def penalty(self, model):
        calls.append("penalty")
        return self.weight * sum(p.square().sum() for p in model.projector.parameters())

    def to_store(self, model):
        return [n for n in model.state_dict() if "feature_extractor" not in n]
'''
DEEP = {**TINY_HUBERT, "num_hidden_layers": 2, "hidden_dropout": 0.1}
COMMANDS = {
    "gender": (LabelEspnetTask, label_train.main, TINY_GENDER),
    "speaker": (SpeakerTask, speaker_train.main, TINY_SPEAKER),
}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    root = tmp_path_factory.mktemp("speech")
    write_dump(root, ["es"], {"train": 2, "dev": 2})
    draw_speaker_trials(root / "es" / "dev")
    return root / "es"


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """Install a package with one strategy."""
    package = tmp_path / "installed"
    package.mkdir()
    (package / "thawing.py").write_text(OUTSIDE)
    info = package / "thawing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: thawing\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(
        textwrap.dedent("""
        [espnet2_cltm.strategies]
        thaw = thawing:Thaw
        missing = thawing:Nothing
        wrong = thawing:calls
        """)
    )
    monkeypatch.syspath_prepend(str(package))
    registry._entry_points.cache_clear()
    import thawing

    yield thawing
    registry._entry_points.cache_clear()
    sys.modules.pop("thawing")


def configuration(task, spoken, path, **changes):
    """Write a training configuration with its data."""
    data = {}
    for which, split in (("train", "train"), ("valid", "dev")):
        directory = spoken / split
        triples = [[f"{directory}/wav.scp", "speech", "kaldi_ark"]]
        if task == "gender":
            triples.append([f"{directory}/utt2gender", "label", "text"])
        elif which == "train":
            triples.append([f"{directory}/utt2spk", "spk_labels", "text"])
        data[f"{which}_data_path_and_name_and_type"] = triples
        data[f"{which}_shape_file"] = [f"{directory}/utt2num_samples"]
    if task == "speaker":
        data["spk2utt"] = f"{spoken}/train/spk2utt"
        data["valid_trials"] = [[f"{spoken}/dev/trials", "es"]]
    config = {
        **COMMANDS[task][2],
        **data,
        "frontend_conf": {"model": DEEP},
        "strategy": "thaw",
        "seed": 3,
        "scheduler": "exponentiallr",
        "scheduler_conf": {"gamma": 0.5},
        **changes,
    }
    path.write_text(yaml.safe_dump(config))
    return path


def in_memory(task, config):
    return train_in_memory(
        COMMANDS[task][0], training_arguments(COMMANDS[task][0], config)
    )


@pytest.mark.parametrize("task", COMMANDS)
def test_a_run_gives_the_weights_of_the_command(task, spoken, tmp_path, outside):
    config = configuration(task, spoken, tmp_path / "train.yaml")
    found = in_memory(task, config).model.state_dict()
    calls = outside.calls[:]
    outside.calls.clear()
    COMMANDS[task][1](["--config", str(config), "--output_dir", str(tmp_path / "exp")])
    expected = torch.load(tmp_path / "exp" / "latest.pth", weights_only=True)
    # The command builds the model once more, before any work.
    assert outside.calls == ["prepare", *calls]
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in found)


@pytest.mark.parametrize("accum_grad", [1, 2])
def test_hooks_are_called_in_order(spoken, tmp_path, outside, accum_grad):
    config = configuration(
        "gender", spoken, tmp_path / "train.yaml", batch_size=4, accum_grad=accum_grad
    )
    in_memory("gender", config)
    batches = len((spoken / "train" / "wav.scp").read_text().splitlines()) // 4
    expected = ["prepare"]
    for epoch in (1, 2):
        expected.append(("epoch", epoch))
        for n in range(batches):
            update = ((epoch - 1) * batches + n) // accum_grad
            expected += [("step", update), "penalty"]
    assert outside.calls == expected


def test_a_penalty_can_be_averaged_over_several_gpus(outside):
    model = build_gender_model(
        {**TINY_GENDER, "frontend_conf": {"model": DEEP}, "strategy": "thaw"}
    ).train()
    speech, lengths = torch.randn(2, 4000), torch.tensor([4000, 4000])
    with _batch_hooks(model, model.strategy, 0, 1, 1):
        _, stats, weight = model(speech, lengths, torch.tensor([[0], [1]]))
    averaged, _ = recursive_average(stats, weight)
    assert averaged["penalty"] == stats["penalty"] > 0


def test_parts_out_of_use_do_not_stop_several_gpus(tmp_path):
    args = LabelEspnetTask.get_parser().parse_args([])
    speech, lengths = torch.randn(2, 4000), torch.tensor([4000, 4000])
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("gloo", store, rank=0, world_size=1)
    try:
        model = torch.nn.parallel.DistributedDataParallel(
            build_gender_model(TINY_GENDER).train(),
            find_unused_parameters=args.unused_parameters,
        )
        for _ in range(2):
            model(speech, lengths, torch.tensor([[0], [1]]))[0].backward()
    finally:
        torch.distributed.destroy_process_group()


def test_a_resumed_training_goes_on_to_the_same_weights(spoken, tmp_path, outside):
    config = configuration("gender", spoken, tmp_path / "train.yaml")
    output = ["--config", str(config), "--output_dir", str(tmp_path / "exp")]
    label_train.main([*output, "--max_epoch", "1"])
    before = max(call[1] for call in outside.calls if call[0] == "step")
    outside.calls.clear()
    label_train.main([*output, "--resume", "true"])
    assert outside.calls[2:4] == [("epoch", 2), ("step", before + 1)]
    found = torch.load(tmp_path / "exp" / "latest.pth", weights_only=True)
    expected = in_memory("gender", config).model.state_dict()
    assert all(found[name].equal(expected[name]) for name in expected)


def test_what_a_strategy_draws_leaves_the_rest_as_it_is(outside):
    plain = build_gender_model({**TINY_GENDER, "frontend_conf": {"model": DEEP}}, 5)
    thawed = build_gender_model(
        {**TINY_GENDER, "frontend_conf": {"model": DEEP}, "strategy": "thaw"}, 5
    )
    different = {
        name
        for name, value in plain.state_dict().items()
        if not value.equal(thawed.state_dict()[name])
    }
    assert different == {"frontend.hubert.encoder.layers.1.final_layer_norm.weight"}


def test_a_part_that_was_frozen_is_trained_later(spoken, tmp_path, outside):
    start = build_gender_model(
        {**TINY_GENDER, "frontend_conf": {"model": DEEP}, "strategy": "thaw"}, 3
    ).state_dict()
    changed = {}
    for epochs in (1, 2):
        config = configuration(
            "gender", spoken, tmp_path / "train.yaml", max_epoch=epochs
        )
        state = in_memory("gender", config).model.state_dict()
        changed[epochs] = {n for n in state if not state[n].equal(start[n])}
    encoder = {name for name in changed[1] if "hubert" in name}
    assert encoder and all("encoder.layers.1." in name for name in encoder)
    assert any("encoder.layers.0" in name for name in changed[2])
    assert not any("feature_extractor" in name for name in changed[2])


def test_a_group_learns_at_a_scaled_rate_whatever_the_scheduler(outside):
    model = build_gender_model(
        {**TINY_GENDER, "frontend_conf": {"model": DEEP}, "strategy": "thaw"}
    )
    args = LabelEspnetTask.get_parser().parse_args(
        ["--optim", "sgd", "--optim_conf", "lr=0.1", "--strategy", "thaw"]
    )
    (optimizer,) = LabelEspnetTask.build_optimizers(args, model)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for rate in (0.1, 0.05):
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        assert [group["lr"] for group in optimizer.param_groups] == [rate, rate]
        for name, parameter in model.named_parameters():
            scale = 0.5 if name.startswith("frontend") else 1.0
            torch.testing.assert_close(parameter, before[name] - scale * rate)
        scheduler.step()
    args.exclude_weight_decay = True
    with pytest.raises(UserError, match="exclude_weight_decay does not go with"):
        LabelEspnetTask.build_optimizers(args, model)


def test_a_kept_model_holds_what_the_strategy_stores(spoken, tmp_path, outside):
    config = configuration("gender", spoken, tmp_path / "train.yaml")
    args = training_arguments(LabelEspnetTask, config)
    model = train_in_memory(LabelEspnetTask, args).model
    path = tmp_path / "model.zip"
    packed = PackedModel(path, "gender", "run", ("es",), {"es": {"file": "2epoch.pth"}})
    pack_model(path, model, args, {"2epoch.pth": model.state_dict()}, packed)
    (tmp_path / "out").mkdir()
    files = read_packed_model(path).extract(tmp_path / "out")
    stored = torch.load(files["model_file"], weights_only=True)
    assert stored and not any("feature_extractor" in name for name in stored)
    again = load_model(LabelEspnetTask, **files).state_dict()
    assert all(again[n].equal(value) for n, value in model.state_dict().items())
    del stored["projector.linear.weight"]
    torch.save(stored, files["model_file"])
    with pytest.raises(UserError, match=r"projector\.linear\.weight"):
        load_model(LabelEspnetTask, **files)


def test_a_strategy_is_known_by_its_entry_point(outside, tmp_path):
    own = set(registry._STRATEGIES)
    assert strategy_names() == tuple(sorted(own | {"missing", "thaw", "wrong"}))
    assert find_strategy("thaw") is outside.Thaw
    with pytest.raises(UserError, match="thawing:Nothing cannot be loaded"):
        find_strategy("missing")
    with pytest.raises(UserError, match="thawing:calls is not a subclass of Strategy"):
        find_strategy("wrong")
    with pytest.raises(UserError, match="--strategy thwa is not known: give one of"):
        find_strategy("thwa")
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(TINY_GENDER))
    with pytest.raises(UserError, match="invalid choice: 'thwa'"):
        training_arguments(LabelEspnetTask, path, ["--strategy", "thwa"])


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA")])
def test_a_batch_that_memory_does_not_do_for_is_named(
    spoken, tmp_path, outside, monkeypatch, error
):
    def forward(self, *args, **kwargs):
        raise error

    monkeypatch.setattr("espnet2_cltm.label.model.LabelModel.logits", forward)
    config = configuration("gender", spoken, tmp_path / "train.yaml")
    with pytest.raises(UserError, match=r"batch of \d+ utterances, es-\S+ of 0\.\d s"):
        in_memory("gender", config)
