"""Drawing trials: what holds for every corpus, and small corpora by hand."""

import math
from collections import Counter
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.speaker.trial_drawing import (
    DrawnTrials,
    draw_cross_language_trials,
    draw_trials,
)


def speaker(lang: str, name: str, n_utts: int, gender: str | None) -> list[Utterance]:
    labels = {"gender": gender} if gender else {}
    return [
        Utterance(f"{lang}-{name}-{n:02d}", f"{lang}-{name}", "x.wav", labels, lang)
        for n in range(n_utts)
    ]


def corpus(lang: str, **sizes: int) -> list[Utterance]:
    """Make speakers whose names begin with their gender, ``u`` where none is known."""
    return [
        row
        for name, size in sizes.items()
        for row in speaker(lang, name, size, {"u": None}.get(name[0], name[0]))
    ]


def pairs(drawn: DrawnTrials) -> list[tuple[str, str, bool]]:
    trials = drawn.trials
    if trials is None:
        return []
    columns = (trials.enrol, trials.test, trials.is_target.tolist())
    return [
        (trials.utts[enrol], trials.utts[test], is_target)
        for enrol, test, is_target in zip(*columns, strict=True)
    ]


def name_of(utt: str) -> str:
    return utt.split("-")[1]


sizes = st.dictionaries(
    st.sampled_from([f"{g}{n}" for g in "fmu" for n in range(5)]),
    st.integers(1, 6),
    max_size=8,
)
seeds = st.integers(0, 2**32)


@given(sizes=sizes, cap=st.integers(1, 20), seed=seeds)
def test_trials_keep_the_rules_whatever_the_corpus(sizes, cap, seed):
    trials = pairs(draw_trials(corpus("es", **sizes), cap, seed))
    assert len({frozenset(trial[:2]) for trial in trials}) == len(trials)
    assert trials == sorted(trials)
    positives, negatives = Counter(), Counter()
    for enrol, test, is_target in trials:
        assert enrol < test
        assert is_target == (name_of(enrol) == name_of(test))
        assert name_of(enrol)[0] == name_of(test)[0] != "u"
        counted = positives if is_target else negatives
        counted[name_of(enrol) if is_target else name_of(enrol)[0]] += 1
    for gender in "fm":
        of_gender = {name: n for name, n in sizes.items() if name[0] == gender}
        if len(of_gender) < 2:
            assert not any(name[0] == gender for name in (*positives, *negatives))
            continue
        for name, n_utts in of_gender.items():
            assert positives[name] == min(cap, math.comb(n_utts, 2))
        n_positives = sum(positives[name] for name in of_gender)
        n_between = math.comb(sum(of_gender.values()), 2) - sum(
            math.comb(n, 2) for n in of_gender.values()
        )
        assert negatives[gender] == min(n_positives, n_between)


@given(sizes=sizes, seed=seeds, data=st.data())
def test_the_order_of_the_utterances_changes_nothing(sizes, seed, data):
    rows = corpus("es", **sizes)
    shuffled = data.draw(st.permutations(rows))
    assert pairs(draw_trials(rows, 4, seed)) == pairs(draw_trials(shuffled, 4, seed))


@given(sizes=sizes, other=sizes, seed=seeds)
def test_a_speakers_positives_do_not_depend_on_other_speakers(sizes, other, seed):
    def positives(sizes):
        rows = corpus("es", f0=6, f1=1, **sizes)
        return [
            trial
            for trial in pairs(draw_trials(rows, 5, seed))
            if trial[2] and name_of(trial[0]) == "f0"
        ]

    others = [
        {name: n for name, n in some.items() if name not in ("f0", "f1")}
        for some in (sizes, other)
    ]
    assert positives(others[0]) == positives(others[1])
    assert len(positives(others[0])) == 5


def test_only_male_speakers_give_trials_between_men():
    drawn = draw_trials(corpus("es", m1=3, m2=2), 200, 1)
    trials = pairs(drawn)
    within = [*combinations(["es-m1-00", "es-m1-01", "es-m1-02"], 2)]
    within.append(("es-m2-00", "es-m2-01"))
    assert [trial[:2] for trial in trials if trial[2]] == within
    assert len(trials) == 8
    assert drawn.left_out == ()


def test_two_speakers_of_one_gender_may_lack_negatives():
    drawn = draw_trials(corpus("es", m1=2, m2=20), 190, 1)
    trials = pairs(drawn)
    # 1 + 190 positives; the negatives are all 2 * 20 pairs of the two.
    assert [trial[2] for trial in trials].count(True) == 191
    assert {trial[:2] for trial in trials if not trial[2]} == set(
        product(
            [f"es-m1-{n:02d}" for n in range(2)], [f"es-m2-{n:02d}" for n in range(20)]
        )
    )
    assert drawn.left_out == (
        "151 negatives of gender m are missing: its speakers have 40 pairs of "
        "utterances",
    )


def test_one_speaker_of_each_gender_gives_no_trial():
    drawn = draw_trials(corpus("es", f1=5, m1=2), 200, 1)
    assert drawn.trials is None
    assert drawn.left_out == (
        "gender f has one speaker (es-f1), so its 10 positives are left out",
        "gender m has one speaker (es-m1), so its 1 positive is left out",
    )


def test_speakers_of_one_utterance_serve_for_negatives_only():
    drawn = draw_trials(corpus("es", f1=2, f2=1, f3=1), 200, 1)
    assert [trial[2] for trial in pairs(drawn)].count(True) == 1
    assert drawn.left_out == (
        "2 speakers of gender f with one utterance have no positive trial",
    )


def test_speakers_of_one_utterance_alone_give_no_trial():
    drawn = draw_trials(corpus("es", f1=1, f2=1, m1=1), 200, 1)
    assert drawn.trials is None
    assert drawn.left_out == (
        "2 speakers of gender f with one utterance have no positive trial",
        "1 speaker of gender m with one utterance has no positive trial",
        "gender m has one speaker (es-m1), so it has no trial",
    )


def test_no_utterance_gives_no_trial():
    assert draw_trials([], 200, 1) == DrawnTrials(None, ())


def test_speakers_without_a_gender_or_with_two_are_left_out_and_counted():
    rows = corpus("es", f1=2, f2=2, u1=3, u2=1)
    both = [*speaker("es", "x", 2, "f"), *speaker("es", "y", 1, "m")]
    both[2] = Utterance("es-x-09", "es-x", "x.wav", {"gender": "m"}, "es")
    drawn = draw_trials([*rows, *both], 200, 1)
    assert {name_of(utt) for utt in drawn.trials.utts} <= {"f1", "f2"}
    assert drawn.left_out == (
        "4 utterances without a gender",
        "1 speaker of two genders (es-x)",
    )


def test_an_utterance_takes_the_gender_that_its_speaker_states_elsewhere():
    silent = Utterance("es-f1-99", "es-f1", "x.wav", {}, "es")
    drawn = draw_trials([*corpus("es", f1=1, f2=1), silent], 200, 1)
    assert ("es-f1-00", "es-f1-99", True) in pairs(drawn)


def test_seeds_draw_different_trials():
    rows = corpus("es", f1=20, f2=20)
    assert pairs(draw_trials(rows, 10, 1)) != pairs(draw_trials(rows, 10, 2))


EXPECTED_DRAW = [
    ("es-f1-00", "es-f2-02", False),
    ("es-f1-01", "es-f1-03", True),
    ("es-f1-01", "es-f2-02", False),
    ("es-f1-02", "es-f1-05", True),
    ("es-f1-02", "es-f2-00", False),
    ("es-f1-04", "es-f2-01", False),
    ("es-f2-00", "es-f2-01", True),
    ("es-f2-00", "es-f2-02", True),
]


def test_draws_never_change():
    # Written down once: results rest on the same trials being drawn ever after.
    drawn = draw_trials(corpus("es", f1=6, f2=3), 2, 42)
    assert pairs(drawn) == EXPECTED_DRAW


def test_every_pair_is_drawn_equally_often():
    rows = corpus("es", f1=5, f2=3, f3=2)
    drawn = Counter(
        trial for seed in range(1500) for trial in pairs(draw_trials(rows, 2, seed))
    )
    of_first = [n for trial, n in drawn.items() if trial[2] and "f1" in trial[0]]
    negatives = [n for trial, n in drawn.items() if not trial[2]]
    assert (len(of_first), len(negatives)) == (10, 5 * 3 + 5 * 2 + 3 * 2)
    for counts in (of_first, negatives):
        assert chisquare(counts).pvalue > 1e-4


def test_a_speaker_of_twenty_thousand_utterances_is_not_enumerated():
    rows = corpus("es", f1=20000, f2=20000)
    trials = pairs(draw_trials(rows, 200, 1))
    assert Counter(trial[2] for trial in trials) == {True: 400, False: 400}


@given(first=sizes, second=sizes, cap=st.integers(1, 20), seed=seeds)
def test_cross_language_trials_keep_the_rules(first, second, cap, seed):
    drawn = draw_cross_language_trials(
        corpus("ca", **first), corpus("es", **second), cap, seed
    )
    trials = pairs(drawn)
    assert len(set(trials)) == len(trials)
    both = first.keys() & second.keys()
    positives, negatives = Counter(), Counter()
    for enrol, test, is_target in trials:
        assert (enrol[:3], test[:3]) == ("ca-", "es-")
        assert {name_of(enrol), name_of(test)} <= both
        assert is_target == (name_of(enrol) == name_of(test))
        assert name_of(enrol)[0] == name_of(test)[0] != "u"
        counted = positives if is_target else negatives
        counted[name_of(enrol) if is_target else name_of(enrol)[0]] += 1
    for gender in "fm":
        persons = [name for name in both if name[0] == gender]
        if len(persons) < 2:
            assert not any(name[0] == gender for name in positives)
            continue
        for name in persons:
            assert positives[name] == min(cap, first[name] * second[name])
        n_between = sum(
            first[one] * second[other]
            for one, other in product(persons, persons)
            if one != other
        )
        n_positives = sum(positives[name] for name in persons)
        assert negatives[gender] == min(n_positives, n_between)


def test_two_bilinguals_are_paired_across_their_languages():
    drawn = draw_cross_language_trials(
        corpus("ca", f1=1, f2=2, f3=4), corpus("es", f1=2, f2=1, f4=4), 200, 1
    )
    trials = pairs(drawn)
    assert [trial[:2] for trial in trials if trial[2]] == [
        ("ca-f1-00", "es-f1-00"),
        ("ca-f1-00", "es-f1-01"),
        ("ca-f2-00", "es-f2-00"),
        ("ca-f2-01", "es-f2-00"),
    ]
    # 1 * 1 + 2 * 2 pairs of the two, of which four are drawn.
    assert {trial[:2] for trial in trials if not trial[2]} < {
        ("ca-f1-00", "es-f2-00"),
        *product(["ca-f2-00", "ca-f2-01"], ["es-f1-00", "es-f1-01"]),
    }
    assert (len(trials), drawn.left_out) == (8, ())


def test_cross_language_negatives_are_drawn_equally_often():
    first, second = corpus("ca", m1=2, m2=1, m3=3), corpus("es", m1=1, m2=2, m3=2)
    drawn = Counter(
        trial
        for seed in range(1500)
        for trial in pairs(draw_cross_language_trials(first, second, 1, seed))
        if not trial[2]
    )
    assert len(drawn) == 2 * 4 + 1 * 3 + 3 * 3
    assert chisquare(list(drawn.values())).pvalue > 1e-4


@pytest.mark.parametrize(
    ("first", "second", "left_out"),
    [
        ({"f1": 2}, {"f2": 2}, "no speaker is heard in both languages"),
        (
            {"f1": 2, "f2": 2},
            {"f1": 3},
            "gender f in both languages has one speaker (f1), so its 6 positives are "
            "left out",
        ),
        ({"u1": 2}, {"u1": 3}, "5 utterances without a gender"),
    ],
)
def test_too_few_bilinguals_give_no_trial(first, second, left_out):
    drawn = draw_cross_language_trials(
        corpus("ca", **first), corpus("es", **second), 200, 1
    )
    assert drawn == DrawnTrials(None, (left_out,))


def test_a_person_of_another_gender_in_each_language_is_left_out():
    drawn = draw_cross_language_trials(
        [*corpus("ca", f1=2, f2=2), *speaker("ca", "x", 2, "f")],
        [*corpus("es", f1=2, f2=2), *speaker("es", "x", 2, "m")],
        200,
        1,
    )
    assert {name_of(utt) for utt in drawn.trials.utts} == {"f1", "f2"}
    assert drawn.left_out == ("1 speaker of two genders (x)",)
