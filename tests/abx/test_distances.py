"""Distances and their alignment, against a plain recursion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import rel_entr

from espnet2_cltm.abx.distances import DISTANCES, align, prepare_frames
from espnet2_cltm.errors import UserError


def reference(table):
    """Cost of the cheapest path by its length, one cell after another."""
    n, m = table.shape
    best = {}
    for i in range(n):
        for j in range(m):
            # The diagonal first, then that which moves on in the second item.
            before = [(i - 1, j - 1), (i, j - 1), (i - 1, j)]
            known = [best[cell] for cell in before if cell in best]
            cost, steps = min(known, key=lambda one: one[0], default=(0.0, 0))
            best[i, j] = (np.float32(cost + table[i, j]), steps + 1)
    cost, steps = best[n - 1, m - 1]
    return cost / steps


@settings(max_examples=30)
@given(st.data())
def test_many_pairs_are_aligned_as_one_by_one(data):
    shapes = data.draw(
        st.lists(
            st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=9
        )
    )
    # Few values, so that paths tie.
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    tables = [
        generator.integers(0, 3, shape).astype(np.float32) / 2 for shape in shapes
    ]
    offsets = np.cumsum([0, *(table.size for table in tables[:-1])])
    found = align(
        np.concatenate([table.ravel() for table in tables]),
        offsets,
        np.array([m for _, m in shapes]),
        np.array(shapes),
    )
    assert found == pytest.approx([reference(table) for table in tables], abs=1e-6)


def test_a_pair_may_be_a_part_of_a_larger_table():
    table = np.arange(20, dtype=np.float32).reshape(4, 5)
    found = align(table.ravel(), np.array([6]), np.array([5]), np.array([[2, 3]]))
    assert found[0] == pytest.approx(reference(table[1:3, 1:4]))


def test_frame_distances_are_those_of_scipy():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(5, 8)), generator.normal(size=(7, 8))
    ready = {
        name: [prepare_frames(one, name, "x") for one in (x, y)]
        for name in ("angular", "cosine")
    }
    cosine = cdist(x, y, "cosine")
    assert DISTANCES["cosine"](*ready["cosine"]) == pytest.approx(cosine, abs=1e-5)
    angle = np.arccos(1 - cosine) / np.pi
    assert DISTANCES["angular"](*ready["angular"]) == pytest.approx(angle, abs=1e-5)
    p, q = (np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in (x, y))
    both = rel_entr(p[:, None], q).sum(axis=2) + rel_entr(q, p[:, None]).sum(axis=2)
    found = DISTANCES["kl_symmetric"](
        *(prepare_frames(one, "kl_symmetric", "x") for one in (p, q))
    )
    assert found == pytest.approx(both / 2, abs=1e-3)


def test_a_frame_of_zeros_is_at_a_right_angle_to_all():
    x, y = (
        prepare_frames(np.array(one), "angular", "x") for one in ([[0, 0]], [[3, 4]])
    )
    assert DISTANCES["angular"](x, y) == pytest.approx(0.5)


def test_frames_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match=r"feats has values that are not finite"):
        prepare_frames(np.array([[np.nan, 1]]), "angular", "feats")
    with pytest.raises(UserError, match=r"feats has frames that are not probabilities"):
        prepare_frames(np.array([[0.5, 0.6]]), "kl_symmetric", "feats")
