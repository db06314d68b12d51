"""Gradual unfreezing: what is trained at which update."""

import pytest
import torch

from espnet2_cltm.errors import UserError
from tests.strategies.models import build

PARTS = (
    "encoder.layers.2",
    "encoder.layers.1",
    "encoder.layers.0",
    "feature_projection",
    "feature_extractor",
)


@pytest.mark.parametrize(
    ("conf", "trained"),
    [
        ((2, 3), {0: 0, 1: 0, 2: 1, 4: 1, 5: 2, 8: 3, 11: 4, 13: 4, 14: 5, 99: 5}),
        ((0, 1), {0: 1, 1: 2, 4: 5}),
        ((3, 0), {2: 0, 3: 5}),
    ],
)
def test_parts_join_in_from_the_top(conf, trained):
    frozen, every = conf
    options = {"freeze_finetune_updates": frozen, "unfreeze_every": every}
    model = build("gradual", options)
    for update, number in trained.items():
        model.strategy.on_step(model, update)
        model.frontend.freeze_up_to(
            model.strategy.frozen_prefix(model), model.strategy.reuse_frozen
        )
        for place, part in enumerate(PARTS):
            named = model.frontend.named_parameters()
            learns = {p.requires_grad for name, p in named if f".{part}." in name}
            assert learns == {place < number}, (update, part)


def test_the_convolutions_stay_frozen_and_reused_if_the_frontend_says_so():
    model = build("gradual", frontend={"freeze": "cnn", "reuse_frozen": True})
    for update in (0, 25, 999):
        model.strategy.on_step(model, update)
        model.frontend.freeze_up_to(
            model.strategy.frozen_prefix(model), model.strategy.reuse_frozen
        )
        assert model.frontend.highest_reused == -1
    assert not any(
        p.requires_grad for p in model.frontend.hubert.feature_extractor.parameters()
    )


def test_several_gpus_are_refused(monkeypatch):
    model = build("gradual")
    model.strategy.on_epoch(model, 1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(UserError, match="strategy: gradual trains on one GPU"):
        model.strategy.on_epoch(model, 1)


@pytest.mark.parametrize("name", ["freeze_finetune_updates", "unfreeze_every"])
@pytest.mark.parametrize("value", [-1, 2.5, True])
def test_other_numbers_are_refused(name, value):
    with pytest.raises(UserError, match=f"{name}: {value} in strategy_conf must be"):
        build("gradual", {name: value})
