"""The contrastive loss and plain cross-entropy."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.losses import ContrastiveLoss, CrossEntropy


def test_contrastive_loss_of_a_case_computed_by_hand():
    # Unit vectors at 90 degrees are sqrt(2) apart, at 60 degrees 1.
    first = torch.tensor([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[0.0, 1.0], [0.0, 5.0], [1.0, 3**0.5], [7.0, 0.0]])
    label = torch.tensor([1, 0, 0, 1])
    loss, accuracy, decisions = ContrastiveLoss(2, margin=1.2)(
        torch.stack([first, second]), label
    )
    # target 2; nontargets 0, (1.2 - 1)**2; target 0
    assert float(loss) == pytest.approx((2 + 0 + 0.04 + 0) / 4, abs=1e-6)
    assert decisions.tolist() == [0, 0, 0, 1]
    assert float(accuracy) == 0.75


@given(st.integers(0, 10**6), st.floats(0.1, 2.0), st.integers(1, 6))
def test_contrastive_loss_equals_pytorchs_distances(seed, margin, pairs):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, pairs, 5, generator=generator, dtype=torch.float64)
    label = torch.randint(0, 2, (pairs,), generator=generator)
    loss, _, _ = ContrastiveLoss(5, margin=margin)(x, label)
    cosine = torch.nn.functional.cosine_similarity(x[0], x[1])
    first, second = torch.nn.functional.normalize(x, dim=-1)
    distance = torch.nn.functional.pairwise_distance(first, second, eps=0.0)
    torch.testing.assert_close(distance.square(), 2 - 2 * cosine)
    expected = 0.0
    for same, d in zip(label.tolist(), distance.tolist(), strict=True):
        expected += d**2 if same else max(0.0, margin - d) ** 2
    assert float(loss) == pytest.approx(expected / pairs, abs=1e-6)


@pytest.mark.parametrize("label", [0, 1])
def test_contrastive_loss_has_a_gradient_where_both_are_the_same(label):
    x = torch.ones(2, 1, 3, requires_grad=True)
    loss, _, _ = ContrastiveLoss(3)(x, torch.tensor([label]))
    loss.backward()
    assert torch.isfinite(x.grad).all()
    assert loss.item() == pytest.approx(1 - label, abs=1e-5)


@pytest.mark.parametrize("margin", [0, -1, 2.5])
def test_margin_that_no_distance_reaches_is_refused(margin):
    with pytest.raises(UserError, match=f"margin: {margin} must"):
        ContrastiveLoss(3, margin=margin)


def test_cross_entropy_is_a_linear_layer_and_pytorchs_loss():
    torch.manual_seed(0)
    head = CrossEntropy(4, 3)
    x, label = torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    loss, accuracy, guesses = head(x, label)
    logits = x @ head.classifier.weight.T + head.classifier.bias
    chosen = torch.log_softmax(logits, dim=1)[range(5), label]
    torch.testing.assert_close(loss, -chosen.mean())
    assert guesses.tolist() == logits.argmax(1).tolist()
    assert float(accuracy) == pytest.approx(float((guesses == label).float().mean()))
