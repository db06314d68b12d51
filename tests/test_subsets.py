"""Draws are balanced or spread, nested, uniform, and depend on seed and id alone."""

from collections import Counter

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.subsets import draw_balanced, draw_spread, random_order, whole_turns


def balanced(label_of, per_class, seed):
    return draw_balanced(label_of, ["f", "m"], per_class, seed, "gender")


UTTS = {f"spk{i % 7}-{i:03d}": "fm"[i % 2] for i in range(60)}


@given(st.integers(1, 30), st.integers(0, 2**31))
def test_draws_are_balanced_and_without_repeats(per_class, seed):
    drawn = balanced(UTTS, per_class, seed)
    assert len(set(drawn)) == len(drawn) == 2 * per_class
    assert Counter(UTTS[utt] for utt in drawn) == {"f": per_class, "m": per_class}


@given(st.integers(1, 15), st.integers(0, 2**31))
def test_a_single_draw_is_the_beginning_of_the_double_one(budget, seed):
    double = balanced(UTTS, 2 * budget, seed)
    assert balanced(UTTS, budget, seed) == double[: 2 * budget]


@given(st.permutations(sorted(UTTS)), st.integers(0, 9))
def test_draws_do_not_depend_on_the_order_of_the_corpus(order, seed):
    shuffled = {utt: UTTS[utt] for utt in order}
    assert balanced(shuffled, 10, seed) == balanced(UTTS, 10, seed)


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
    with pytest.raises(UserError, match=r"30 utterances labelled f, .* 31"):
        balanced(UTTS, 31, 42)


@st.composite
def corpora(draw):
    """Give (speaker of utterance, number of utterances to draw, per turn, seed)."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    speaker_of = {
        f"spk{i:02d}-{n}": f"spk{i:02d}"
        for i, size in enumerate(sizes)
        for n in range(size)
    }
    n_utterances = draw(st.integers(1, len(speaker_of)))
    return speaker_of, n_utterances, draw(st.integers(1, 4)), draw(st.integers(0, 99))


@given(corpora(), st.integers(1, 100))
def test_spread_draws_are_whole_without_repeats_and_nested(corpus, n_fewer):
    speaker_of, n_utterances, per_turn, seed = corpus
    drawn = draw_spread(speaker_of, n_utterances, per_turn, seed)
    assert len(set(drawn)) == len(drawn) == n_utterances
    assert set(drawn) <= speaker_of.keys()
    fewer = draw_spread(speaker_of, min(n_fewer, n_utterances), per_turn, seed)
    assert drawn[: len(fewer)] == fewer


@given(corpora())
def test_speakers_give_alike_unless_they_have_no_more(corpus):
    speaker_of, n_utterances, per_turn, seed = corpus
    given_by = Counter(
        speaker_of[utt] for utt in draw_spread(speaker_of, n_utterances, per_turn, seed)
    )
    spoken = Counter(speaker_of.values())
    most = max(given_by.values())
    for speaker in spoken:
        gives_all = given_by[speaker] == spoken[speaker]
        assert gives_all or most - given_by[speaker] <= per_turn


@given(corpora(), st.randoms())
def test_spread_draws_do_not_depend_on_the_order_of_the_corpus(corpus, shuffler):
    speaker_of, *rules = corpus
    order = list(speaker_of)
    shuffler.shuffle(order)
    shuffled = {utt: speaker_of[utt] for utt in order}
    assert draw_spread(shuffled, *rules) == draw_spread(speaker_of, *rules)


@given(corpora(), st.randoms())
def test_a_spread_draw_depends_on_its_turns_alone(corpus, chooser):
    speaker_of, *rules = corpus
    turns = whole_turns(speaker_of, *rules)
    known = {
        utt: who
        for utt, who in speaker_of.items()
        if utt in turns or chooser.random() < 0.5
    }
    assert whole_turns(known, *rules) == turns
    assert draw_spread(known, *rules) == draw_spread(speaker_of, *rules)


def test_a_spread_draw_changes_only_by_the_speaker_who_goes():
    speaker_of = {f"spk{i}-{n}": f"spk{i}" for i in range(9) for n in range(2)}
    drawn = draw_spread(speaker_of, 18, 1, 42)
    gone = speaker_of[drawn[4]]
    fewer = {utt: who for utt, who in speaker_of.items() if who != gone}
    assert draw_spread(fewer, 16, 1, 42) == [
        utt for utt in drawn if speaker_of[utt] != gone
    ]


def test_seeds_draw_every_speaker_equally_often():
    speaker_of = {f"spk{i:02d}-{n}": f"spk{i:02d}" for i in range(20) for n in range(2)}
    first = Counter(
        speaker_of[utt]
        for seed in range(2000)
        for utt in draw_spread(speaker_of, 5, 1, seed)
    )
    counts = [first[f"spk{i:02d}"] for i in range(20)]
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_spread_draws_of_known_seed_stay_what_they_are():
    # A change here changes every experiment's subsets: it must be meant.
    speaker_of = {f"{who}{n}": who for who in "ab" for n in range(3)}
    assert draw_spread(speaker_of, 4, 1, 42) == ["a2", "b2", "a0", "b0"]
