"""Spans that are hidden: their length, their number, their source of chance."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.pretraining.masking import draw_spans


@given(
    st.integers(1, 4),
    st.integers(1, 200),
    st.floats(0.01, 1.0),
    st.integers(1, 20),
    st.integers(0, 2**31),
)
def test_hidden_frames_come_in_whole_spans(batch, frames, share, length, seed):
    torch.manual_seed(seed)
    mask = draw_spans(batch, frames, share, length)
    assert mask.shape == (batch, frames) and mask.dtype == torch.bool
    for row in mask.tolist():
        runs = "".join("x" if hidden else " " for hidden in row).split()
        assert runs
        assert all(len(run) >= min(length, frames) for run in runs)


def test_hidden_frames_are_as_many_as_overlapping_spans_leave():
    torch.manual_seed(0)
    mask = draw_spans(2000, 149, 0.8, 10)
    # Without repetition of starts, and with spans kept whole, an inner frame is missed
    # by all k of 140 starts with probability C(130, k) / C(140, k); k is 11 or 12.
    missed = sum(
        weight * torch.prod((130.0 - torch.arange(k)) / (140.0 - torch.arange(k)))
        for k, weight in ((11, 1 - 0.92), (12, 0.92))
    )
    inner = mask[:, 9:-9].float().mean()
    assert inner == pytest.approx(1 - float(missed), abs=0.03)


def test_the_number_of_spans_is_right_on_average():
    torch.manual_seed(1)
    # Spans of one frame do not overlap.
    mask = draw_spans(1, 10, 0.25, 1)
    numbers = [int(draw_spans(1, 10, 0.25, 1).sum()) for _ in range(2000)]
    assert set(numbers) == {2, 3} and int(mask.sum()) in (2, 3)
    assert sum(numbers) / len(numbers) == pytest.approx(2.5, abs=0.05)


def test_the_same_seed_hides_the_same_frames():
    torch.manual_seed(3)
    first = draw_spans(3, 50, 0.5, 5)
    torch.manual_seed(3)
    assert torch.equal(first, draw_spans(3, 50, 0.5, 5))
    assert not torch.equal(first, draw_spans(3, 50, 0.5, 5))
