"""Gender metrics against scikit-learn and by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.metrics import score_gender

label = st.sampled_from("fm")


@given(
    reference=st.lists(label, min_size=1, max_size=40),
    data=st.data(),
)
def test_scores_equal_scikit_learns(reference, data):
    reference = ["f", "m", *reference]
    n = len(reference)
    hypothesis = data.draw(st.lists(label, min_size=n, max_size=n))
    scores = score_gender(reference, hypothesis)
    assert scores.n_test == n
    assert scores.accuracy == pytest.approx(
        accuracy_score(reference, hypothesis), abs=1e-12
    )
    assert scores.macro_f1 == pytest.approx(
        f1_score(reference, hypothesis, average="macro"), abs=1e-12
    )
    for gender, recall in (("f", scores.recall_f), ("m", scores.recall_m)):
        expected = recall_score(reference, hypothesis, pos_label=gender)
        assert recall == pytest.approx(expected, abs=1e-12)


def test_a_class_never_predicted_has_f1_zero():
    scores = score_gender(["f", "f", "m"], ["m", "m", "m"])
    assert (scores.recall_f, scores.recall_m) == (0.0, 1.0)
    assert scores.macro_f1 == pytest.approx((0 + 2 / 4) / 2)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "message"),
    [
        ([], [], "No test utterance is labelled 'f'"),
        (["m", "m"], ["m", "f"], "No test utterance is labelled 'f'"),
        (["f", "m"], ["f"], "2 reference labels stand against 1"),
        (["f", "m"], ["f", "male"], "'male' is not a gender"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(reference, hypothesis, message):
    with pytest.raises(UserError, match=message):
        score_gender(reference, hypothesis)
