"""LoRA against peft, against a product written out, and against its traps."""

import argparse
import copy

import peft
import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.strategies.adapters import AdaptedLinear
from espnet2_cltm.strategies.lora import merge_lora
from espnet2_cltm.tasks.adaptation import AdaptingTask
from tests.strategies.models import LENGTHS, SPEECH, build, changed, logits, train


def adapted(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, AdaptedLinear)}


def test_rank_4_trains_at_most_a_hundredth_of_the_encoders_parameters():
    model = build("lora", {"rank": 4}, {"model": "hubert-small"})
    hubert = model.frontend.hubert
    trained = sum(p.numel() for p in hubert.parameters() if p.requires_grad)
    others = sum(p.numel() for p in hubert.parameters() if not p.requires_grad)
    layers = hubert.config.num_hidden_layers
    assert trained == layers * 2 * 4 * 2 * hubert.config.hidden_size
    assert trained <= 0.01 * others


@pytest.mark.parametrize("freeze", ["none", "cnn", "all"])
def test_adapters_and_head_learn_and_nothing_else_changes_a_bit(freeze):
    full = build()
    model = build("lora", {"dropout_rate": 0.5}, {"freeze": freeze})
    before = copy.deepcopy(model.state_dict())
    torch.testing.assert_close(logits(model.eval()), logits(full.eval()))
    after = train(model).state_dict()
    head = {name for name in after if not name.startswith("frontend")}
    lora = {name for name in after if ".adapters.lora." in name}
    assert changed(before, after) == head | lora and len(lora) == 3 * 2 * 2
    assert after.keys() - lora == full.state_dict().keys()


def test_adapters_have_a_rate_of_their_own_which_others_multiply():
    options = {"lora": {"lr": 0.5}, "llrd": {"decay": 0.5}}
    for name, conf in (("lora", options["lora"]), ("lora+llrd", options)):
        model = build(name, conf)
        args = argparse.Namespace(
            strategy=name,
            exclude_weight_decay=False,
            sharded_ddp=False,
            optim="sgd",
            optim_conf={"lr": 0.25},
        )
        (optimizer,) = AdaptingTask.build_optimizers(args, model)
        rates = {
            parameter: group["lr"] * group["lr_scale"]
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        assert len(rates) == len(list(model.parameters()))
        assert {group["lr"] for group in optimizer.param_groups} == {0.25}
        for at, parameter in model.named_parameters():
            decay = 1.0
            if "+" in name and ".layers." in at:
                decay = 0.5 ** (3 - int(at.split(".layers.")[1][0]))
            if ".adapters." in at:
                assert rates[parameter] == 0.5 * decay, at
            elif not at.startswith("frontend"):
                assert rates[parameter] == 0.25, at
    with pytest.raises(UserError, match="lr: 0 in strategy_conf must be"):
        build("lora", {"lr": 0})


def test_its_dropout_draws_in_layers_that_the_frontend_freezes():
    model = build("lora", {"dropout_rate": 0.5}, {"freeze": "all"}).train()
    for module in adapted(model).values():
        torch.nn.init.normal_(module.adapters["lora"].B)
    model.strategy.on_step(model, 0)
    assert not model.logits(SPEECH, LENGTHS).equal(model.logits(SPEECH, LENGTHS))


def test_merged_and_unmerged_outputs_are_equal():
    model = train(build("lora", {"rank": 3, "alpha": 7}))
    merged = copy.deepcopy(model)
    merge_lora(merged)
    assert not adapted(merged)
    plain = build()
    assert not logits(plain.eval()).allclose(logits(model), atol=1e-3)
    plain.load_state_dict(merged.state_dict())
    for other in (merged, plain.eval()):
        torch.testing.assert_close(logits(other), logits(model), rtol=0, atol=1e-5)


def test_logits_are_those_of_weights_with_the_product_added():
    model = train(build("lora", {"rank": 2, "alpha": 5}))
    state = model.state_dict()
    expected = build()
    plain = {name: value for name, value in state.items() if ".adapters." not in name}
    for name in adapted(model):
        a, b = (state[f"{name}.adapters.lora.{part}"] for part in "AB")
        plain[f"{name}.weight"] = plain[f"{name}.weight"] + 5 / 2 * torch.einsum(
            "or,ri->oi", b, a
        )
    expected.load_state_dict(plain)
    torch.testing.assert_close(
        logits(expected.eval()), logits(model), rtol=0, atol=1e-5
    )


def test_logits_are_pefts_with_the_same_weights():
    targets = ["q_proj", "v_proj", "output_dense"]
    conf = {"rank": 4, "alpha": 6, "target_modules": targets}
    model = train(build("lora", conf))
    expected = build()
    peft.inject_adapter_in_model(
        peft.LoraConfig(r=4, lora_alpha=6, target_modules=targets),
        expected.frontend.hubert,
    )
    renamed = {}
    for name, value in model.state_dict().items():
        if ".adapters." in name:
            name = name.replace("adapters.lora.A", "lora_A.default.weight")
            name = name.replace("adapters.lora.B", "lora_B.default.weight")
        elif any(f".{target}." in name for target in targets):
            module, _, parameter = name.rpartition(".")
            name = f"{module}.base_layer.{parameter}"
        renamed[name] = value
    expected.load_state_dict(renamed)
    torch.testing.assert_close(
        logits(expected.eval()), logits(model), rtol=0, atol=1e-5
    )


def test_one_layer_is_named_whole():
    target = "layers.1.attention.q_proj"
    (name,) = adapted(build("lora", {"target_modules": target}))
    assert name == f"frontend.hubert.encoder.{target}"


def test_a_small_kept_model_lacks_the_frozen_weights_alone():
    model = build("lora", {"save_strategy": "required_grad_only"})
    stored = set(model.strategy.to_store(model))
    assert stored == {
        name
        for name in model.state_dict()
        if ".adapters." in name or not name.startswith("frontend")
    }


def build_optimizers(model, **changes):
    args = LabelEspnetTask.get_parser().parse_args([])
    vars(args).update(changes)
    LabelEspnetTask.build_optimizers(args, model)


@pytest.mark.parametrize(
    ("conf", "frontend", "message"),
    [
        ({"rank": 0}, {}, "rank: 0 in strategy_conf must be"),
        ({"rank": 2.5}, {}, r"rank: 2\.5 in strategy_conf must be"),
        ({"alpha": -1}, {}, "alpha: -1 in strategy_conf must be"),
        ({"dropout_rate": 1}, {}, "dropout_rate: 1 in strategy_conf must be"),
        ({"save_strategy": "adapter"}, {}, "must be all or required_grad_only"),
        ({"target_modules": []}, {}, r"target_modules: \[\] in strategy_conf"),
        ({"target_modules": ["q_proj", "q"]}, {}, "target_modules: q in"),
        ({"target_modules": "linear"}, {}, "linear in .* give k_proj, v_proj"),
        (
            {"ranks": 4},
            {},
            "strategy: lora has no option ranks: strategy_conf takes rank,",
        ),
        ({}, {"freeze": "all", "reuse_frozen": True}, "layer 1, whose states are"),
        ({}, {"freeze_layers": 1, "reuse_frozen": True}, "layer 1, whose states are"),
    ],
)
def test_what_cannot_be_adapted_is_refused(conf, frontend, message):
    with pytest.raises(UserError, match=message):
        build_optimizers(build("lora", conf, frontend))


def test_adapters_above_reused_states_are_trained():
    conf = {"target_modules": "layers.1.attention.q_proj"}
    frontend = {"freeze_layers": 1, "reuse_frozen": True}
    model = build("lora", conf, frontend)
    build_optimizers(model)
    before = copy.deepcopy(model.state_dict())
    after = train(model).state_dict()
    assert all(
        not after[name].equal(before[name]) for name in after if "adapters" in name
    )


@pytest.mark.parametrize("by", ["freeze_param", "another strategy"])
def test_adapters_that_something_freezes_are_refused(by):
    if by == "freeze_param":
        model = build("lora")
        model.frontend.requires_grad_(False)
    else:
        conf = {"freeze": {"part": "all"}}
        model = build("lora+freeze", conf)
    with pytest.raises(UserError, match="layer 1 are frozen by freeze_param or by"):
        build_optimizers(model)
