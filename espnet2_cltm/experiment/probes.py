"""Linear probes: what can be read off a layer, of speakers the probe has not heard.

A probe is a ridge regression on indicators (1 for the class, -1 for the others), in
closed form: features have zero mean and unit variance in the training part, the penalty
is the number of features, and all classes weigh the same. Its score is balanced
accuracy, the mean over classes of the share that is recognised.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

N_FOLDS = 4


def probe_accuracy(
    features: np.ndarray,
    classes: Sequence[str],
    folds: Sequence[int],
    among: Sequence[str] | None = None,
) -> float | None:
    """Return the balanced accuracy of a probe in cross-validation.

    Args:
        features: (items, size) features.
        classes: Class of each item.
        folds: Part that each item is in; a probe is tested on each part after training
            on the others. Items of a class that these do not have are left out.
        among: Group of each item, such as its language: an item is told from the
            classes of its group alone; None for one group.

    Returns:
        The accuracy; None where fewer than two classes can be tested, or features are
        not finite.
    """
    if not len(features) or not np.isfinite(features).all():
        return None
    names, number = np.unique(np.asarray(classes), return_inverse=True)
    groups = np.zeros(len(number), int) if among is None else np.asarray(among)
    fold_of = np.asarray(folds)
    is_right = np.full(len(number), np.nan)
    for fold in np.unique(fold_of):
        is_train = fold_of != fold
        is_known = np.isin(np.arange(len(names)), number[is_train])
        is_test = ~is_train & is_known[number]
        if is_known.sum() < 2 or not is_test.any():
            continue
        found = _decide(features[is_train], number[is_train], features[is_test])
        for row, item in zip(found, np.flatnonzero(is_test), strict=True):
            allowed = is_known & np.isin(
                np.arange(len(names)), number[groups == groups[item]]
            )
            if allowed.sum() > 1:
                best = np.where(allowed, row, -np.inf).argmax()
                is_right[item] = best == number[item]
    tested = ~np.isnan(is_right)
    recalls = [
        is_right[tested & (number == k)].mean() for k in np.unique(number[tested])
    ]
    return float(np.mean(recalls)) if len(recalls) > 1 else None


def _decide(train: np.ndarray, number: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return (tests, classes) outputs; of classes not trained on, they mean nothing."""
    scaler = StandardScaler().fit(train)
    counts = np.bincount(number)
    indicators = np.where(number[:, None] == np.arange(len(counts)), 1.0, -1.0)
    probe = Ridge(alpha=float(train.shape[1]))
    probe.fit(scaler.transform(train), indicators, 1 / counts[number] * counts.mean())
    return probe.predict(scaler.transform(test))
