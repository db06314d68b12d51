"""Which parts the model of :mod:`espnet2_cltm.matrix.prediction_model` has."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Structure:
    """Which parts a model has.

    Attributes:
        factors: u and v.
        features: Effects and pairs by f.
        scale_by_target: Each target has its own scale of the rest.
        degrees_of_freedom: What the rest's Student distribution may have; which, is
            learnt. Heavier tails would take for chance what outlying cells tell.
    """

    factors: bool
    features: bool
    scale_by_target: bool
    degrees_of_freedom: tuple[float, ...]


STRUCTURES = (
    Structure(True, False, True, (6.0, 10.0, 20.0, 50.0)),
    Structure(False, True, False, (50.0,)),
)


@dataclass(frozen=True)
class ModelSettings:
    """How the model is fitted.

    Attributes:
        rank: Length of u and v.
        features: Length of f.
        burn_in: Sweeps that are thrown away, of each structure.
        draws: Sweeps that are kept, of each structure.
        seed: Of all draws.
    """

    rank: int = 2
    features: int = 10
    burn_in: int = 200
    draws: int = 500
    seed: int = 0


def relatedness_features(relations: np.ndarray, count: int) -> np.ndarray:
    """Describe languages so that related ones have similar numbers.

    Args:
        relations: (n, n, p), symmetric; the diagonal tells a language's own closeness.
        count: How many numbers at most.

    Returns:
        (n, q), eigenvectors of the mean relatedness, centred, each times the root of
        its eigenvalue; as many as have a positive one. Mean squared length 1.
    """
    n = len(relations)
    if relations.shape[-1] == 0 or not relations.any():
        return np.zeros((n, 0))
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(centring @ relations.mean(axis=-1) @ centring)
    best = np.argsort(-values)[:count]
    best = best[values[best] > 1e-9 * values.max()]
    features = vectors[:, best] * np.sqrt(values[best])
    return features / np.sqrt((features**2).sum() / n) if len(best) else features
