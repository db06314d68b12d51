"""Means of models against sums written out, and against corrupted models."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.pooling.weights import (
    mean,
    median,
    moved,
    not_finite,
    require_alike,
    size_of,
    trained_weights,
    trimmed_mean,
)
from tests.strategies.models import build


def model(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {
        "w": torch.randn(3, 2, generator=generator).to(dtype),
        "b": torch.randn(2, generator=generator).to(dtype),
        "norm.num_batches_tracked": torch.tensor(seed),
    }


def are_equal(one, other):
    return one.keys() == other.keys() and all(one[n].equal(other[n]) for n in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_the_average_of_one_model_is_that_model(dtype):
    one = model(1, dtype)
    assert are_equal(mean([one], [7]), one)
    assert are_equal(median([one]), one)
    assert are_equal(moved(model(0, dtype), [one], 1.0), one)


def test_a_mean_is_weighted_by_shares():
    found = mean([model(1), model(2)], [3, 1])
    for name in ("w", "b"):
        by_hand = (3 * model(1)[name].numpy() + model(2)[name].numpy()) / 4
        np.testing.assert_allclose(found[name], by_hand, rtol=1e-6)


def test_task_arithmetic_adds_the_mean_change():
    found = moved(model(0), [model(1), model(2)], 0.5)
    for name in ("w", "b"):
        start, one, two = (model(k)[name].numpy() for k in range(3))
        by_hand = start + 0.5 * ((one - start) + (two - start)) / 2
        np.testing.assert_allclose(found[name], by_hand, rtol=1e-5)
    unmoved = moved(model(0), [model(1)], 0.0)
    assert all(unmoved[name].equal(model(0)[name]) for name in ("w", "b"))


def test_robust_means_are_numpys():
    models = [model(k) for k in range(6)]
    stacked = np.stack([one["w"].numpy() for one in models])
    np.testing.assert_allclose(median(models)["w"], np.median(stacked, axis=0), 1e-6)
    by_hand = np.sort(stacked, axis=0)[2:4].mean(axis=0)
    np.testing.assert_allclose(trimmed_mean(models, 2)["w"], by_hand, 1e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(3, 7),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 0.0]),
)
def test_one_corrupted_model_leaves_robust_means_between_the_others(n, value):
    good = [model(k) for k in range(n - 1)]
    bad = {"w": torch.full((3, 2), value), "b": torch.full((2,), value)}
    models = [*good, {**model(0), **bad}]
    for robust in (median(models), trimmed_mean(models, 1)):
        for name in ("w", "b"):
            others = torch.stack([one[name] for one in good])
            assert (robust[name] >= others.amin(dim=0)).all()
            assert (robust[name] <= others.amax(dim=0)).all()
    if value != 0.0:
        far = mean(models, [1] * n)
        assert not_finite(far) or far["w"].abs().max() > 1e20


def test_models_that_differ_are_named_with_the_weight():
    odd = {**model(2), "b": torch.zeros(3)}
    with pytest.raises(UserError, match="es and sw differ in b"):
        require_alike({"es": model(1), "sw": odd})
    require_alike({"es": model(1), "sw": odd}, but=("b",))


def test_what_travels_is_what_is_trained():
    full, lora = build(), build("lora", {"rank": 2})
    for one in (full, lora):
        trained = {n for n, p in one.named_parameters() if p.requires_grad}
        assert trained_weights(one).keys() >= trained
    sizes = size_of(trained_weights(full)), size_of(trained_weights(lora))
    assert sizes[0] == size_of(full.state_dict())
    heads = sum(
        4 * p.numel()
        for n, p in lora.named_parameters()
        if not n.startswith("frontend")
    )
    adapters = 3 * 2 * 2 * 2 * lora.frontend.hubert.config.hidden_size * 4
    assert sizes[1] == heads + adapters < sizes[0] / 5
