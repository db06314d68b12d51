"""Label metrics against scikit-learn and by hand, of two classes and of more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    recall_score,
)

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.metrics import LABEL_METRICS, score_labels
from espnet2_cltm.task import Metric


@given(classes=st.sampled_from(["fm", "mf", "anhs"]), data=st.data())
def test_scores_equal_scikit_learns(classes, data):
    label = st.sampled_from(classes)
    reference = [*classes, *data.draw(st.lists(label, max_size=40))]
    n = len(reference)
    predicted = data.draw(st.lists(label, min_size=n, max_size=n))
    scores = score_labels(reference, predicted, list(classes))
    names = list(classes)
    assert scores.n_test == n
    assert scores.metrics["accuracy"] == pytest.approx(
        accuracy_score(reference, predicted), abs=1e-12
    )
    assert scores.metrics["macro_f1"] == pytest.approx(
        f1_score(reference, predicted, average="macro", labels=names), abs=1e-12
    )
    recalls = recall_score(reference, predicted, average=None, labels=names)
    for name, recall in zip(classes, recalls, strict=True):
        assert scores.metrics[f"recall_{name}"] == pytest.approx(recall, abs=1e-12)
    table = [[scores.confusion[r][p] for p in names] for r in names]
    assert table == confusion_matrix(reference, predicted, labels=names).tolist()


def test_a_class_never_predicted_has_f1_zero():
    scores = score_labels(["f", "f", "m"], ["m", "m", "m"], ["f", "m"]).metrics
    assert (scores["recall_f"], scores["recall_m"]) == (0.0, 1.0)
    assert scores["macro_f1"] == pytest.approx((0 + 2 / 4) / 2)


def test_a_metric_of_ones_own_is_one_function():
    def kappa(reference, predicted, classes):
        return cohen_kappa_score(reference, predicted, labels=list(classes))

    metrics = (*LABEL_METRICS, Metric("kappa", "Cohen's kappa", kappa))
    scores = score_labels(["f", "f", "m"], ["f", "m", "m"], ["f", "m"], metrics)
    assert scores.metrics["kappa"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("reference", "predicted", "fact"),
    [
        ([], [], "'f'"),
        (["m", "m"], ["m", "f"], "'f'"),
        (["f", "m"], ["f"], "2 .* 1"),
        (["f", "m"], ["f", "male"], "'male'"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(reference, predicted, fact):
    with pytest.raises(UserError, match=fact):
        score_labels(reference, predicted, ["f", "m"])
