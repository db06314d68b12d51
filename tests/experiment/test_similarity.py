"""CKA against its textbook forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.experiment.similarity import linear_cka, view

SIZES = st.tuples(st.integers(0, 999), st.integers(3, 40), st.integers(1, 60))


def draw(size, width=None):
    seed, n, d = size
    rng = np.random.default_rng(seed + 1000 * (width is not None))
    return rng.normal(5, 2, (n, width or d)).astype(np.float32)


def of(one, other):
    return linear_cka(view(one), view(other))


@given(SIZES, st.integers(1, 60))
def test_cka_is_that_of_the_textbook(size, width):
    x, y = draw(size).astype(float), draw(size, width).astype(float)
    n = len(x)
    centre = np.eye(n) - 1 / n

    def hsic(k, m):
        return np.trace(k @ centre @ m @ centre) / (n - 1) ** 2

    grams = x @ x.T, y @ y.T
    by_hsic = hsic(*grams) / np.sqrt(hsic(*2 * grams[:1]) * hsic(*2 * grams[1:]))
    x, y = x - x.mean(0), y - y.mean(0)
    products = (np.linalg.norm(a.T @ b) for a, b in ((x, y), (x, x), (y, y)))
    cross, one, other = (value for value in products)
    by_features = cross**2 / (one * other)
    assert of(x, y) == pytest.approx(by_hsic, abs=1e-5)
    assert of(x, y) == pytest.approx(by_features, abs=1e-5)


@given(SIZES, st.floats(1e-3, 1e3))
def test_equal_features_rotations_and_scales_are_no_difference(size, scale):
    x = draw(size)
    width = x.shape[1]
    rotation, _ = np.linalg.qr(np.random.default_rng(size[0]).normal(size=(width,) * 2))
    moved = scale * (x @ rotation) + 3
    assert of(x, x) == pytest.approx(1, abs=1e-6)
    assert of(x, moved) == pytest.approx(1, abs=1e-4)
    y = draw(size, 7)
    assert of(moved, y) == pytest.approx(of(x, y), abs=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.0])
def test_features_without_a_likeness_have_none(value):
    features = np.full((5, 3), value, np.float32)
    assert np.isnan(of(features, draw((0, 5, 3))))
