"""Convolutions as matrix products against PyTorch's and transformers' own."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import HubertConfig, HubertModel

from espnet2_cltm.frontend.convolutions import (
    MatrixProducts,
    strided_convolution,
    use_masked_group_norm,
    use_matrix_products,
)
from tests.frontend.test_hubert import NORMALISATIONS, SMALL


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 9),
    taps=st.integers(1, 24),
    stride=st.integers(1, 6),
    more=st.integers(0, 9),
    has_bias=st.booleans(),
)
def test_convolution_and_its_gradients_are_pytorchs(
    channels, taps, stride, more, has_bias
):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        values = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return values.requires_grad_()

    frames, weight = draw(taps + more, channels), draw(5, channels, taps)
    bias = draw(5) if has_bias else None
    inputs = [x for x in (frames, weight, bias) if x is not None]
    expected = torch.nn.functional.conv1d(frames.t(), weight, bias, stride)
    got = strided_convolution(frames, weight, bias, stride)
    direction = torch.randn(got.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(got, expected.t())
    for one, other in zip(
        torch.autograd.grad(got, inputs, direction),
        torch.autograd.grad(expected, inputs, direction.t()),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def two_encoders(norm, **fields):
    """Give transformers' encoder and one of the same weights with products."""
    torch.manual_seed(7)
    hubert = HubertModel(HubertConfig(**{**SMALL, **NORMALISATIONS[norm], **fields}))
    with torch.no_grad():
        for parameter in hubert.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    use_masked_group_norm(hubert)
    other = copy.deepcopy(hubert)
    use_matrix_products(other)
    assert isinstance(other.feature_extractor, MatrixProducts)
    return hubert.feature_extractor, other.feature_extractor


@pytest.mark.parametrize("norm", NORMALISATIONS)
@pytest.mark.parametrize("conv_bias", [True, False])
@pytest.mark.parametrize("n_samples", [[400], [4000, 4000], [5000, 400, 3211]])
def test_features_and_gradients_are_those_of_transformers(norm, conv_bias, n_samples):
    theirs, ours = two_encoders(norm, conv_bias=conv_bias)
    speech = torch.zeros(len(n_samples), max(n_samples))
    for row, n in zip(speech, n_samples, strict=True):
        row[:n] = 0.1 * torch.randn(n)
    n_frames = [(n - 400) // 320 + 1 for n in n_samples]
    features = []
    for encoder in (theirs, ours):
        first = getattr(encoder.conv_layers[0], "layer_norm", None)
        if norm == "group norm" and min(n_samples) < max(n_samples):
            first.valid_lengths = [(n - 10) // 5 + 1 for n in n_samples]
        found = encoder(speech).transpose(1, 2)
        features.append(
            torch.cat([f[:n] for f, n in zip(found, n_frames, strict=True)])
        )
        features[-1].square().sum().backward()
    torch.testing.assert_close(features[1], features[0], rtol=1e-4, atol=1e-5)
    expected = dict(theirs.named_parameters())
    # A bias before the group norm has no effect: its gradient is rounding error.
    scale = max(float(parameter.grad.abs().max()) for parameter in expected.values())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(
            parameter.grad, expected[name].grad, rtol=1e-3, atol=1e-5 * scale
        )


def test_parameters_keep_their_names_and_can_be_frozen():
    theirs, ours = two_encoders("group norm")
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours._freeze_parameters()
    ours.train()
    assert not ours(torch.randn(1, 4000)).requires_grad


def test_under_autocast_the_encoder_computes_as_before():
    theirs, ours = two_encoders("group norm")
    speech = torch.randn(2, 4000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(speech), theirs(speech))


def test_group_norm_that_joins_channels_is_left_alone():
    hubert = HubertModel(HubertConfig(**SMALL))
    hubert.feature_extractor.conv_layers[0].layer_norm = torch.nn.GroupNorm(4, 16)
    use_matrix_products(hubert)
    assert not isinstance(hubert.feature_extractor, MatrixProducts)
