"""Distances between stretches of speech: dynamic time warping over frame distances.

Two items are aligned from end to end; their distance is the sum of frame distances on
the cheapest path, divided by the number of its steps. Of equally cheap ways the
diagonal is taken, then that which moves on in the second item, as in fastabx. Thousands
of pairs are aligned at once, one anti-diagonal of all their tables after another.
"""

from collections.abc import Callable

import numpy as np

from espnet2_cltm.errors import UserError

_BATCH = 4096  # pairs
_FLOOR = 1e-6  # added to probabilities, as in fastabx
_NORMALISED = 1e-3  # by how much a distribution's sum may differ from 1


def _angular(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """arccos of the cosine over pi: from 0 to 1."""
    return np.arccos(np.clip(x @ y.T, -1, 1)) / np.float32(np.pi)


def _cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 1 - x @ y.T


def _kl_symmetric(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Half of KL(x, y) + KL(y, x)."""
    log_x, log_y = np.log(x + _FLOOR), np.log(y + _FLOOR)
    own = (x * log_x).sum(axis=1)[:, None] + (y * log_y).sum(axis=1)
    return (own - x @ log_y.T - log_x @ y.T) / 2


DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "angular": _angular,
    "cosine": _cosine,
    "kl_symmetric": _kl_symmetric,
}
"""Functions from (n, size) and (m, size) prepared frames to (n, m) distances."""


def prepare_frames(frames: np.ndarray, distance: str, what: str) -> np.ndarray:
    """Check frames and bring them into the form that a distance takes.

    Args:
        frames: (frames, size).
        distance: One of :data:`DISTANCES`.
        what: Name of the features, for messages.

    Returns:
        float32; of unit length for angles, where a frame of zeros stays one and is at a
        right angle to all.

    Raises:
        UserError: Values are not finite, or should be distributions and are not.
    """
    frames = np.asarray(frames, np.float32)
    if not np.isfinite(frames).all():
        raise UserError(
            f"{what} has values that are not finite: compute the features again."
        )
    if distance != "kl_symmetric":
        length = np.linalg.norm(frames, axis=1, keepdims=True)
        return frames / np.where(length == 0, 1, length)
    sums = frames.sum(axis=1)
    if frames.min(initial=0) < 0 or np.abs(sums - 1).max(initial=0) > _NORMALISED:
        raise UserError(
            f"{what} has frames that are not probabilities, and --distance "
            "kl_symmetric needs numbers from 0 that add up to 1: choose angular or "
            "cosine."
        )
    return frames


def align(
    costs: np.ndarray,
    offsets: np.ndarray,
    strides: np.ndarray,
    lengths: np.ndarray,
) -> np.ndarray:
    """Align many pairs of items.

    Args:
        costs: Frame distances of all pairs, in one dimension.
        offsets: (pairs,) place of the first frames' distance.
        strides: (pairs,) how far on the next frame of the first item is; the next of
            the second item is one place on.
        lengths: (pairs, 2) numbers of frames.

    Returns:
        (pairs,) float32 distances.
    """
    distances = np.empty(len(offsets), np.float32)
    # Pairs of about the same size together.
    order = np.lexsort((lengths[:, 1], lengths[:, 0]))
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        distances[batch] = _align_batch(
            costs, offsets[batch], strides[batch], lengths[batch]
        )
    return distances


def _align_batch(
    costs: np.ndarray, offsets: np.ndarray, strides: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Align pairs: for each anti-diagonal the best cost and its steps, by row."""
    n, m = lengths[:, 0], lengths[:, 1]
    rows, pairs = int(n.max()), len(n)
    row = np.arange(rows)[:, None]
    starts = offsets + row * (strides - 1)
    result = np.empty(pairs, np.float32)
    infinite = np.full((rows + 1, pairs), np.inf, np.float32)
    # Row 0 stands for what lies outside of the table.
    one_back, two_back = infinite.copy(), infinite.copy()
    steps_one_back = np.zeros((rows + 1, pairs), np.float32)
    steps_two_back = steps_one_back.copy()
    last = n + m - 2
    for diagonal in range(int(last.max()) + 1):
        column = diagonal - row
        is_inside = (column >= 0) & (column < m) & (row < n)
        here = costs[np.where(is_inside, starts + diagonal, 0)]
        up, left, across = one_back[:-1], one_back[1:], two_back[:-1]
        goes_across = (across <= left) & (across <= up)
        goes_left = ~goes_across & (left <= up)
        best = np.where(goes_across, across, np.where(goes_left, left, up))
        steps = np.where(
            goes_across,
            steps_two_back[:-1],
            np.where(goes_left, steps_one_back[1:], steps_one_back[:-1]),
        )
        if diagonal == 0:
            best = np.zeros_like(best)
        two_back, steps_two_back = one_back, steps_one_back
        one_back, steps_one_back = infinite.copy(), np.zeros_like(steps_one_back)
        one_back[1:] = np.where(is_inside, here + best, np.inf)
        steps_one_back[1:] = steps + 1
        ends = np.flatnonzero(last == diagonal)
        result[ends] = one_back[n[ends], ends] / steps_one_back[n[ends], ends]
    return result
