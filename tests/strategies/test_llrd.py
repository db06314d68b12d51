"""Layer-wise rates, written out for an encoder of three layers."""

import pytest

from espnet2_cltm.errors import UserError
from tests.strategies.models import build

BELOW = ("feature_extractor", "feature_projection", "pos_conv_embed", "masked_spec")


@pytest.mark.parametrize("stable", [False, True])
def test_each_parameter_has_the_rate_of_its_layer(stable):
    norm = "layer" if stable else "group"
    model = build(
        "llrd", {"decay": 0.5}, do_stable_layer_norm=stable, feat_extract_norm=norm
    )
    scales = {
        parameter: group["lr_scale"]
        for group in model.strategy.parameter_groups(model)
        for parameter in group["params"]
    }
    assert len(scales) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        if not name.startswith("frontend.hubert"):
            expected = 1.0
            if name.startswith("frontend.group_norm"):
                expected = 0.0625
        elif any(part in name for part in BELOW):
            expected = 0.0625
        elif ".layers." in name:
            layer = int(name.split(".layers.")[1].split(".")[0])
            expected = {2: 0.5, 1: 0.25, 0: 0.125}[layer]
        else:
            assert "encoder.layer_norm" in name
            expected = 0.5 if stable else 0.0625
        assert scales[parameter] == expected, name


@pytest.mark.parametrize("decay", [0, -0.5, 1.1, "much", True, float("nan")])
def test_other_decays_are_refused(decay):
    with pytest.raises(UserError, match=f"decay: {decay} in strategy_conf must be"):
        build("llrd", {"decay": decay})
