"""Histograms and error curves of trials, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import det_curve, roc_curve

from espnet2_cltm.errors import UserError
from espnet2_cltm.report.evidence import equal_error_rate
from espnet2_cltm.speaker.metrics import count_errors, eer
from espnet2_cltm.speaker.score_curves import (
    BIN_WIDTH,
    P_FA,
    miss_rates,
    score_measures,
)
from espnet2_cltm.speaker.trials import TrialList


def drawn(seed: int, decimals: int):
    """Scores and labels; few decimals make ties."""
    generator = np.random.default_rng(seed)
    is_target = generator.random(150) < 0.4
    scores = np.clip(generator.normal(0.3 * is_target, 0.3), -1, 1).round(decimals)
    return scores.astype(np.float32), is_target


@pytest.mark.parametrize("decimals", [1, 7])
@pytest.mark.parametrize("seed", range(4))
def test_miss_rates_are_those_of_scikit_learn(seed, decimals):
    scores, is_target = drawn(seed, decimals)
    fpr, tpr, _ = roc_curve(is_target, scores, drop_intermediate=False)
    inside = np.setdiff1d(P_FA, fpr)  # at the steps themselves, the lowest counts
    np.testing.assert_allclose(
        miss_rates(scores, is_target, inside), 1 - np.interp(inside, fpr, tpr)
    )
    p_fa, p_miss, _ = det_curve(is_target, scores)
    lowest = [p_miss[p_fa == at].min() for at in p_fa]
    np.testing.assert_allclose(miss_rates(scores, is_target, p_fa), lowest)


def trials(is_target) -> TrialList:
    n = len(is_target)
    names = [f"u{index:03d}" for index in range(n + 1)]
    return TrialList.from_pairs(names[:-1], names[1:], is_target)


def test_histograms_count_every_trial_once(tmp_path):
    scores, is_target = drawn(0, 7)
    scores[:2] = 1.0000001, -1  # rounding may exceed 1
    np.save(tmp_path / "es.npy", scores)
    found = list(score_measures(trials(is_target), tmp_path / "es"))
    for name, of_kind in (("target", is_target), ("nontarget", ~is_target)):
        counts = {at: n for measure, at, n in found if measure == name}
        assert sum(counts.values()) == of_kind.sum()
        for low, n in counts.items():
            high = low + BIN_WIDTH + (1 if low > 0.95 else -1e-9)
            assert n == ((scores[of_kind] >= low) & (scores[of_kind] < high)).sum()
    curve = {at: value for measure, at, value in found if measure == "p_miss"}
    assert list(curve) == pytest.approx(P_FA)
    read_off = equal_error_rate(pd.DataFrame({"mean": curve}))
    assert read_off == pytest.approx(eer(count_errors(scores, is_target)), abs=0.02)


def test_predictions_may_be_gone_but_not_damaged(tmp_path):
    assert list(score_measures(trials([True, False]), tmp_path / "es")) == []
    np.save(tmp_path / "es.npy", np.zeros(3, np.float32))
    with pytest.raises(UserError, match=r"es\.npy"):
        list(score_measures(trials([True, False]), tmp_path / "es"))
