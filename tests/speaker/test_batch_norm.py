"""Batch norm that takes a single value per channel."""

import copy

import pytest
import torch
from torch import nn

from espnet2_cltm.speaker.batch_norm import SingleValueBatchNorm1d, accept_single_values


def batch_norm(seed=0):
    torch.manual_seed(seed)
    norm = nn.BatchNorm1d(3)
    norm(2 * torch.randn(50, 3) + 1)  # running statistics that are no defaults
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
def test_single_value_is_normalised_by_the_running_statistics(shape):
    norm = batch_norm()
    values = torch.randn(shape)
    expected = copy.deepcopy(norm).eval()(values)
    with pytest.raises(ValueError, match="more than 1 value"):
        norm(values)
    accept_single_values(norm)
    torch.testing.assert_close(norm(values), expected)


def test_single_value_leaves_the_running_statistics_alone():
    norm = batch_norm()
    before = copy.deepcopy(norm.state_dict())
    accept_single_values(norm)
    norm(torch.randn(1, 3)).sum().backward()
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.isfinite(norm.weight.grad).all()


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 2), (4, 3, 5)])
def test_several_values_are_normalised_as_ever(shape):
    norm = batch_norm()
    other = copy.deepcopy(norm)
    accept_single_values(other)
    values = torch.randn(shape)
    assert torch.equal(norm(values), other(values))
    for name, value in norm.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert torch.equal(norm.eval()(values[:1]), other.eval()(values[:1]))


def test_only_plain_one_dimensional_norms_are_changed_and_names_stay():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.Sequential())
    model[2].append(nn.BatchNorm1d(2))
    names = list(model.state_dict())
    accept_single_values(model)
    kinds = [type(module) for module in (model[0], model[1], model[2][0])]
    assert kinds == [SingleValueBatchNorm1d, nn.BatchNorm2d, SingleValueBatchNorm1d]
    assert list(model.state_dict()) == names
