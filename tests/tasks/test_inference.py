"""Batches of similar length."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.tasks.inference import length_batches

LENGTHS = st.dictionaries(st.text("abc", max_size=4), st.integers(1, 30), max_size=40)


@given(LENGTHS, st.integers(1, 100), st.booleans())
def test_every_utterance_stands_in_one_batch_in_order_of_length(lengths, bins, equal):
    batches = length_batches(lengths, bins, equal)
    flat = list(itertools.chain(*batches))
    assert flat == sorted(lengths, key=lambda utt: (lengths[utt], utt))
    assert all(batches)


@given(LENGTHS, st.integers(1, 100), st.booleans())
def test_padded_batches_keep_to_their_size(lengths, bins, equal):
    for batch in length_batches(lengths, bins, equal):
        longest = max(lengths[utt] for utt in batch)
        assert len(batch) * longest <= bins or len(batch) == 1


@given(LENGTHS, st.integers(1, 100))
def test_batches_are_as_large_as_they_may_be(lengths, bins):
    for batch, following in itertools.pairwise(length_batches(lengths, bins)):
        assert (len(batch) + 1) * lengths[following[0]] > bins


@given(LENGTHS, st.integers(1, 100))
def test_batches_of_one_length_are_split_only_where_they_are_full(lengths, bins):
    batches = length_batches(lengths, bins, equal_lengths=True)
    for batch in batches:
        assert len({lengths[utt] for utt in batch}) == 1
    for batch, following in itertools.pairwise(batches):
        if lengths[batch[0]] == lengths[following[0]]:
            assert (len(batch) + 1) * lengths[batch[0]] > bins


@given(LENGTHS, st.integers(1, 100), st.randoms())
def test_batches_do_not_depend_on_the_order_of_utterances(lengths, bins, random):
    items = list(lengths.items())
    random.shuffle(items)
    assert length_batches(dict(items), bins) == length_batches(lengths, bins)


def test_utterance_longer_than_a_batch_stands_alone():
    assert length_batches({"a": 5, "b": 50, "c": 6}, 12) == [["a", "c"], ["b"]]
