import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.corpus.bounded_cache import WaveformCache


def maker(n_samples, calls=None, key=None):
    def make():
        if calls is not None:
            calls.append(key)
        return [np.full(n_samples, 0.5, np.float32)]

    return make


def never():
    raise AssertionError("is kept, so nothing has to be made")


def test_an_entry_is_made_once():
    cache = WaveformCache(1000)
    first = cache.get("a", maker(10))
    second = cache.get("a", never)
    assert first[0] is second[0]
    assert (len(cache), cache.n_bytes) == (1, 40)


def test_the_least_recently_used_entry_makes_room():
    cache = WaveformCache(80)
    cache.get("a", maker(10))
    cache.get("b", maker(10))
    cache.get("a", never)
    cache.get("c", maker(10))
    assert "a" in cache and "c" in cache and "b" not in cache


def test_room_is_made_for_a_large_entry_by_dropping_several():
    cache = WaveformCache(100)
    for key in "abcde":
        cache.get(key, maker(5))
    cache.get("large", maker(15))
    assert [key for key in "abcde" if key in cache] == ["d", "e"]
    assert cache.n_bytes == 100


def test_entry_larger_than_the_room_is_given_but_not_kept_and_drops_nothing():
    cache = WaveformCache(40)
    cache.get("a", maker(10))
    (large,) = cache.get("b", maker(11))
    assert len(large) == 11
    assert "a" in cache and "b" not in cache
    assert cache.n_bytes == 40


def test_no_room_keeps_nothing_not_even_an_empty_entry():
    cache = WaveformCache(0)
    cache.get("a", maker(10))
    cache.get("b", list)
    assert (len(cache), cache.n_bytes) == (0, 0)


def test_arrays_cannot_be_changed_kept_or_not():
    for cache in (WaveformCache(1000), WaveformCache(0)):
        (array,) = cache.get("a", maker(10))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_view_is_copied_so_that_it_neither_changes_nor_keeps_more_than_is_counted():
    whole = np.zeros(1000, np.float32)
    cache = WaveformCache(1000)
    (part,) = cache.get("a", lambda: [whole[:10]])
    whole[:] = 1.0
    assert part.base is None and not part.any()
    assert cache.n_bytes == 40


def test_array_that_stands_twice_is_counted_and_kept_once():
    one = np.zeros(10, np.float32)
    cache = WaveformCache(40)
    first, second = cache.get("a", lambda: [one, one])
    assert first is second
    assert cache.n_bytes == 40


def test_failure_is_passed_on_and_nothing_is_kept():
    def fail():
        raise OSError("unreadable")

    cache = WaveformCache(1000)
    with pytest.raises(OSError, match="unreadable"):
        cache.get("a", fail)
    assert "a" not in cache
    assert len(cache.get("a", maker(3))[0]) == 3


def test_negative_room_is_refused():
    with pytest.raises(ValueError, match="less than 0"):
        WaveformCache(-1)


@given(
    st.integers(0, 200),
    st.lists(st.integers(0, 9), max_size=60),
    st.lists(st.integers(0, 30), min_size=10, max_size=10),
)
def test_it_behaves_like_a_list_of_keys_ordered_by_last_use(room, keys, lengths):
    cache, calls, model = WaveformCache(room), [], []
    for key in keys:
        expected_calls = len(calls) + (key not in model)
        cache.get(key, maker(lengths[key], calls, key))
        assert len(calls) == expected_calls
        if key in model:
            model.remove(key)
        elif room == 0 or 4 * lengths[key] > room:
            continue
        model.append(key)
        while sum(4 * lengths[kept] for kept in model) > room:
            model.pop(0)
        assert {kept for kept in range(10) if kept in cache} == set(model)
        assert cache.n_bytes == sum(4 * lengths[kept] for kept in model)
