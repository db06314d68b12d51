"""Which languages speaker verification takes, and what it draws of each."""

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.registry import find_task
from espnet2_cltm.speaker.spec import SPEAKER
from espnet2_cltm.task import DrawingRules, UnfitLanguage


def rules(budget, checkpoint="eer", **options):
    options = {**SPEAKER.default_options(), **options}
    return DrawingRules(budget, options=options, config={"checkpoint": checkpoint})


def split(name, speakers, n_utterances=3):
    """Make utterances of speakers, each named by its gender, 'ffm' for three."""
    return [
        Utterance(
            f"ca-{name}{who}-{n}", f"ca-{name}{who}", "a", {"gender": gender}, "ca"
        )
        for who, gender in enumerate(speakers)
        for n in range(n_utterances)
    ]


def language(**splits):
    return {
        "train": split("train", "ffffmmmm"),
        "dev": split("dev", "ffmm"),
        "test": split("test", "ffmm"),
        **splits,
    }


def test_a_subset_has_as_many_speakers_as_its_size_and_turns_allow():
    for per_turn, n_speakers in ((1, 8), (2, 5), (3, 4)):
        drawn = SPEAKER.draw(language(), rules(5, utts_per_speaker=per_turn), [1])
        speakers = {drawn.labels[utt] for utt in drawn.train[1]}
        assert len(drawn.train[1]) == 10
        assert len(speakers) == n_speakers
    with pytest.raises(UnfitLanguage) as caught:
        SPEAKER.draw(language(), rules(3, utts_per_speaker=3), [1])
    assert caught.value.reason == (
        "train gives 3 utterances by 1 speakers where 2 are needed; lower "
        "--utts_per_speaker"
    )


@given(st.integers(1, 400), st.integers(1, 6))
def test_a_language_takes_part_exactly_where_it_has_enough_speakers(budget, n_speakers):
    train = split("train", "m" * n_speakers, n_utterances=800 // n_speakers + 1)
    needed = max(2, math.ceil(0.0125 * 2 * budget))
    try:
        drawn = SPEAKER.draw(language(train=train), rules(budget), [7])
    except UnfitLanguage as error:
        # One utterance has one speaker.
        assert n_speakers < needed or budget == 1
        assert "speakers where" in error.reason
    else:
        counts = Counter(drawn.labels[utt] for utt in drawn.train[7])
        assert n_speakers >= needed
        assert len(counts) == min(n_speakers, 2 * budget)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_too_few_utterances_leave_a_language_out():
    with pytest.raises(UnfitLanguage) as caught:
        SPEAKER.draw(language(), rules(13), [1])
    assert caught.value.reason == "train has 24 utterances where 26 are needed"


def test_men_alone_are_enough_for_speaker_and_not_for_gender():
    men = {
        "train": split("train", "mmmm"),
        "dev": split("dev", "mm"),
        "test": split("test", "mm"),
    }
    drawn = SPEAKER.draw(men, rules(4), [1])
    assert len(drawn.test_data["test"]) == 2 * (2 * 3)
    assert drawn.notes == ()
    with pytest.raises(UnfitLanguage) as caught:
        find_task("gender").draw(
            men, DrawingRules(4, options={"classes": ["f", "m"]}), [1]
        )
    assert caught.value.reason == (
        "train has 0 utterances by 0 speakers labelled f where 8 are needed"
    )


def test_two_test_speakers_of_one_gender_are_enough():
    drawn = SPEAKER.draw(language(test=split("test", "ff")), rules(4), [1])
    assert set(drawn.test) == {f"ca-test{who}-{n}" for who in (0, 1) for n in range(3)}


def test_a_woman_and_a_man_to_test_leave_a_language_out_and_say_why():
    with pytest.raises(UnfitLanguage) as caught:
        SPEAKER.draw(language(test=split("test", "fm")), rules(4), [1])
    assert caught.value.reason == (
        "test allows no trials (gender f has one speaker (ca-test0), so its 3 "
        "positives are left out; gender m has one speaker (ca-test1), so its 3 "
        "positives are left out)"
    )


def test_no_test_utterance_leaves_a_language_out():
    with pytest.raises(UnfitLanguage, match=r"no trials \(it has no utterance\)"):
        SPEAKER.draw(language(test=[]), rules(4), [1])


def test_what_some_speakers_cannot_give_is_noted_and_the_rest_is_drawn():
    drawn = SPEAKER.draw(language(test=split("test", "ffm")), rules(4), [1])
    assert drawn.notes == (
        "test: gender m has one speaker (ca-test2), so its 3 positives are left out",
    )
    assert {drawn.labels[utt] for utt in drawn.test} == {"ca-test0", "ca-test1"}


def test_dev_without_trials_is_noted_where_it_would_choose_the_epoch():
    splits = language(dev=split("dev", "fm"))
    drawn = SPEAKER.draw(splits, rules(4), [1])
    assert drawn.dev == [] and "dev" not in drawn.test_data
    assert drawn.notes[-1].startswith("dev: no trial can be made")
    last = SPEAKER.draw(splits, rules(4, "last"), [1])
    assert last.dev == [] and last.notes == ()
    assert last.train == drawn.train and last.test == drawn.test


def test_dev_trials_are_drawn_where_the_last_epoch_is_taken_too():
    # The run's train.yaml is for the task's own command as well, which validates.
    drawn = SPEAKER.draw(language(), rules(4, "last"), [1])
    assert drawn.test_data["dev"] is not None and drawn.dev


def test_dev_and_test_trials_are_of_their_own_speakers():
    drawn = SPEAKER.draw(language(), rules(4), [1, 2])
    for name in ("dev", "test"):
        assert all(utt.startswith(f"ca-{name}") for utt in drawn.test_data[name].utts)
    assert drawn.dev == list(drawn.test_data["dev"].utts)
    assert drawn.test == list(drawn.test_data["test"].utts)


def test_a_module_that_cannot_be_imported_is_named():
    spec = replace(SPEAKER, module="cltm_years.testing")
    with pytest.raises(UserError, match=r"^cltm_years\.testing, .* task speaker"):
        spec.code()
