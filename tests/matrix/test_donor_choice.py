"""The judge of donor choice: numbers by hand, and what chance gets."""

import numpy as np
import pytest

from benchmarks.donor_choice import judge, mean_worth, read_cells


def test_ndcg_is_that_of_langrank():
    truth = np.array([0.9, 0.1, 0.5, 0.7])  # relevance 4, 1, 2, 3
    assert judge(truth, truth) == pytest.approx((1, 1))
    gains = 2 ** np.array([4, 1, 2, 3]) - 1
    discounts = 1 / np.log2([2, 3, 4])
    # Ranked 1, 2, 3, 0: the best donor last.
    found = judge(truth, np.array([0.0, 3.0, 2.0, 1.0]))
    ideal = np.sort(gains)[::-1][:3] @ discounts
    assert found[0] == pytest.approx(gains[[1, 2, 3]] @ discounts / ideal)


def test_ties_count_as_the_mean_of_their_orders():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=8)
    orders = [judge(truth, rng.permutation(8) + 0.0)[0] for _ in range(2000)]
    assert judge(truth, np.zeros(8))[0] == pytest.approx(np.mean(orders), abs=0.02)
    assert judge(truth, np.full(8, np.nan))[1] == 0


def test_mean_worth_does_not_see_the_target():
    codes, cells = read_cells("asr_mhubert")
    assert np.isnan(np.diagonal(cells)).all()
    scores = mean_worth(cells, {})
    changed = cells.copy()
    changed[3] = np.random.default_rng(0).normal(size=len(codes))
    np.testing.assert_allclose(mean_worth(changed, {})[3], scores[3])
