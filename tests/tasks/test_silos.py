"""Silos that train with ESPnet against ESPnet's central training."""

import pytest
import torch
import yaml

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.pooling.methods import Fomaml, Rounds
from espnet2_cltm.pooling.weights import trained_weights
from espnet2_cltm.tasks.building import start_model
from espnet2_cltm.tasks.silos import Silo, train_in_rounds, train_to_adapt
from espnet2_cltm.tasks.training import train_in_memory, training_arguments
from tests.speech import TINY_GENDER, TINY_HUBERT, write_dump

LANGS = ("es", "tr")
STILL = {
    **TINY_HUBERT,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
}
CONFIG = {
    **TINY_GENDER,
    "frontend_conf": {"model": STILL},
    "optim": "sgd",
    "optim_conf": {"lr": 0.1},
    "grad_clip": 1e9,
    "seed": 7,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    write_dump(root, list(LANGS))
    return root


@pytest.fixture
def arguments(store, tmp_path):
    """Return a function that gives the arguments of a training on some languages."""

    def build(langs=LANGS, **options):
        data = {}
        for phase, split in (("train", "train"), ("valid", "dev")):
            place = tmp_path / "+".join(langs) / phase
            place.mkdir(parents=True, exist_ok=True)
            for name in ("wav.scp", "utt2gender", "utt2num_samples"):
                parts = [(store / x / split / name).read_text() for x in langs]
                (place / name).write_text("".join(parts))
            data[f"{phase}_data_path_and_name_and_type"] = [
                [str(place / "wav.scp"), "speech", "kaldi_ark"],
                [str(place / "utt2gender"), "label", "text"],
            ]
            data[f"{phase}_shape_file"] = [str(place / "utt2num_samples")]
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump({**CONFIG, **data, **options}))
        return training_arguments(LabelEspnetTask, path)

    return build


def in_rounds(arguments, method, criteria=(), **options):
    of_silos = {lang: arguments([lang], **options) for lang in LANGS}
    return train_in_rounds(
        LabelEspnetTask,
        arguments(**options),
        of_silos,
        {lang: 24 for lang in LANGS},
        method,
        criteria,
    )


def assert_close(one, other, atol):
    state = other.state_dict()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, state[name], atol=atol, rtol=0, msg=name)


def test_one_local_step_of_equal_silos_is_the_central_step(arguments):
    found, _ = in_rounds(arguments, Rounds(), max_epoch=1, batch_size=24)
    args = arguments(max_epoch=1, batch_size=48)
    begun = start_model(LabelEspnetTask, args).state_dict()
    central = train_in_memory(LabelEspnetTask, args).model
    assert_close(found.model, central, 1e-6)
    moved = [
        (value - begun[name]).abs().max().item()
        for name, value in central.state_dict().items()
    ]
    assert max(moved) > 1e-3  # the step is far larger than what may differ


@pytest.mark.parametrize(
    "schedule",
    [
        {"scheduler": "exponentiallr", "scheduler_conf": {"gamma": 0.5}},
        {"scheduler": "warmuplr", "scheduler_conf": {"warmup_steps": 9}},
    ],
)
@pytest.mark.parametrize("strategy", ["full", "gradual"])
@pytest.mark.slow
def test_a_single_silo_is_a_central_training_to_the_last_bit(
    arguments, schedule, strategy
):
    options = {**schedule, "strategy": strategy, "max_epoch": 4, "batch_size": 8}
    if strategy == "gradual":
        conf = {"freeze_finetune_updates": 4, "unfreeze_every": 4}
        options["strategy_conf"] = conf
    args = arguments(["es"], **options)
    found, records = train_in_rounds(
        LabelEspnetTask, args, {"es": args}, {"es": 24}, Rounds(local_epochs=2)
    )
    assert len(records) == 2
    central = train_in_memory(LabelEspnetTask, args).model
    assert_close(found.model, central, 0)


def test_a_silo_keeps_nothing_between_rounds(arguments):
    options = {"optim": "adamw", "optim_conf": {"lr": 1e-2}, "batch_size": 8}
    args = arguments(["es"], **options)
    model = start_model(LabelEspnetTask, args)
    start = trained_weights(model)
    one, other = (Silo(LabelEspnetTask, args, model, Rounds()) for _ in range(2))
    first = one(start, 0)
    other({name: value + 1 for name, value in start.items()}, 1)
    again = other(start, 0)
    assert all(first[name].equal(again[name]) for name in first)


def test_the_best_round_is_chosen_on_all_dev_sets(arguments):
    criterion = ("valid", "acc", "max")
    found, _ = in_rounds(arguments, Rounds(rounds=3), [criterion])
    assert [entry["epoch"] for entry in found.validation] == [1, 2, 3]
    best = found.best[criterion]
    assert best.value == max(entry["acc"] for entry in found.validation)
    assert found.use(criterion)["epoch"] == best.epoch


def test_adapters_travel_as_kilobytes(arguments):
    _, full = in_rounds(arguments, Rounds(rounds=1))
    lora = {"strategy": "lora", "strategy_conf": {"rank": 2}}
    _, small = in_rounds(arguments, Rounds(rounds=1), **lora)
    assert small[0].bytes_up == small[0].bytes_down < full[0].bytes_up / 5


def test_a_pull_towards_the_start_keeps_weights_nearer(arguments):
    def moved(mu):
        args = arguments(optim_conf={"lr": 0.2})
        begun = start_model(LabelEspnetTask, args).state_dict()
        found, _ = in_rounds(
            arguments,
            Rounds(rounds=1, local_epochs=3, mu=mu),
            optim_conf={"lr": 0.2},
        )
        state = found.model.state_dict()
        return sum((state[n] - begun[n]).square().sum().item() for n in state)

    assert 0 < moved(1.0) < moved(0.0)


def test_more_clients_than_languages_are_refused(arguments):
    with pytest.raises(UserError, match="clients: 3"):
        in_rounds(arguments, Rounds(clients=3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "conf"),
    [
        ("full", {}),
        ("lora", {"rank": 2}),
        ("gradual", {"freeze_finetune_updates": 2, "unfreeze_every": 2}),
        ("adversarial", {"languages": ["es", "tr"]}),
    ],
)
def test_fomaml_trains_what_each_strategy_trains(arguments, strategy, conf):
    options = {"strategy": strategy, "strategy_conf": conf, "max_epoch": 3}
    of_silos = {lang: arguments([lang], **options) for lang in LANGS}
    args = arguments(**options)
    begun = start_model(LabelEspnetTask, args)
    trained = {n for n, p in begun.named_parameters() if p.requires_grad}
    found = train_to_adapt(LabelEspnetTask, args, of_silos, Fomaml()).model
    before, after = begun.state_dict(), found.state_dict()
    moved = {name for name in after if not after[name].equal(before[name])}
    if strategy == "gradual":
        assert moved > {n for n in trained if not n.startswith("frontend")}
    else:
        assert trained - moved <= {"frontend.hubert.masked_spec_embed"}
    again = train_to_adapt(LabelEspnetTask, args, of_silos, Fomaml()).model
    assert_close(found, again, 0)
