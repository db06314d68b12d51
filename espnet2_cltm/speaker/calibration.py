"""What EER and min DCF do not show: whether scores are likelihood ratios.

A calibration (scale, offset) makes a score s the logarithm of a likelihood ratio, scale
x s + offset. It is fitted on dev trials: of the language that is tested, of the other
languages that the run is trained on, or of all these (see :data:`.CALIBRATION_SETS`).

Metrics
-------
* ``cllr_<dev>``: cost of the log-likelihood ratios, in bits: 0 is perfect, 1 is what
  one has who knows nothing; Brümmer and du Preez, Computer Speech and Language 2006.
* ``min_cllr``: the same after the best monotonic calibration on the test trials
  themselves, by pool adjacent violators; cllr - min_cllr is what calibration loses.
* ``act_dcf_p<prior>_<dev>``: detection cost at the threshold that follows from the
  prior alone, normalised as min DCF, and NaN where that is.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from espnet2_cltm.speaker.metrics import P_TARGETS, ErrorCounts, fewest_nontargets
from espnet2_cltm.task import CALIBRATION_SETS, Metric

_MOST_STEPS = 100


def fit_calibration(scores: np.ndarray, is_target: np.ndarray) -> list[float]:
    """Fit scale and offset by logistic regression, targets and nontargets weighing 1/2.

    Trials are wanted to be certain only as far as their number allows, as if there were
    one more of each kind (Platt 1999): few trials without an error have a finite scale.

    Args:
        scores: (trials,) real numbers.
        is_target: (trials,) bool; both kinds are there.

    Returns:
        Scale and offset of the log-likelihood ratio.
    """
    scores = np.asarray(scores, dtype=np.float64)
    counts = np.array([np.count_nonzero(~is_target), np.count_nonzero(is_target)])
    kind = is_target.astype(int)
    weight = 0.5 / counts[kind]
    certainty = (counts + 1) / (counts + 2)
    wanted = np.where(is_target, certainty[1], 1 - certainty[0])
    middle, spread = scores.mean(), scores.std() or 1.0
    design = np.stack([(scores - middle) / spread, np.ones_like(scores)])

    def cost_of(at: np.ndarray) -> float:
        logit = at @ design
        return float(weight @ (np.logaddexp(0, logit) - wanted * logit))

    at = np.zeros(2)
    cost = cost_of(at)
    for _ in range(_MOST_STEPS):
        share = 0.5 * (1 + np.tanh(0.5 * (at @ design)))
        gradient = design @ (weight * (share - wanted))
        curvature = (design * (weight * share * (1 - share))) @ design.T
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        while cost_of(at - step) > cost and np.abs(step).max() > 1e-12:
            step /= 2
        at, before, cost = at - step, cost, cost_of(at - step)
        if before - cost <= 1e-15:
            break
    scale = at[0] / spread
    return [float(scale), float(at[1] - scale * middle)]


def cllr(counts: ErrorCounts, calibration: Sequence[float]) -> float:
    """Return the cost of log-likelihood ratios, in bits.

    Args:
        counts: Trials by score.
        calibration: Scale and offset.

    Returns:
        mean over targets of log2(1 + 1/LR) / 2 + mean over nontargets of
        log2(1 + LR) / 2.
    """
    scale, offset = calibration
    return _cllr(counts, scale * counts.values + offset)


def _cllr(counts: ErrorCounts, ratios: np.ndarray) -> float:
    """Return Cllr where trials of the k-th score have the k-th log-likelihood ratio."""
    targets, nontargets = np.diff(counts.misses), -np.diff(counts.false_alarms)
    sums = [
        number[number > 0] @ np.logaddexp(0, sign * ratios[number > 0]) / number.sum()
        for number, sign in ((targets, -1), (nontargets, 1))
    ]
    return float(sum(sums) / (2 * math.log(2)))


def min_cllr(counts: ErrorCounts) -> float:
    """Return Cllr after the best monotonic calibration of the trials themselves."""
    from sklearn.isotonic import isotonic_regression  # takes a second, not for a plan

    targets, nontargets = np.diff(counts.misses), -np.diff(counts.false_alarms)
    weight = (targets + nontargets).astype(float)
    posterior = isotonic_regression(targets / weight, sample_weight=weight)
    with np.errstate(divide="ignore"):
        odds = np.log(posterior) - np.log1p(-posterior)
    ratios = odds - math.log(counts.n_targets / counts.n_nontargets)
    return min(_cllr(counts, ratios), 1.0)


def act_dcf(
    counts: ErrorCounts, calibration: Sequence[float], p_target: float
) -> float:
    """Return the normalised detection cost at Bayes' threshold, both costs 1.

    Args:
        counts: Trials by score.
        calibration: Scale and offset.
        p_target: Prior probability of a target.

    Returns:
        (p P_miss + (1-p) P_fa) / min(p, 1-p), where a trial is accepted whose
        log-likelihood ratio exceeds log((1-p) / p); NaN with so few nontargets that
        min DCF is undefined.
    """
    if counts.n_nontargets < fewest_nontargets(p_target):
        return math.nan
    scale, offset = calibration
    accepted = scale * counts.values + offset > math.log((1 - p_target) / p_target)
    p_miss = 1 - np.diff(counts.misses)[accepted].sum() / counts.n_targets
    p_fa = -np.diff(counts.false_alarms)[accepted].sum() / counts.n_nontargets
    cost = p_target * p_miss + (1 - p_target) * p_fa
    return float(cost / min(p_target, 1 - p_target))


def _at(p_target: float) -> Callable[[ErrorCounts, Sequence[float]], float]:
    return lambda counts, calibration: act_dcf(counts, calibration, p_target)


CALIBRATION_METRICS = (
    Metric(
        "min_cllr", "1 - min Cllr", min_cllr, lower_is_better=True, of_calibration=True
    ),
    *(
        Metric(
            f"{name}_{dev}",
            f"1 - {title} (dev of {words})",
            function,
            lower_is_better=True,
            maximum=None,
            calibrated_on=dev,
            of_calibration=True,
        )
        for name, title, function in (
            ("cllr", "Cllr", cllr),
            *((f"act_dcf_p{p:g}", f"actual DCF {p:g}", _at(p)) for p in P_TARGETS),
        )
        for dev, words in CALIBRATION_SETS.items()
    ),
)
"""Metrics whose functions take :class:`.ErrorCounts`, and a calibration if any."""
