"""Batches, predictions and their table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.inference import (
    LabelPrediction,
    predict_labels,
    read_predictions,
    write_predictions,
)
from espnet2_cltm.tasks.inference import length_batches
from tests.speech import TINY_GENDER, build_gender_model


@given(
    st.dictionaries(st.text("abc", min_size=1), st.integers(400, 5000)),
    st.integers(400, 20000),
)
def test_every_utterance_is_in_one_batch_of_bounded_size(num_samples, batch_bins):
    batches = length_batches(num_samples, batch_bins)
    assert sorted(utt for batch in batches for utt in batch) == sorted(num_samples)
    for batch in batches:
        longest = max(num_samples[utt] for utt in batch)
        assert len(batch) == 1 or len(batch) * longest <= batch_bins


def test_batches_do_not_depend_on_the_order_of_the_utterances():
    lengths = {f"utt{i}": 400 + 37 * (i % 5) for i in range(20)}
    backwards = dict(reversed(lengths.items()))
    assert length_batches(lengths, 3000) == length_batches(backwards, 3000)


def test_predictions_in_a_batch_are_those_made_alone():
    model = build_gender_model(TINY_GENDER)
    rng = np.random.default_rng(0)
    waveforms = {
        f"utt{i}": rng.standard_normal(500 + 700 * i).astype(np.float32) * 0.1
        for i in range(5)
    }
    together = predict_labels(model, waveforms.__getitem__, [list(waveforms)])
    alone = predict_labels(model, waveforms.__getitem__, [[u] for u in waveforms])
    assert [p.utt for p in together] == sorted(waveforms)
    for a, b in zip(together, alone, strict=True):
        assert a.label == b.label
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-4)
        assert sum(a.probabilities.values()) == pytest.approx(1.0, abs=1e-6)
        assert a.label == max(a.probabilities, key=a.probabilities.get)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5))
def test_predictions_survive_their_table_to_the_last_bit(probabilities):
    import tempfile
    from pathlib import Path

    predictions = [
        LabelPrediction(f"utt{i}", "m", {"f": p, "m": float(np.float32(1 - p))})
        for i, p in enumerate(probabilities)
    ]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "predictions.tsv"
        write_predictions(path, predictions)
        again = read_predictions(path)
    for before, after in zip(predictions, again, strict=True):
        for name, value in before.probabilities.items():
            assert np.float32(value) == np.float32(after.probabilities[name])


@pytest.mark.parametrize("text", ["", "utt\tlabel\n", "a b c\n"])
def test_table_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "predictions.tsv"
    path.write_text(text)
    with pytest.raises(UserError, match="predictions"):
        read_predictions(path)


def test_missing_table_is_named(tmp_path):
    with pytest.raises(UserError, match="run stage 4 again"):
        read_predictions(tmp_path / "predictions.tsv")
