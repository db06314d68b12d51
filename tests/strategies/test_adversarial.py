"""The adversary: its loss and gradients, written out."""

import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.strategies.adversarial import Adversarial
from tests.strategies.models import LENGTHS, SPEECH, build, changed, loss_of

CONF = {"languages": ["es", "tr"], "weight": 0.3, "grl_lambda": 2.0}

DROPOUTS = (
    "hidden_dropout",
    "attention_dropout",
    "activation_dropout",
    "feat_proj_dropout",
)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def test_loss_is_the_cross_entropy_and_the_encoders_gradient_is_reversed():
    model = build("adversarial", CONF, **dict.fromkeys(DROPOUTS, 0.0)).train()
    loss_of(model)
    penalty = model.strategy.penalty(model)
    found = gradients(model, penalty)

    frames, lengths = model.frontend(SPEECH, LENGTHS)
    means = torch.stack([frames[i, :n].mean(dim=0) for i, n in enumerate(lengths)])
    first, _, last = model.adversary
    hidden = (means @ first.weight.T + first.bias).clamp(min=0)
    log_shares = (hidden @ last.weight.T + last.bias).log_softmax(dim=1)
    expected = -(log_shares[0, 0] + log_shares[1, 1]) / 2 * 0.3
    torch.testing.assert_close(penalty, expected)
    wanted = gradients(model, expected)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        factor = 1.0 if name.startswith("adversary") else -2.0
        torch.testing.assert_close(found[name], factor * gradient, rtol=1e-4, atol=1e-7)


def test_the_head_is_the_one_of_full():
    model, full = build("adversarial", CONF), build()
    state = model.state_dict()
    assert {n for n in state if n not in full.state_dict()} == {
        f"adversary.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }
    assert not changed(state, full.state_dict())


def test_an_utterance_has_the_longest_language_that_fits():
    strategy = Adversarial(["sv", "sv-SE", "es"])
    ids = ["sv-SE-f01-1", "sv-f01-1", "es-1"]
    assert [strategy._language(utt) for utt in ids] == [1, 0, 2]
    with pytest.raises(UserError, match="id of utterance esx-1 does not begin with"):
        strategy._language("esx-1")


def test_a_run_has_its_own_languages_and_one_alone_no_adversary():
    for_run = Adversarial.for_run
    assert for_run({}, ["es", "tr"]) == {"languages": ["es", "tr"]}
    single = for_run({"languages": "auto", "weight": 1}, ["es"])
    assert single == {"languages": ["es"], "weight": 0.0}
    assert for_run({"languages": ["a", "b"]}, ["es"]) == {"languages": ["a", "b"]}


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({}, "languages: auto in strategy_conf must be two languages or more"),
        ({"languages": ["es"]}, r"languages: \['es'\] in strategy_conf must be"),
        ({"languages": ["es", "es"]}, "languages: .* must be two languages"),
        ({**CONF, "weight": -1}, "weight: -1 in strategy_conf must be"),
        ({**CONF, "grl_lambda": "1"}, "grl_lambda: 1 in strategy_conf must be"),
    ],
)
def test_other_options_are_refused(conf, message):
    with pytest.raises(UserError, match=message):
        build("adversarial", conf)
