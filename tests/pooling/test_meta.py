"""FOMAML on a quadratic, whose gradient can be written down."""

import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.pooling.meta import MetaLearner, adapted
from espnet2_cltm.pooling.methods import Fomaml


class Quadratic(torch.nn.Module):
    """Loss 1/2 a (w - x)^2, mean over the batch; ``a`` is a buffer."""

    def __init__(self, w=1.0, a=3.0):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(w, dtype=torch.float64))
        self.register_buffer("a", torch.tensor(a, dtype=torch.float64))

    def forward(self, utt_id, x):
        loss = (0.5 * self.a * (self.w - x).square()).mean()
        return loss, {"loss": loss.detach()}, torch.tensor(len(x))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_gradient_is_the_analytic_one(steps):
    alpha, w, a, s, q = 0.1, 1.0, 3.0, 2.0, -1.0
    model = Quadratic(w, a)
    learner = MetaLearner(model, Fomaml(inner_lr=alpha, inner_steps=steps))
    loss, _, weight = learner(utt_id=["s", "q"], x=torch.tensor([s, q]).double())
    loss.backward()
    # w' - s = (1 - alpha a)^k (w - s), and the gradient is that of Q's loss at w'.
    moved = s + (1 - alpha * a) ** steps * (w - s)
    assert model.w.grad.item() == pytest.approx(a * (moved - q), rel=1e-9)
    assert loss.item() == pytest.approx(0.5 * a * (moved - q) ** 2, rel=1e-9)
    assert weight.item() == 1 and model.w.item() == w  # the model stays as it is


def test_second_order_maml_would_differ():
    parameters = {"w": torch.tensor(1.0, requires_grad=True)}
    moved = adapted(
        parameters, lambda p: 1.5 * (p["w"] - 2).square(), Fomaml(inner_lr=0.1)
    )
    moved["w"].backward()
    assert parameters["w"].grad.item() == 1.0  # MAML's is 1 - alpha a = 0.7


def test_training_by_it_finds_where_a_step_leads_to_both_tasks():
    model = Quadratic(5.0, 1.0)
    learner = MetaLearner(model, Fomaml(inner_lr=0.5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    for step in range(200):
        optimizer.zero_grad()
        x = torch.full((4,), 1.0 if step % 2 else -1.0).double()
        learner(utt_id=list("abcd"), x=x)[0].backward()
        optimizer.step()
    assert abs(model.w.item()) < 0.2


def test_a_batch_of_one_is_refused():
    learner = MetaLearner(Quadratic(), Fomaml())
    with pytest.raises(UserError, match="batch_size"):
        learner(utt_id=["a"], x=torch.zeros(1))


def test_a_module_in_two_places_and_a_tied_weight_move_once():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Linear(1, 1, bias=False)
            self.again = self.one  # as the frontend's norm is
            self.tied = torch.nn.Linear(1, 1, bias=False)
            self.tied.weight = self.one.weight
            torch.nn.init.constant_(self.one.weight, 1.0)

        def forward(self, utt_id, x):
            y = self.one(x) + self.again(x) + self.tied(x)
            return y.mean(), {}, torch.tensor(len(x))

    model = Twice()
    before = model.one.weight
    learner = MetaLearner(model, Fomaml(inner_lr=0.1))
    loss, _, _ = learner(utt_id=["a", "b"], x=torch.ones(2, 1))
    assert loss.item() == pytest.approx(3 * (1 - 0.1 * 3))
    loss.backward()
    assert model.one.weight is before is model.tied.weight
    assert before.grad.item() == pytest.approx(3)
