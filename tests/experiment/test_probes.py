"""Linear probes against scikit-learn's, and on cases made by hand."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from espnet2_cltm.experiment.probes import probe_accuracy


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("size", [6, 200])
def test_a_probe_is_scikit_learns_ridge_classifier(n_classes, size):
    rng = np.random.default_rng(size)
    classes = rng.integers(0, n_classes, 120) * rng.integers(0, 2, 120)
    features = rng.normal(size=(120, size)) + 0.3 * classes[:, None]
    folds = np.arange(120) % 4
    wanted = cross_val_predict(
        make_pipeline(
            StandardScaler(), RidgeClassifier(alpha=size, class_weight="balanced")
        ),
        features,
        classes,
        cv=PredefinedSplit(folds),
    )
    found = probe_accuracy(features, classes.astype(str), folds)
    assert found == pytest.approx(balanced_accuracy_score(classes, wanted))
    assert 1 / n_classes < found < 1


def test_what_is_separable_is_read_off_and_what_a_speaker_has_alone_is_not():
    speakers = np.repeat(np.arange(16), 4)
    classes = np.where(speakers % 2, "a", "b")
    folds = speakers // 2 % 4
    direction = np.where(speakers % 2, 1.0, -1.0)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(64, 8))
    own = 10 * np.eye(16)[speakers]
    separable = np.column_stack([100 * direction, noise])
    assert probe_accuracy(separable, classes, folds) == 1.0
    of_speakers = np.column_stack([own, noise])
    assert probe_accuracy(of_speakers, classes, np.arange(64) % 4) == 1.0
    assert probe_accuracy(of_speakers, classes, folds) < 0.8


def test_items_are_told_from_the_classes_of_their_group():
    # Each class of the one group looks like one of the other.
    which = np.repeat([0, 1, 0, 1], 8)
    classes = np.repeat(["a", "b", "c", "d"], 8)
    groups = np.repeat(["es", "es", "fi", "fi"], 8)
    features = np.column_stack([which, 1 - which]).astype(float)
    folds = np.arange(32) % 4
    assert probe_accuracy(features, classes, folds, groups) == 1.0
    assert probe_accuracy(features, classes, folds) == 0.5


@pytest.mark.parametrize(
    ("classes", "value"),
    [("aaaa", 0.0), ("aaab", 0.0), ("aabb", np.nan), ("", 0.0)],
    ids=["one class", "one that cannot be trained", "not finite", "nothing"],
)
def test_what_cannot_be_probed_has_no_accuracy(classes, value):
    features = np.full((len(classes), 2), value)
    assert probe_accuracy(features, list(classes), range(len(classes))) is None
