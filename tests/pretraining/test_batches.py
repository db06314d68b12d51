"""Batches of one language: every utterance once an epoch, drawn from the seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.batches import GroupedBatches


def build(sizes, batch_size=4):
    group_of = {f"{g}-{n}": g for g, size in sizes.items() for n in range(size)}
    return GroupedBatches(list(group_of), group_of, batch_size, "utt2lang"), group_of


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1),
    batch_size=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_an_epoch_has_every_utterance_once_in_batches_of_one_group(
    sizes, batch_size, seed
):
    batches, group_of = build(sizes, batch_size)
    drawn = batches.generate(seed)
    assert len(drawn) == len(batches)
    assert sorted(utt for batch in drawn for utt in batch) == sorted(group_of)
    for batch in drawn:
        assert len({group_of[utt] for utt in batch}) == 1
        # As many as wanted, or as evenly divided as can be.
        size = sizes[group_of[batch[0]]]
        parts = max(1, round(size / batch_size))
        assert len(batch) in (size // parts, -(-size // parts))


def test_epochs_differ_and_seeds_repeat():
    batches, _ = build({"a": 20, "b": 20})
    assert batches.generate(3) == batches.generate(3)
    first, second = batches.generate(3), batches.generate(4)
    assert {frozenset(batch) for batch in first} != {
        frozenset(batch) for batch in second
    }


def test_the_order_of_utterances_does_not_matter():
    _, group_of = build({"a": 9, "b": 7})
    one = GroupedBatches(sorted(group_of), group_of, 4, "utt2lang")
    other = GroupedBatches(sorted(group_of, reverse=True), group_of, 4, "utt2lang")
    assert one.generate(0) == other.generate(0)


def test_an_utterance_without_a_group_is_named():
    with pytest.raises(UserError, match="utt2lang has no line for the utterance b"):
        GroupedBatches(["a", "b"], {"a": "es"}, 4, "utt2lang")
