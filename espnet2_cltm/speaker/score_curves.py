"""How the scores of trials are spread: histograms, and misses by false alarm rate.

The miss rate at a false alarm rate is read off the ROC, linear between neighbouring
thresholds, as the EER is; so curves of many runs have a mean. The rates at which it is
read are equally spaced on the axes of a DET plot (normal deviates).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from espnet2_cltm.speaker.metrics import count_errors
from espnet2_cltm.speaker.trials import SCORES_SUFFIX, TrialList, read_predictions

BIN_WIDTH = 0.04
EDGES = np.linspace(-1, 1, round(2 / BIN_WIDTH) + 1).round(2)
P_FA = np.concatenate(([0.0], ndtr(np.linspace(-3.2, 3.2, 41)).round(5), [1.0]))


def miss_rates(
    scores: np.ndarray, is_target: np.ndarray, p_fa: np.ndarray
) -> np.ndarray:
    """Return the lowest miss rate at each false alarm rate.

    Args:
        scores: (trials,) real numbers.
        is_target: (trials,) bool.
        p_fa: Rates from 0 to 1, any shape.

    Raises:
        UserError: See :func:`.metrics.validate`.
    """
    counts = count_errors(scores, is_target)
    return np.interp(
        p_fa,
        counts.false_alarms[::-1] / counts.n_nontargets,
        counts.misses[::-1] / counts.n_targets,
    )


def score_measures(
    trials: TrialList, predictions: Path
) -> Iterator[tuple[str, float, float]]:
    """Yield what the report shows of the scores of a test.

    Args:
        trials: The trials.
        predictions: File of the scores, without its suffix.

    Yields:
        ``target`` and ``nontarget``, the number of trials by the lower edge of a bin,
        and ``p_miss`` by false alarm rate.

    Raises:
        UserError: The scores are damaged, or are not those of the trials.
    """
    path = predictions.with_name(predictions.name + SCORES_SUFFIX)
    if not path.exists():  # deleted to save room
        return
    scores = read_predictions(path, trials)
    for name, of_kind in (
        ("target", trials.is_target),
        ("nontarget", ~trials.is_target),
    ):
        counts, _ = np.histogram(np.clip(scores[of_kind], -1, 1), EDGES)
        for low, count in zip(EDGES, counts, strict=False):
            if count:
                yield name, float(low), float(count)
    for at, value in zip(P_FA, miss_rates(scores, trials.is_target, P_FA), strict=True):
        yield "p_miss", float(at), float(value)
