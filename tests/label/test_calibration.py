"""Probabilities of classes against scikit-learn, a plain reference, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from espnet2_cltm.label.calibration import (
    EDGES,
    brier,
    ece,
    fit_temperature,
    log_probabilities,
    nll,
    temper,
)
from espnet2_cltm.label.metrics import score_labels


@st.composite
def predictions(draw, least=1):
    n, n_classes = draw(st.integers(least, 30)), draw(st.integers(2, 5))
    logits = draw(
        arrays(np.float32, (n, n_classes), elements=st.floats(-8, 8, width=32))
    )
    powers = np.exp(logits.astype(np.float64))
    truth = draw(arrays(np.int64, n, elements=st.integers(0, n_classes - 1)))
    shares = powers / powers.sum(axis=1, keepdims=True)
    return truth, log_probabilities(shares.astype(np.float32))


def plain_ece(truth, logs):
    """As torchmetrics: a bin holds its lower edge, and 1 has a bin of its own."""
    bins = {}
    for true, row in zip(truth, np.exp(logs).astype(np.float32), strict=True):
        key = max(k for k, edge in enumerate(EDGES) if edge <= row.max())
        bins.setdefault(key, []).append((row.max(), row.argmax() == true))
    return sum(
        len(found) / len(truth) * abs(np.mean([c for c, _ in found]) - hits)
        for found in bins.values()
        for hits in [np.mean([hit for _, hit in found])]
    )


@given(predictions())
def test_metrics_equal_the_references(found):
    truth, logs = found
    shares = np.exp(logs)
    classes = range(logs.shape[1])
    shares /= shares.sum(axis=1, keepdims=True)
    assert nll(truth, logs) == pytest.approx(
        log_loss(truth, shares, labels=list(classes)), abs=1e-5
    )
    wanted = [[float(k == true) for k in classes] for true in truth]
    expected = np.mean([sum((p - w) ** 2) for p, w in zip(shares, wanted, strict=True)])
    assert brier(truth, logs) == pytest.approx(expected, abs=1e-6)
    assert ece(truth, logs) == pytest.approx(plain_ece(truth, logs), abs=1e-6)
    assert 0 <= ece(truth, logs) <= 1
    assert 0 <= brier(truth, logs) <= 2


def test_ece_is_that_of_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), 500).astype(np.float32)
    truth = rng.integers(0, 4, 500)
    expected = multiclass_calibration_error(
        torch.from_numpy(shares), torch.from_numpy(truth), 4, len(EDGES) - 1
    )
    logs = log_probabilities(shares)
    assert ece(truth, logs) == pytest.approx(float(expected), abs=1e-6)


def test_metrics_by_hand():
    logs = np.log([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    truth = np.array([0, 1, 1, 0])
    product = 0.9 * 0.2 * 0.7 * 0.6
    assert nll(truth, logs) == pytest.approx(-np.log(product) / 4)
    squares = 0.1**2 + 0.8**2 + 0.3**2 + 0.4**2
    assert brier(truth, logs) == pytest.approx(2 * squares / 4)
    # One utterance a bin: |1 - .9|, |0 - .8|, |1 - .7|, |1 - .6|.
    assert ece(truth, logs) == pytest.approx((0.1 + 0.8 + 0.3 + 0.4) / 4)


@given(predictions(), st.floats(0.1, 10))
def test_a_temperature_of_1_changes_nothing_and_none_the_most_probable(found, at):
    _, logs = found
    assert temper(logs, 1) == pytest.approx(logs, abs=1e-5)
    tempered = temper(logs, at)
    assert np.exp(tempered).sum(axis=1) == pytest.approx(1)
    highest = np.take_along_axis(tempered, logs.argmax(axis=1)[:, None], 1)[:, 0]
    assert highest == pytest.approx(tempered.max(axis=1))


@given(predictions(least=5))
def test_the_fitted_temperature_has_the_least_smoothed_nll(found):
    truth, logs = found
    n, n_classes = logs.shape

    def cost(log_temperature):
        tempered = temper(logs, np.exp(log_temperature))
        others = -tempered.mean(axis=1).mean() * n_classes / (n + n_classes)
        return nll(truth, tempered) * n / (n + n_classes) + others

    at = np.log(fit_temperature(truth, logs))
    expected = minimize_scalar(cost, bounds=np.log([0.01, 100]), method="bounded")
    assert cost(at) <= expected.fun + 1e-7


def test_probabilities_that_are_too_certain_are_tempered():
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, 4000)
    logits = generator.normal(size=(4000, 3))
    logits[np.arange(4000), truth] += 1
    right = temper(logits, fit_temperature(truth, temper(logits, 1)))
    fitted = fit_temperature(truth, temper(right, 1 / 3))
    assert fitted == pytest.approx(3, rel=1e-3)


def test_metrics_without_what_they_need_are_left_out_or_nan():
    labels = (["f", "m"], ["f", "m"], ["f", "m"])
    assert "nll" not in score_labels(*labels).metrics
    logs = np.log([[0.9, 0.1], [0.2, 0.8]])
    metrics = score_labels(*labels, logs=logs).metrics
    assert metrics["nll"] > 0
    assert np.isnan(metrics["ece_tempered"])
    tempered = score_labels(*labels, logs=logs, calibrations={"both": [1.0]})
    for name in ("nll", "brier", "ece"):
        assert tempered.metrics[f"{name}_tempered"] == pytest.approx(metrics[name])
    of_bins = {(name, at): value for name, at, value in tempered.measures}
    assert of_bins["bin_share", 0.8667] == of_bins["bin_correct_tempered", 0.8] == 0.5
