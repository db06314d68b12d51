"""Draws are balanced, nested, uniform, and depend on seed and id alone."""

from collections import Counter

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.subsets import draw_balanced, random_order

UTTS = {f"spk{i % 7}-{i:03d}": "fm"[i % 2] for i in range(60)}


@given(st.integers(1, 30), st.integers(0, 2**31))
def test_draws_are_balanced_and_without_repeats(per_class, seed):
    drawn = draw_balanced(UTTS, per_class, seed)
    assert len(set(drawn)) == len(drawn) == 2 * per_class
    assert Counter(UTTS[utt] for utt in drawn) == {"f": per_class, "m": per_class}


@given(st.integers(1, 15), st.integers(0, 2**31))
def test_a_single_draw_is_the_beginning_of_the_double_one(budget, seed):
    double = draw_balanced(UTTS, 2 * budget, seed)
    assert draw_balanced(UTTS, budget, seed) == double[: 2 * budget]


@given(st.permutations(sorted(UTTS)), st.integers(0, 9))
def test_draws_do_not_depend_on_the_order_of_the_corpus(order, seed):
    shuffled = {utt: UTTS[utt] for utt in order}
    assert draw_balanced(shuffled, 10, seed) == draw_balanced(UTTS, 10, seed)


def test_utterances_that_come_and_go_leave_the_others_in_order():
    before = random_order(UTTS, 42, "gender-f")
    fewer = [utt for utt in UTTS if utt != before[3]]
    assert random_order(fewer, 42, "gender-f") == before[:3] + before[4:]


def test_seeds_draw_every_utterance_equally_often():
    utts = [f"utt{i}" for i in range(20)]
    first = Counter(
        utt for seed in range(2000) for utt in random_order(utts, seed, "p")[:5]
    )
    counts = [first[utt] for utt in utts]
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_draws_of_known_seed_stay_what_they_are():
    # A change here changes every experiment's subsets: it must be meant.
    assert random_order("abcde", 42, "gender-f") == ["b", "c", "a", "e", "d"]


def test_too_few_utterances_are_counted_in_the_message():
    with pytest.raises(UserError, match=r"31 utterances labelled f .* there are 30"):
        draw_balanced(UTTS, 31, 42)
