"""Metrics of speaker verification.

Conventions: a higher score speaks for a single speaker (target). A threshold accepts
the scores above it; it lies between two distinct scores, below all of them (accept all)
or above all of them (reject all), so tied trials are accepted or rejected together.
P_miss is the share of targets rejected, P_fa the share of nontargets accepted. Trials
are counted in integers, so a metric is rounded only once, at the end.

Metrics
-------
* ``roc_auc``: probability that a target scores higher than a nontarget, ties 1/2.
* ``eer``: equal error rate, as a fraction, where the ROC, linear between neighbouring
  thresholds, meets P_miss = P_fa: as WeSpeaker prints it. ESPnet takes the threshold
  nearest to that point, which is within a trial of it.
* ``eer_hull``: the same on the convex hull of the ROC, which is never higher.
* ``min_dcf_p0.01``, ``min_dcf_p0.05``: smallest detection cost over all thresholds at
  these prior probabilities of a target, divided by the cost of the better of accepting
  all and rejecting all; NaN where nontargets are too few to tell (:data:`MOST_STEP`).

All depend on the order of the scores alone; for what their values tell, see
:mod:`.calibration`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.task import Metric, Scores

P_TARGETS = (0.01, 0.05)
MOST_STEP = 0.1
"""Most that one false alarm may change min DCF: more, and the trials can't carry it."""


@dataclass(frozen=True)
class ErrorCounts:
    """Errors at every threshold, from accepting all trials to rejecting all.

    Attributes:
        misses: (thresholds,) int64 numbers of targets rejected, rising from 0 to
            ``n_targets``.
        false_alarms: (thresholds,) int64 numbers of nontargets accepted, falling from
            ``n_nontargets`` to 0.
        values: (thresholds - 1,) the scores between them, rising.
    """

    misses: np.ndarray
    false_alarms: np.ndarray
    values: np.ndarray

    @property
    def n_targets(self) -> int:
        """Number of target trials."""
        return int(self.misses[-1])

    @property
    def n_nontargets(self) -> int:
        """Number of nontarget trials."""
        return int(self.false_alarms[0])


def validate(scores: np.ndarray, is_target: np.ndarray) -> None:
    """Check trials before they are scored.

    Raises:
        UserError: A score is not finite, the lengths differ, or there are no targets
            or no nontargets: every metric is undefined then.
    """
    if scores.ndim != 1 or scores.shape != is_target.shape:
        raise UserError(
            f"Scores of shape {scores.shape} do not match labels of shape "
            f"{is_target.shape}: give one score per trial."
        )
    odd = np.flatnonzero(~np.isfinite(scores))
    if len(odd):
        raise UserError(
            f"The score of trial {odd[0] + 1} is {scores[odd[0]]}: score with a model "
            "whose training did not diverge."
        )
    for name, n_trials in (
        ("target", np.count_nonzero(is_target)),
        ("nontarget", np.count_nonzero(~is_target)),
    ):
        if not n_trials:
            raise UserError(
                f"None of the {len(scores)} trials is a {name} trial, so EER, min DCF "
                "and AUC are undefined: give trials of both kinds."
            )


def count_errors(scores: np.ndarray, is_target: np.ndarray) -> ErrorCounts:
    """Count misses and false alarms at every threshold.

    Args:
        scores: (trials,) real numbers.
        is_target: (trials,) bool.

    Raises:
        UserError: See :func:`validate`.
    """
    scores = np.asarray(scores)
    is_target = np.asarray(is_target, dtype=bool)
    validate(scores, is_target)
    order = np.argsort(scores)
    ordered = scores[order]
    last_of_ties = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    rejected_targets = np.cumsum(is_target[order], dtype=np.int64)[last_of_ties]
    rejected_nontargets = last_of_ties + 1 - rejected_targets
    misses = np.concatenate(([0], rejected_targets))
    false_alarms = rejected_nontargets[-1] - np.concatenate(([0], rejected_nontargets))
    values = ordered[last_of_ties].astype(np.float64)
    return ErrorCounts(misses, false_alarms, values)


def roc_auc(counts: ErrorCounts) -> float:
    """Return the area under the ROC curve, the normalised Mann-Whitney U.

    It is P(target scores higher) + P(scores tie) / 2 over all pairs of a target and a
    nontarget.
    """
    # Trials between two neighbouring thresholds tie. A nontarget is ranked correctly
    # against all targets above it, and counts half against those it ties with.
    tied_nontargets = counts.false_alarms[:-1] - counts.false_alarms[1:]
    targets_right = 2 * counts.n_targets - counts.misses[:-1] - counts.misses[1:]
    n_pairs = counts.n_targets * counts.n_nontargets
    return int((tied_nontargets * targets_right).sum()) / (2 * n_pairs)


def eer(counts: ErrorCounts) -> float:
    """Return the equal error rate of the ROC, linear between thresholds.

    It is more than 0.5 where targets score lower.
    """
    # P_miss - P_fa times the number of pairs rises from below 0 to above it.
    misses = counts.misses * counts.n_nontargets
    difference = misses - counts.false_alarms * counts.n_targets
    right = int(np.searchsorted(difference, 0))
    below, above = -int(difference[right - 1]), int(difference[right])
    met = above * int(misses[right - 1]) + below * int(misses[right])
    return met / ((above + below) * counts.n_targets * counts.n_nontargets)


def eer_hull(counts: ErrorCounts) -> float:
    """Return the equal error rate on the convex hull of the ROC, at most 0.5.

    The hull is what the best calibration of the scores achieves, so the rate does not
    depend on how to interpolate between thresholds; see Brümmer and de Villiers, The
    BOSARIS Toolkit, arXiv:1304.2865.
    """
    n_targets, n_nontargets = counts.n_targets, counts.n_nontargets
    misses, false_alarms = counts.misses, counts.false_alarms
    # Quickhull, followed only towards the edge that crosses P_miss = P_fa: start with
    # the line from accepting all to rejecting all, find the threshold farthest below
    # it, and continue on the side where the diagonal is crossed. The range shrinks in
    # every step and halves in most.
    left, right = 0, len(misses) - 1
    while True:
        height = (misses[right] - misses[left]) * false_alarms[left : right + 1]
        height += (false_alarms[left] - false_alarms[right]) * misses[left : right + 1]
        lowest = left + int(height.argmin())
        if height[lowest - left] == height[0]:
            break
        if false_alarms[lowest] * n_targets > misses[lowest] * n_nontargets:
            left = lowest
        else:
            right = lowest
    # P_fa - P_miss at both ends, times the number of pairs, as Python integers.
    above = int(false_alarms[left]) * n_targets - int(misses[left]) * n_nontargets
    below = int(misses[right]) * n_nontargets - int(false_alarms[right]) * n_targets
    met = below * int(false_alarms[left]) + above * int(false_alarms[right])
    return met / (n_nontargets * (above + below))


def min_dcf(counts: ErrorCounts, p_target: float) -> float:
    """Return the smallest normalised detection cost over all thresholds, 0 to 1.

    It is min (p P_miss + (1-p) P_fa) / min(p, 1-p), both costs being 1.

    Args:
        counts: Errors at every threshold.
        p_target: Prior probability of a target, between 0 and 1.
    """
    p_miss = counts.misses / counts.n_targets
    p_fa = counts.false_alarms / counts.n_nontargets
    cost = p_target * p_miss + (1 - p_target) * p_fa
    return float(cost.min()) / min(p_target, 1 - p_target)


def fewest_nontargets(p_target: float) -> int:
    """Return how many nontarget trials carry min DCF at a prior probability."""
    return math.ceil((1 - p_target) / p_target / MOST_STEP - 1e-9)


def _at(p_target: float) -> Callable[[ErrorCounts], float]:
    def compute(counts: ErrorCounts) -> float:
        if counts.n_nontargets < fewest_nontargets(p_target):
            return math.nan
        return min_dcf(counts, p_target)

    return compute


SPEAKER_METRICS = (
    Metric("roc_auc", "ROC AUC", roc_auc, published_as="auc"),
    Metric("eer", "1 - EER", eer, lower_is_better=True),
    Metric("eer_hull", "1 - EER (convex hull)", eer_hull, lower_is_better=True),
    *(
        Metric(f"min_dcf_p{p:g}", f"1 - minDCF (p_target {p:g})", _at(p), True)
        for p in P_TARGETS
    ),
)
"""Metrics whose functions take :class:`ErrorCounts`: one sort serves them all."""


def score_trials(
    scores: np.ndarray,
    is_target: np.ndarray,
    metrics: Sequence[Metric] = SPEAKER_METRICS,
    calibrations: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> Scores:
    """Compute the metrics of a set of trials.

    Args:
        scores: (trials,) real numbers.
        is_target: (trials,) bool.
        metrics: Metrics whose functions take :class:`ErrorCounts`.
        calibrations: Scale and offset, see :attr:`.Metric.calibrated_on`.

    Returns:
        The metrics by name, and the number of trials.

    Raises:
        UserError: See :func:`validate`.

    Example:
        >>> score_trials(np.array([0.9, 0.1]), np.array([True, False])).metrics["eer"]
        0.0
    """
    counts = count_errors(scores, is_target)
    values = {m.name: m.compute(counts, calibrations=calibrations) for m in metrics}
    return Scores(values, counts.n_targets + counts.n_nontargets)
