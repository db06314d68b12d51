"""Layers drawn anew: as transformers draws them, by the seed, and no others."""

import pytest
import torch

from espnet2_cltm.errors import UserError
from tests.strategies.models import build, changed


def test_the_highest_layers_are_as_a_new_encoders():
    sizes = {"hidden_size": 64, "intermediate_size": 128}
    model = build("reinit", {"layers": 2}, **sizes)
    different = changed(build(**sizes).state_dict(), model.state_dict())
    layers = ("frontend.hubert.encoder.layers.1.", "frontend.hubert.encoder.layers.2.")
    assert different and all(name.startswith(layers) for name in different)
    for name, value in model.state_dict().items():
        if not name.startswith(layers):
            continue
        if "norm" in name and name.endswith("weight"):
            assert value.eq(1).all()
        elif name.endswith("bias"):
            assert value.eq(0).all()
        else:
            assert value.std().item() == pytest.approx(0.02, rel=0.1), name
            assert abs(value.mean().item()) < 0.002


def test_what_was_trained_is_forgotten():
    model = build()
    strategy = build("reinit").strategy
    top = model.frontend.hubert.encoder.layers[-1]
    with torch.no_grad():
        for parameter in top.parameters():
            parameter.fill_(7.0)
    strategy.prepare(model)
    assert not any(p.eq(7.0).any() for p in top.parameters())


def test_the_seed_decides():
    first, again, other = (
        build("reinit", seed=seed).frontend.state_dict() for seed in (1, 1, 2)
    )
    assert not changed(first, again) and changed(first, other)
    head = build(seed=1).projector.state_dict()
    assert not changed(head, build("reinit", seed=1).projector.state_dict())


def test_adapters_of_a_drawn_layer_stay():
    state = build("lora+reinit").state_dict()
    alone = build("lora").state_dict()
    adapters = {name for name in state if ".adapters." in name}
    assert adapters and not adapters & changed(alone, state)


@pytest.mark.parametrize(
    ("layers", "message"),
    [(0, "layers: 0 in"), (True, "must be a whole"), (4, "this encoder's 3 trans")],
)
def test_other_numbers_are_refused(layers, message):
    with pytest.raises(UserError, match=message):
        build("reinit", {"layers": layers})
