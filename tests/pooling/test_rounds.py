"""Federated rounds on linear regression, where every step can be written out."""

import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.pooling.methods import Rounds
from espnet2_cltm.pooling.rounds import (
    choose_silos,
    distance,
    federate,
    one_after_another,
    pulled,
)

DONORS = ("ca", "es", "pt", "tr")


def data(names=DONORS, n=8):
    found = {}
    for k, name in enumerate(names):
        generator = torch.Generator().manual_seed(k)
        x = torch.randn(n, 3, generator=generator)
        found[name] = (x, x @ torch.tensor([[1.0], [2.0], [float(k)]]))
    return found


def gradient_step(weights, x, y, lr=0.1):
    w = weights["w"].clone().requires_grad_()
    ((x @ w - y).square().mean()).backward()
    return {"w": (w - lr * w.grad).detach()}


def silos(sets, steps=1):
    def train(x, y):
        def silo(weights, number):
            for _ in range(steps):
                weights = gradient_step(weights, x, y)
            return weights

        return silo

    return {name: train(*pair) for name, pair in sets.items()}


def start():
    return {"w": torch.zeros(3, 1)}


def in_rounds(start, silos, *others, **more):
    return federate(start, one_after_another(silos), *others, **more)


def counts(sets):
    return {name: len(x) for name, (x, _) in sets.items()}


def test_one_local_step_on_equal_sizes_is_the_central_step():
    sets = data()
    method = Rounds()
    found, _ = in_rounds(start(), silos(sets), counts(sets), method, 3, seed=1)
    central = start()
    x, y = (torch.cat([pair[k] for pair in sets.values()]) for k in (0, 1))
    for _ in range(3):
        central = gradient_step(central, x, y)
    torch.testing.assert_close(found["w"], central["w"], atol=1e-6, rtol=0)


def test_unequal_silos_count_by_utterances_or_alike():
    sets = {**data(("ca",), 4), **data(("es", "pt"), 12)}
    x, y = (torch.cat([pair[k] for pair in sets.values()]) for k in (0, 1))
    by_utterances, _ = in_rounds(start(), silos(sets), counts(sets), Rounds(), 1, 1)
    torch.testing.assert_close(
        by_utterances["w"], gradient_step(start(), x, y)["w"], atol=1e-6, rtol=0
    )
    equal, _ = in_rounds(
        start(), silos(sets), counts(sets), Rounds(weighting="equal"), 1, 1
    )
    alone = [gradient_step(start(), *pair)["w"] for pair in sets.values()]
    torch.testing.assert_close(equal["w"], sum(alone) / 3)


def test_reptile_goes_a_part_of_the_way_and_less_each_round():
    sets = data()
    full, _ = in_rounds(start(), silos(sets), counts(sets), Rounds(), 1, 1)
    half, _ = in_rounds(start(), silos(sets), counts(sets), Rounds(step=0.5), 1, 1)
    torch.testing.assert_close(half["w"], full["w"] / 2)
    falling = Rounds(step=0.8, step_falls=True)
    assert [falling.step_of(k, 4) for k in range(4)] == pytest.approx(
        [0.8, 0.6, 0.4, 0.2]
    )


@pytest.mark.parametrize("aggregation", ["median", "trimmed_mean"])
@pytest.mark.parametrize("value", [float("nan"), 1e12])
def test_a_corrupted_silo_does_not_move_robust_rounds_beyond_the_others(
    aggregation, value
):
    sets = data()
    good = silos(sets)
    bad = {**good, "tr": lambda weights, number: {"w": torch.full((3, 1), value)}}
    method = Rounds(aggregation=aggregation, weighting="equal")
    found, _ = in_rounds(start(), bad, counts(sets), method, 1, 1)
    others = torch.stack([good[n](start(), 0)["w"] for n in DONORS[:3]])
    assert (found["w"] >= others.amin(0)).all()
    assert (found["w"] <= others.amax(0)).all()
    # Round for round it converges where the three others do, or near.
    long, _ = in_rounds(start(), bad, counts(sets), method, 50, 1)
    assert long["w"].isfinite().all() and long["w"].abs().max() < 3


def test_a_plain_mean_names_the_silo_whose_weights_are_not_finite():
    bad = {**silos(data()), "es": lambda w, n: {"w": torch.full((3, 1), torch.nan)}}
    with pytest.raises(UserError, match=r"that es sent are not finite.*median"):
        in_rounds(start(), bad, counts(data()), Rounds(), 1, 1)


def test_the_clients_of_a_round_follow_from_the_seed():
    method = Rounds(clients=2)
    drawn = [choose_silos(DONORS, method, 42, k) for k in range(8)]
    assert drawn == [choose_silos(DONORS[::-1], method, 42, k) for k in range(8)]
    assert all(len(set(names)) == 2 for names in drawn)
    assert len({tuple(names) for names in drawn}) > 1
    assert drawn != [choose_silos(DONORS, method, 43, k) for k in range(8)]


def test_a_round_counts_what_its_clients_get_and_give():
    sets = data()
    method = Rounds(clients=2)
    _, records = in_rounds(start(), silos(sets), counts(sets), method, 3, 42)
    assert [(r.bytes_down, r.bytes_up) for r in records] == [(2 * 12, 2 * 12)] * 3
    assert all(len(record.clients) == 2 for record in records)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"clients": 5}, "clients: 5"),
        ({"aggregation": "trimmed_mean", "trim": 2}, "trim: 2"),
    ],
)
def test_more_than_the_silos_allow_is_refused(options, named):
    with pytest.raises(UserError, match=named):
        choose_silos(DONORS, Rounds(**options), 1, 0)


def test_fedprox_adds_half_mu_times_the_squared_distance():
    class Model(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x).mean(), {}, torch.tensor(1)

    model = Model(2, 1)
    x = torch.ones(1, 2)
    plain = model(x)[0].item()
    with pulled(model, 0.5):
        assert model(x)[0].item() == plain
        with torch.no_grad():
            model.weight += 2.0
        loss, stats, _ = model(x)
        assert stats["pull"].item() == pytest.approx(0.25 * 8)
        assert loss.item() == pytest.approx(plain + 4 + 2)
    assert model(x)[0].item() == pytest.approx(plain + 4)
    assert distance([torch.ones(3)], [torch.zeros(3)]).item() == 3
