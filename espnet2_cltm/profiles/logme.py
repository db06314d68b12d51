"""LogME: the evidence that a linear head reads labels off features.

You et al., *LogME: practical assessment of pre-trained models for transfer learning*
(ICML 2021, arXiv:2102.11005). A head w of prior precision alpha reads a class's
indicator y (1 or 0) off features F with noise of precision beta; both are chosen so
that

    log p(y | F) = log of the integral over w of p(y | F, w, beta) p(w | alpha)

is the largest, by MacKay's fixed-point iteration. The evidence of several classes is
the mean over them. Features get a constant one, for the head's bias. Here the evidence
is summed over items, not their mean, so that the evidence of two sets by one head and
by two can be compared (a log Bayes factor).
"""

import numpy as np

MOST_STEPS = 100
PRECISION = 1e-6  # relative change of alpha / beta at which iteration ends


def log_evidence(features: np.ndarray, classes: np.ndarray) -> float:
    """Return the mean log evidence of the classes' indicators, in nats.

    Args:
        features: (items, size).
        classes: (items,) class of each item.
    """
    design = np.hstack([features, np.ones((len(features), 1))])
    left, values, _ = np.linalg.svd(design, full_matrices=False)
    found = [
        _evidence(left, values**2, (classes == name).astype(float), design.shape[1])
        for name in np.unique(classes)
    ]
    return float(np.mean(found))


def _evidence(left: np.ndarray, sigma: np.ndarray, y: np.ndarray, size: int) -> float:
    """Return the evidence of one indicator.

    Args:
        left: (items, rank) left singular vectors of the features.
        sigma: (rank,) squared singular values.
        y: (items,) indicator.
        size: Number of features.
    """
    n = len(y)
    z2 = (left.T @ y) ** 2
    beyond = max(float(y @ y - z2.sum()), 0.0)  # what no head can explain
    alpha = beta = 1.0
    for _ in range(MOST_STEPS):
        before = alpha / beta
        effective = (sigma / (sigma + before)).sum()
        weights = (sigma * z2 / (before + sigma) ** 2).sum()
        residual = (z2 / (1 + sigma / before) ** 2).sum() + beyond
        alpha = effective / max(weights, 1e-12)
        beta = (n - effective) / max(residual, 1e-12)
        if abs(alpha / beta - before) <= PRECISION * before:
            break
    ratio = alpha / beta
    weights = (sigma * z2 / (ratio + sigma) ** 2).sum()
    residual = (z2 / (1 + sigma / ratio) ** 2).sum() + beyond
    determinant = np.log(alpha + beta * sigma).sum() + (size - len(sigma)) * np.log(
        alpha
    )
    return float(
        size / 2 * np.log(alpha)
        + n / 2 * np.log(beta)
        - determinant / 2
        - beta / 2 * residual
        - alpha / 2 * weights
        - n / 2 * np.log(2 * np.pi)
    )
