"""Houlsby adapters against ESPnet's module in the places that the paper names."""

import pytest
import torch
from espnet2.layers.houlsby_adapter_layer import Houlsby_Adapter

from espnet2_cltm.errors import UserError
from tests.strategies.models import build, changed, logits, train


def test_logits_are_those_of_espnets_adapters_behind_both_sublayers():
    model = train(build("houlsby", {"bottleneck": 5}))
    state = model.state_dict()
    expected = build().eval()
    expected.load_state_dict({n: v for n, v in state.items() if "adapters" not in n})
    for number, layer in enumerate(expected.frontend.hubert.encoder.layers):
        for place in ("attention.out_proj", "feed_forward.output_dense"):
            adapter = Houlsby_Adapter(16, 5)
            first, _, last = adapter.houlsby_adapter
            name = f"frontend.hubert.encoder.layers.{number}.{place}.adapters.houlsby"
            for linear, part in ((first, "down"), (last, "up")):
                linear.weight.data = state[f"{name}.{part}.weight"]
                linear.bias.data = state[f"{name}.{part}.bias"]
            layer.get_submodule(place).register_forward_hook(
                lambda module, inputs, output, adapter=adapter: output + adapter(output)
            )
    torch.testing.assert_close(logits(expected), logits(model), rtol=0, atol=1e-6)


@pytest.mark.parametrize("strategy", ["houlsby", "lora+houlsby"])
def test_adapters_and_head_learn_and_nothing_else_changes_a_bit(strategy):
    model = build(strategy)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.testing.assert_close(logits(model.eval()), logits(build().eval()))
    after = train(model).state_dict()
    adapters = {name for name in after if ".adapters." in name}
    head = {name for name in after if not name.startswith("frontend")}
    assert adapters and changed(before, after) == adapters | head


def test_both_kinds_of_adapters_share_a_layer():
    conf = {"lora": {"target_modules": "out_proj"}, "houlsby": {"bottleneck": 3}}
    both = build("lora+houlsby", conf)
    for alone in (build("lora", conf["lora"]), build("houlsby", conf["houlsby"])):
        assert not changed(both.state_dict(), alone.state_dict())


@pytest.mark.parametrize("bottleneck", [0, 2.5, True, "4"])
def test_other_sizes_are_refused(bottleneck):
    with pytest.raises(UserError, match=f"bottleneck: {bottleneck} in strategy_conf"):
        build("houlsby", {"bottleneck": bottleneck})
