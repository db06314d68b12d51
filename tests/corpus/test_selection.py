import random

from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.language import LanguageSplits, Rejection
from espnet2_cltm.corpus.selection import (
    barred_speakers,
    even_shares,
    leave_out_unlabelled,
    limit_utterances,
)


def utterances(women: int, men: int, unknown: int = 0) -> list[Utterance]:
    labels = [{"gender": "f"}] * women + [{"gender": "m"}] * men + [{}] * unknown
    return [
        Utterance(f"s{n:03d}-1", f"s{n:03d}", "a.wav", stated)
        for n, stated in enumerate(labels)
    ]


def ids(rows: list[Utterance]) -> set[str]:
    return {row.id for row in rows}


SPEAKERS = st.sets(st.sampled_from("abcdefgh"))


@given(st.fixed_dictionaries(dict.fromkeys(("train", "dev", "test"), SPEAKERS)))
def test_without_the_barred_speakers_splits_are_disjoint_and_cover_all(speakers):
    barred = barred_speakers(speakers)
    left = {split: speakers[split] - barred[split].keys() for split in speakers}
    assert left["test"] == speakers["test"]
    assert not left["dev"] & left["test"]
    assert not left["train"] & (left["dev"] | left["test"])
    assert set().union(*left.values()) == set().union(*speakers.values())


@given(
    sizes=st.dictionaries(st.sampled_from(["", "f", "m"]), st.integers(0, 30)),
    limit=st.integers(0, 100),
)
def test_shares_use_up_the_limit_and_differ_only_where_a_group_is_used_up(sizes, limit):
    shares = even_shares(sizes, limit)
    assert sum(shares.values()) == min(limit, sum(sizes.values()))
    largest = max(shares.values(), default=0)
    for group, share in shares.items():
        assert share <= sizes[group]
        assert share == sizes[group] or share >= largest - 1


def test_a_limit_takes_as_many_of_each_gender_as_there_are():
    kept, left_out = limit_utterances(utterances(women=4, men=100), limit=20, seed=1)
    assert sum(row.labels["gender"] == "f" for row in kept) == 4
    assert len(kept) == 20
    assert ids(kept) | ids(left_out) == ids(utterances(4, 100))
    assert not ids(kept) & ids(left_out)


def test_no_limit_keeps_all():
    rows = utterances(women=2, men=3)
    assert limit_utterances(rows, 0, seed=1) == (rows, [])
    assert limit_utterances(rows, 5, seed=1) == (rows, [])


def test_the_draw_depends_on_the_seed_and_not_on_the_order():
    rows = utterances(women=30, men=30)
    kept, _ = limit_utterances(rows, 20, seed=1)
    shuffled = random.Random(0).sample(rows, len(rows))
    assert ids(limit_utterances(shuffled, 20, seed=1)[0]) == ids(kept)
    assert ids(limit_utterances(rows, 20, seed=2)[0]) != ids(kept)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 20), st.integers(0, 20))
def test_a_smaller_limit_draws_a_subset(one, other, women, unknown):
    rows = utterances(women=women, men=20, unknown=unknown)
    small, large = sorted((one, other))
    assert ids(limit_utterances(rows, small, 3)[0]) <= ids(
        limit_utterances(rows, large, 3)[0]
    )


def language(**labels: list[dict[str, str]]) -> LanguageSplits:
    """A split for each keyword, one utterance for each item."""
    splits = {
        split: [
            Utterance(f"{split}-{n}", split, f"{n}.wav", stated)
            for n, stated in enumerate(of_split)
        ]
        for split, of_split in labels.items()
    }
    unusable = {("train-1", "gender"): "gender is 'other'"}
    return LanguageSplits(splits, [], lambda utt: utt.audio, unusable)


F, FA, A = {"gender": "f"}, {"gender": "f", "age": "teens"}, {"age": "teens"}


def test_utterances_without_a_required_label_are_left_out_by_their_own_names():
    whole = language(train=[FA, A, {}], dev=[F], test=[FA])
    left, waived = leave_out_unlabelled(whole, ["gender"])
    assert [utt.id for utt in left.splits["train"]] == ["train-0"]
    assert left.rejected == [
        Rejection("train", "1.wav", "gender is 'other'"),
        Rejection("train", "2.wav", "gender not given"),
    ]
    assert waived == {}
    assert leave_out_unlabelled(whole, []) == (whole, {})


def test_a_label_that_a_split_lacks_wholly_is_not_required():
    whole = language(train=[FA, A, F], dev=[F], test=[FA, F])
    left, waived = leave_out_unlabelled(whole, ["gender", "age"])
    assert waived == {"age": ["dev"]}
    assert [utt.id for utt in left.splits["train"]] == ["train-0", "train-2"]
    assert [rejection.item for rejection in left.rejected] == ["1.wav"]


def test_labels_that_no_utterance_has_together_are_not_required():
    whole = language(train=[FA], dev=[F, A], test=[FA])
    left, waived = leave_out_unlabelled(whole, ["gender", "age"])
    assert waived == {"gender and age": ["dev"]}
    assert left.splits == whole.splits and left.rejected == []


def test_an_empty_split_does_not_hide_behind_labels():
    whole = language(train=[FA], dev=[], test=[FA])
    assert leave_out_unlabelled(whole, ["gender"]) == (whole, {})
