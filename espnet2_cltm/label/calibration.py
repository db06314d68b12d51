"""What accuracy does not show: how far the probabilities of classes can be trusted.

Conventions: ``truth`` are the true classes' numbers, (utterances,) int64; ``logs`` the
logarithms of the probabilities, (utterances, classes) float64, in the model's order of
classes. A temperature T divides them, and they are normalised again; 1 changes nothing,
more makes them less certain. Every metric is better the lower.

Metrics
-------
* ``nll``: mean negative logarithm of the true class's probability, in nats.
* ``brier``: mean over utterances of the squared differences, summed over classes,
  between the probabilities and 1 for the true class, 0 for others (Brier 1950).
* ``ece``: expected calibration error, the mean distance between the most probable
  class's probability and how often it is right, over :data:`N_BINS` equal bins.
* ``nll_tempered``, ``brier_tempered``, ``ece_tempered``: the same with the temperature
  that is fitted on dev utterances (Guo et al., arXiv:1706.04599).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_cltm.task import Measure, Metric

N_BINS = 15
EDGES = np.linspace(0, 1, N_BINS + 1)
"""Lower edges of the bins; like torchmetrics', the last holds a probability of 1."""
TEMPERATURES = (0.01, 100.0)
"""Range of temperatures that are fitted."""
_LEAST = np.finfo(np.float32).tiny  # of probabilities, which are 32-bit numbers
_HALVINGS = 60


@dataclass(frozen=True)
class ProbabilityMetric(Metric):
    """A metric whose function takes ``truth`` and ``logs``, and a temperature if any.

    It is left out where labels are scored without probabilities.
    """

    of_calibration: bool = True


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Return ``logs``; of a probability that is 0, that of the least 32-bit number."""
    return np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST))


def temper(logs: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``logs`` at a temperature, normalised."""
    scaled = logs / temperature
    tempered = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
    return np.minimum(tempered, 0.0)  # the last bit


def nll(truth: np.ndarray, logs: np.ndarray) -> float:
    """Return the mean negative log-likelihood, in nats."""
    return float(-np.take_along_axis(logs, truth[:, None], axis=1).mean())


def brier(truth: np.ndarray, logs: np.ndarray) -> float:
    """Return the Brier score of all classes, between 0 and 2."""
    differences = np.exp(logs)
    differences[np.arange(len(truth)), truth] -= 1
    return float((differences**2).sum(axis=1).mean())


def ece(truth: np.ndarray, logs: np.ndarray) -> float:
    """Return the expected calibration error of the most probable class.

    Returns:
        The sum over bins of |correct - confident| / utterances, where ``correct`` is
        the number of utterances whose most probable class is the true one, and
        ``confident`` the sum of its probabilities; between 0 and 1.
    """
    _, confident, correct = reliability(truth, logs)
    return min(float(np.abs(correct - confident).sum()), 1.0)


def reliability(truth: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Sort utterances by the probability of their most probable class.

    Returns:
        (3, bins) shares of all utterances, by bin: how many there are, the sum of the
        most probable class's probabilities, and how often it is the true one.
    """
    highest = np.exp(logs.max(axis=1))
    bins = np.searchsorted(EDGES, highest.astype(np.float32), side="right") - 1
    is_right = logs.argmax(axis=1) == truth
    weights = (np.ones(len(truth)), highest, is_right)
    found = [np.bincount(bins, one, minlength=len(EDGES)) for one in weights]
    return np.stack(found) / len(truth)


def fit_temperature(truth: np.ndarray, logs: np.ndarray) -> float:
    """Return the temperature with the least negative log-likelihood.

    As if one more utterance of each class were there, each utterance is of its class
    with a certainty below 1 (Laplace; Platt 1999 for two classes). So a few utterances,
    all right, do not make a model certain of everything.

    Args:
        truth: Classes of dev utterances.
        logs: Log-probabilities of the model.
    """
    n, n_classes = logs.shape
    wanted = np.full_like(logs, 1 / (n + n_classes))
    wanted[np.arange(n), truth] = (n + 1) / (n + n_classes)
    # The derivative by 1/T, which rises: the likelihood is convex there.
    low, high = (1 / T for T in reversed(TEMPERATURES))
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        expected = np.exp(temper(logs, 1 / middle))
        if ((expected - wanted) * logs).sum() > 0:
            high = middle
        else:
            low = middle
    return 1 / (low * high) ** 0.5


def calibration_measures(
    truth: np.ndarray, logs: np.ndarray, calibrations: Mapping[str, Sequence[float]]
) -> Iterator[Measure]:
    """Yield what a reliability diagram shows, before and after the temperature.

    Yields:
        ``bin_share``, ``bin_confident`` and ``bin_correct`` by a bin's lower edge, see
        :func:`reliability`, where they are not 0; with ``_tempered`` where there is a
        temperature.
    """
    by_ending = {"": logs}
    if DEV in calibrations:
        by_ending["_tempered"] = temper(logs, *calibrations[DEV])
    for ending, of_ending in by_ending.items():
        found = reliability(truth, of_ending)
        for name, values in zip(("share", "confident", "correct"), found, strict=True):
            for edge, value in zip(EDGES, values, strict=True):
                if value:
                    yield f"bin_{name}{ending}", round(edge, 4), round(value, 6)


def _tempered(function: Callable[..., float]) -> Callable[..., float]:
    def compute(
        truth: np.ndarray, logs: np.ndarray, calibration: Sequence[float]
    ) -> float:
        return function(truth, temper(logs, *calibration))

    return compute


DEV = "both"  # languages whose dev utterances the temperature is fitted on
PROBABILITY_METRICS = (
    *(
        ProbabilityMetric(name, f"1 - {title}", function, True, maximum)
        for name, title, function, maximum in (
            ("nll", "NLL", nll, None),
            ("brier", "Brier score", brier, None),
            ("ece", "ECE", ece, 1.0),
        )
    ),
)
PROBABILITY_METRICS += tuple(
    ProbabilityMetric(
        f"{one.name}_tempered",
        f"{one.title} (temperature)",
        _tempered(one.function),
        True,
        one.maximum,
        calibrated_on=DEV,
    )
    for one in PROBABILITY_METRICS
    if one.function is not None
)
