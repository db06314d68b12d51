"""Linear centred kernel alignment (CKA): how alike two layers see the same frames.

For features X and Y of the same n frames, centred, with the Gram matrices K = XXᵀ and
L = YYᵀ (Kornblith et al. 2019, arXiv:1905.00414, section 3)::

    CKA = <K, L> / (|K| |L|) = |YᵀX|² / (|XᵀX| |YᵀY|)

with Frobenius norms: 1 for equal features, the same after a rotation or a change of
scale of either. A layer is kept as its *view*, the Gram matrix as a vector of unit
length, so that the CKA of two layers, whatever their sizes, is one product of views.
It depends on which frames and how many (the fewer, the higher): compare values of
equally many only.
"""

import numpy as np


def view(features: np.ndarray) -> np.ndarray:
    """Return what CKA needs to know of a layer.

    Args:
        features: (frames, size) features.

    Returns:
        (frames * (frames + 1) / 2,) float32 vector of unit length, the upper half of
        the centred Gram matrix; NaN where features are not finite or are all equal.
    """
    with np.errstate(all="ignore"):
        # A copy: what is far from the origin loses its digits in single precision.
        centred = features.astype(np.float64)
        centred -= centred.mean(axis=0)
        gram = centred @ centred.T
        upper = np.triu_indices(len(gram))
        weights = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))
        vector = gram[upper] * weights
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def linear_cka(one: np.ndarray, other: np.ndarray) -> float:
    """Return the CKA of two layers.

    Args:
        one: View of the one, see :func:`view`.
        other: View of the other, on the same frames.
    """
    return float(one.astype(np.float64) @ other.astype(np.float64))
