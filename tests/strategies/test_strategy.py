"""Combinations of strategies: each part does what it does alone."""

import pytest
import torch
from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.strategies.strategy import Combined, Strategy
from espnet2_cltm.tasks.options import parse_options
from tests.speech import TINY_GENDER, TINY_HUBERT, build_gender_model


class Part(Strategy):
    def __init__(self, prefix=None, groups=None, added=None, stored=None):
        self.prefix, self.groups, self.added, self.stored = (
            prefix,
            groups,
            added,
            stored,
        )
        self.calls = []

    def prepare(self, model):
        self.calls.append(torch.rand(1).item())

    def frozen_prefix(self, model):
        return self.prefix

    def parameter_groups(self, model):
        return self.groups

    def on_epoch(self, model, epoch):
        self.calls.append(("epoch", epoch))

    def on_step(self, model, step):
        self.calls.append(("step", step))

    def penalty(self, model):
        return None if self.added is None else torch.tensor(self.added)

    def to_store(self, model):
        return self.stored


def test_the_hooks_of_all_parts_are_called_and_their_answers_joined():
    model = nn.Linear(2, 3)
    weight, bias = model.parameters()
    one = Part(-1, [{"params": [weight, bias], "lr_scale": 0.5}], 1.0, ["weight"])
    two = Part(2, [{"params": [bias], "weight_decay": 0.0}, {"params": [weight]}])
    three = Part(added=2.0, stored=["bias"])
    three.reuse_frozen = False
    both = Combined({"one": one, "two": two, "three": three})
    torch.manual_seed(3)
    both.prepare(model)
    both.on_epoch(model, 1)
    both.on_step(model, 5)
    assert one.calls == two.calls == three.calls
    assert one.calls[1:] == [("epoch", 1), ("step", 5)]
    assert both.frozen_prefix(model) == 2
    assert both.penalty(model) == 3.0
    assert both.to_store(model) == {"weight", "bias"}
    assert not both.reuse_frozen
    groups = both.parameter_groups(model)
    assert [{k: v for k, v in g.items() if k != "params"} for g in groups] == [
        {"lr_scale": 0.5},
        {"lr_scale": 0.5, "weight_decay": 0.0},
    ]
    assert [group["params"] for group in groups] == [[weight], [bias]]


def test_parts_that_do_nothing_do_nothing_together():
    both = Combined({"one": Part(), "two": Part()})
    model = nn.Linear(2, 3)
    for hook in ("frozen_prefix", "parameter_groups", "penalty", "to_store"):
        assert getattr(both, hook)(model) is None


def build(strategy, conf=None):
    return build_gender_model(
        {
            **TINY_GENDER,
            "frontend_conf": {"model": {**TINY_HUBERT, "num_hidden_layers": 2}},
            "strategy": strategy,
            "strategy_conf": conf or {},
        }
    )


def test_options_of_a_combination_are_given_by_part():
    model = build("lora+freeze", {"lora": {"rank": 3}, "freeze": {"part": "cnn"}})
    names = [n for n in model.state_dict() if n.endswith("q_proj.adapters.lora.A")]
    assert [len(model.state_dict()[name]) for name in names] == [3, 3]
    alone = build("lora", {"rank": 3}).state_dict()
    assert all(value.equal(alone[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("strategy", "conf", "message"),
    [
        ("lora+lora", {}, r"lora\+lora names one twice"),
        ("lora+nothing", {}, r"strategy: lora\+nothing is unknown: give one of"),
        ("lora+freeze", {"rank": 4}, "strategy_conf: rank does not go with"),
        ("lora+freeze", {"lora": 4}, "strategy_conf: lora does not go with"),
        ("lora+freeze", {"lora": {"ranks": 4}}, "strategy: lora has no option ranks"),
    ],
)
def test_what_cannot_be_combined_is_refused(strategy, conf, message):
    with pytest.raises(UserError, match=message):
        build(strategy, conf)


def test_the_command_line_takes_a_combination():
    parser = LabelEspnetTask.get_parser()
    cmd = ["--output_dir", "x", "--strategy", "lora+freeze"]
    args = parse_options(parser, [*cmd, "--strategy_conf", "lora.rank=4"])
    assert (args.strategy, args.strategy_conf) == ("lora+freeze", {"lora": {"rank": 4}})
    with pytest.raises(UserError, match="invalid choice: 'lora\\+nothing'"):
        parse_options(LabelEspnetTask.get_parser(), [*cmd[:3], "lora+nothing"])
