"""Freezing as a strategy: the numbers of the frontend's own options."""

from pathlib import Path

import pytest
import torch
import yaml

from espnet2_cltm.errors import UserError
from espnet2_cltm.registry import find_strategy
from espnet2_cltm.strategies.freeze import Freeze
from tests.speech import TINY_GENDER, TINY_HUBERT, build_gender_model

OVERLAYS = Path(__file__).parents[2] / "conf" / "strategies"
DEEP = {**TINY_HUBERT, "num_hidden_layers": 3, "hidden_dropout": 0.1}


def config(strategy=None, **frontend):
    return {
        **TINY_GENDER,
        **(strategy or {}),
        "frontend_conf": {"model": DEEP, **frontend},
    }


def trained_weights(model):
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    speech = torch.randn(2, 6000)
    for _ in range(2):
        loss, _, _ = model.train()(
            speech, torch.tensor([6000, 5000]), torch.tensor([[0], [1]])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize(
    ("conf", "frontend"),
    [
        ({"part": "cnn"}, {"freeze": "cnn", "reuse_frozen": True}),
        ({"part": "cnn", "reuse": False}, {"freeze": "cnn"}),
        ({"part": 2}, {"freeze_layers": 2, "reuse_frozen": True}),
        ({"part": "all"}, {"freeze": "all", "reuse_frozen": True}),
        ({"part": 3}, {"freeze": "all", "reuse_frozen": True}),
    ],
    ids=str,
)
def test_it_gives_the_numbers_of_the_frontends_own_options(conf, frontend):
    strategy = {"strategy": "freeze", "strategy_conf": conf}
    found = trained_weights(build_gender_model(config(strategy)))
    expected = trained_weights(build_gender_model(config(**frontend)))
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in found)


def test_full_trains_everything_but_what_the_frontend_freezes():
    state = trained_weights(build_gender_model(config({"strategy": "full"})))
    default = trained_weights(build_gender_model(config()))
    assert all(state[name].equal(default[name]) for name in state)
    first = build_gender_model(config({"strategy": "full"}, freeze="cnn"))
    fixed = {n for n, p in first.named_parameters() if not p.requires_grad}
    assert fixed and all("feature_extractor" in name for name in fixed)


def test_a_frontend_that_freezes_more_stays_frozen():
    strategy = {"strategy": "freeze", "strategy_conf": {"part": "cnn"}}
    model = build_gender_model(config(strategy, freeze_layers=2))
    layers = model.frontend.hubert.encoder.layers
    assert not any(p.requires_grad for p in layers[1].parameters())
    assert all(p.requires_grad for p in layers[2].parameters())


def test_what_follows_the_encoder_has_a_rate_of_its_own():
    model = build_gender_model(config())
    head, encoder = Freeze("all", lr=0.003).parameter_groups(model)
    assert head["lr"] == 0.003 and "lr" not in encoder
    names = {parameter: name for name, parameter in model.named_parameters()}
    assert {names[one].split(".")[0] for one in encoder["params"]} == {"frontend"}
    rest = {name for name in names.values() if not name.startswith("frontend.")}
    assert {names[one] for one in head["params"]} == rest
    assert Freeze("all").parameter_groups(model) is None


@pytest.mark.parametrize("lr", [0, -0.1, float("nan"), "fast", True])
def test_a_rate_that_is_none_is_refused(lr):
    with pytest.raises(UserError, match=f"lr: {lr} in strategy_conf"):
        Freeze("all", lr=lr)


@pytest.mark.parametrize("part", [0, -1, True, "most", 1.5, None])
def test_other_parts_are_refused(part):
    with pytest.raises(UserError, match=f"part: {part} in strategy_conf is unknown"):
        Freeze(part)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy_conf": {"part": 4}}, "more than this encoder's 3 transformer"),
        (
            {"strategy_conf": {"parts": 1}},
            "strategy: freeze has no option parts: strategy_conf takes part, reuse, lr",
        ),
        ({"frontend": "default", "frontend_conf": {}}, "set frontend: ssl"),
        ({"strategy": "thaw"}, "strategy: thaw is unknown: give one of adversarial"),
    ],
)
def test_what_cannot_be_frozen_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        build_gender_model({**config({"strategy": "freeze"}), **changes})


@pytest.mark.parametrize("path", sorted(OVERLAYS.glob("*.yaml")), ids=lambda p: p.stem)
def test_an_overlay_names_a_strategy_with_options_that_it_takes(path):
    overlay = yaml.safe_load(path.read_text())
    assert overlay["strategy"] == path.stem
    strategy = find_strategy(path.stem)
    strategy(**strategy.for_run(overlay["strategy_conf"], ["es", "tr"]))
