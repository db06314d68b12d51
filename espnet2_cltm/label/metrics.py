"""Metrics of label tasks.

Conventions: labels are texts. Every metric here lies between 0 and 1, the higher the
better, and is computed over all utterances of one test set; a metric that you add
may have other bounds. A metric's function takes the reference labels, the predicted
labels in the same order, and the classes in the model's order; metrics of
probabilities are in :mod:`.calibration`.

Metrics
-------
* ``macro_f1``: mean of the classes' F1, the matrix's default.
* ``accuracy``: share of utterances labelled correctly.
* ``recall``: share of a class's utterances labelled correctly, for each class.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.calibration import (
    PROBABILITY_METRICS,
    ProbabilityMetric,
    calibration_measures,
)
from espnet2_cltm.task import Measure, Metric, Scores


def validate(
    reference: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> None:
    """Check labels before they are scored.

    Raises:
        UserError: There is nothing to score, the lengths differ, a label is not a
            class, or the reference lacks a class: recall and F1 of a class that no
            utterance has are undefined.
    """
    if len(reference) != len(predicted):
        raise UserError(
            f"There are {len(reference)} reference labels and {len(predicted)} "
            "predicted ones: predict exactly the test utterances."
        )
    odd = sorted({*reference, *predicted} - set(classes))
    if odd:
        raise UserError(
            f"Label {odd[0]!r} is not a class: the classes are {' '.join(classes)}."
        )
    missing = [name for name in classes if name not in reference]
    if missing:
        raise UserError(
            f"No test utterance is labelled {missing[0]!r}, so macro F1 is undefined: "
            "test on utterances of every class."
        )


def macro_f1(
    reference: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN).

    Example:
        >>> macro_f1(["f", "f", "m"], ["f", "m", "m"], ["f", "m"])
        0.6666666666666666
    """
    hits, n_reference, n_predicted = _count(reference, predicted)
    f1 = [2 * hits[c] / (n_reference[c] + n_predicted[c]) for c in classes]
    return sum(f1) / len(f1)


def accuracy(
    reference: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> float:
    """Return the share of utterances labelled correctly."""
    return _count(reference, predicted)[0].total() / len(reference)


def recall(
    reference: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> dict[str, float]:
    """Return each class's share of utterances labelled correctly."""
    hits, n_reference, _ = _count(reference, predicted)
    return {c: hits[c] / n_reference[c] for c in classes}


LABEL_METRICS = (
    Metric("macro_f1", "macro F1", macro_f1, published_as="f1"),
    Metric("accuracy", "accuracy", accuracy),
    Metric("recall", "recall of", recall, per_class=True),
    *PROBABILITY_METRICS,
)


def score_labels(
    reference: Sequence[str],
    predicted: Sequence[str],
    classes: Sequence[str],
    metrics: Sequence[Metric] = LABEL_METRICS,
    logs: np.ndarray | None = None,
    calibrations: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> Scores:
    """Score predicted labels.

    Args:
        reference: True label of each utterance.
        predicted: Predicted labels, in the same order.
        classes: Classes in the model's order.
        metrics: Metrics to compute.
        logs: (utterances, classes) log-probabilities; None where there are labels
            only.
        calibrations: Temperatures, see :attr:`.Metric.calibrated_on`.

    Returns:
        The metrics by name, per-class ones once for each class, and the confusion
        table; with log-probabilities the reliability diagram.

    Raises:
        UserError: See :func:`validate`.
    """
    validate(reference, predicted, classes)
    values: dict[str, float] = {}
    of_labels = (reference, predicted, classes)
    measures: list[Measure] = []
    if logs is not None:
        number = {name: k for k, name in enumerate(classes)}
        truth = np.array([number[name] for name in reference])
        measures = list(calibration_measures(truth, logs, calibrations))
    for metric in metrics:
        if not isinstance(metric, ProbabilityMetric):
            value = metric.compute(*of_labels, calibrations=calibrations)
        elif logs is not None:
            value = metric.compute(truth, logs, calibrations=calibrations)
        else:
            continue
        if metric.per_class:
            values |= {f"{metric.name}_{c}": value[c] for c in classes}
        else:
            values[metric.name] = value
    cells = Counter(zip(reference, predicted, strict=True))
    confusion = {r: {p: cells[r, p] for p in classes} for r in classes}
    return Scores(values, len(reference), confusion, measures=measures)


def _count(
    reference: Sequence[str], predicted: Sequence[str]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Count by class: correct, in the reference, predicted."""
    pairs = zip(reference, predicted, strict=True)
    hits = Counter(r for r, p in pairs if r == p)
    return hits, Counter(reference), Counter(predicted)
