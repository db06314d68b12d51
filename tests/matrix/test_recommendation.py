from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.matrix import recommendation
from espnet2_cltm.matrix.recommendation import MeasuredCells, rank_donors


def measured(scores: np.ndarray) -> MeasuredCells:
    """What (donors, seeds) gains tell of a target whose self-gain is exactly 1."""
    n, n_seeds = scores.shape
    nothing = np.full((n + 1, n + 1), np.nan)
    cells = {name: nothing.copy() for name in ("cltm", "pair_se")}
    cells["cltm"][0, 1:] = scores.mean(axis=1)
    cells["pair_se"][0, 1:] = scores.std(axis=1, ddof=1) / np.sqrt(n_seeds)
    return MeasuredCells(
        languages=("target", *map(str, range(n))),
        **cells,
        **dict.fromkeys(("cltm_se", "cltm_low", "cltm_high"), nothing),
        **dict.fromkeys(("gain_low", "gain_high"), nothing),
        gain=cells["cltm"],
        n_seeds=np.full(nothing.shape, float(n_seeds)),
        self_gain=np.ones(nothing.shape),
        verdict=np.full(nothing.shape, "", dtype=object),
        reasons={},
    )


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_ranks_of_few_seeds_hold_the_truth(monkeypatch, n_seeds):
    monkeypatch.setattr(recommendation, "SIMULATIONS", 1000)
    generator = np.random.default_rng(n_seeds)
    held = []
    for seed in range(100):
        truth = np.sort(generator.normal(0, 0.5, 8))[::-1]  # donor 0 is the best
        scores = truth[:, None] + generator.normal(size=(8, n_seeds))
        for donor in rank_donors(measured(scores), "target", 3, seed=seed).donors:
            held.append(donor.rank_low <= int(donor.donor) + 1 <= donor.rank_high)
    assert np.mean(held) > 0.94


def test_intervals_of_gains_are_those_that_the_tests_are_made_with():
    cells = measured(np.array([[0.3, 0.5], [0.1, 0.2]]))
    limits = {"gain_low": cells.gain - 0.05, "gain_high": cells.gain + 0.05}
    ranking = rank_donors(
        replace(cells, reasons={"target": "self-gain too small"}, **limits), "target", 1
    )
    assert ranking.quantity == recommendation.GAIN
    for donor in ranking.donors:
        assert donor.low == pytest.approx(donor.estimate - 0.05)
        assert donor.high == pytest.approx(donor.estimate + 0.05)
