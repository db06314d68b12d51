"""The pull towards the pretrained weights, against its formula in numpy."""

import argparse

import numpy as np
import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from tests.strategies.models import build


def optimizer_of(model, **conf):
    args = LabelEspnetTask.get_parser().parse_args([])
    args = argparse.Namespace(**{**vars(args), "optim": "sgd", "optim_conf": conf})
    (optimizer,) = LabelEspnetTask.build_optimizers(args, model)
    return optimizer


def test_penalty_and_gradient_are_the_formulas():
    model = build("l2sp", {"weight": 0.3}, {"freeze": "cnn"})
    assert model.strategy.penalty(model) == 0
    before = {n: p.detach().double().numpy() for n, p in model.named_parameters()}
    before = {name: value.copy() for name, value in before.items()}
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    penalty = model.strategy.penalty(model)
    penalty.backward()
    expected = 0.0
    for name, parameter in model.named_parameters():
        if not name.startswith("frontend.hubert") or "feature_extractor" in name:
            continue
        difference = parameter.detach().double().numpy() - before[name]
        expected += 0.3 / 2 * np.sum(difference**2)
        np.testing.assert_allclose(parameter.grad, 0.3 * difference, rtol=1e-5)
    np.testing.assert_allclose(penalty.item(), expected, rtol=1e-5)
    head = model.classifier.linear.weight
    assert head.grad is None


def test_weight_decay_is_left_to_the_head():
    model = build("l2sp", {"weight": 0.3})
    optimizer = optimizer_of(model, lr=0.5, weight_decay=0.2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        is_head = not name.startswith("frontend")
        expected = before[name] * (1 - 0.5 * 0.2 if is_head else 1)
        torch.testing.assert_close(parameter, expected)


def test_nothing_to_pull_is_refused():
    for model in (
        build("l2sp", frontend={"freeze": "all"}),
        build("lora+l2sp"),
    ):
        with pytest.raises(UserError, match="nothing to pull, as the whole encoder"):
            optimizer_of(model, lr=0.1)


@pytest.mark.parametrize("weight", [-1, "much", True, float("inf")])
def test_other_weights_are_refused(weight):
    with pytest.raises(UserError, match=f"weight: {weight} in strategy_conf must be"):
        build("l2sp", {"weight": weight})
