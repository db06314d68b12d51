"""Trial lists: written and read back, and every kind of wrong line refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.corpus.datadir import is_id
from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.trials import TrialList, read_trials, write_trials

utterance = st.one_of(
    st.sampled_from(["NA", "null", "nan", '"', "a\"b'", "#", "-", "1", "True", ",;"]),
    st.text(min_size=1, max_size=6).filter(
        lambda text: is_id(text) and not text.startswith("\ufeff")
    ),
).filter(lambda text: text.encode("utf-8", "ignore").decode() == text)


def pairs(trials: TrialList) -> list[tuple[str, str, bool]]:
    columns = (trials.enrol, trials.test, trials.is_target.tolist())
    return [
        (trials.utts[enrol], trials.utts[test], is_target)
        for enrol, test, is_target in zip(*columns, strict=True)
    ]


@given(
    st.lists(
        st.tuples(utterance, utterance, st.booleans()).filter(lambda t: t[0] != t[1]),
        min_size=1,
        max_size=8,
        unique_by=lambda trial: frozenset(trial[:2]),
    )
)
def test_trials_are_read_as_they_were_written(tmp_path_factory, expected):
    path = tmp_path_factory.mktemp("trials") / "trials"
    write_trials(path, TrialList.from_pairs(*zip(*expected, strict=True)))
    trials = read_trials(path)
    assert pairs(trials) == expected
    assert list(trials.utts) == sorted({utt for trial in expected for utt in trial[:2]})
    assert (trials.enrol.dtype, trials.test.dtype) == (np.int64, np.int64)
    assert trials.is_target.dtype == bool


def test_the_file_has_kaldis_form(tmp_path):
    trials = TrialList.from_pairs(["s-2", "s-1"], ["s-1", "t-1"], [True, False])
    write_trials(tmp_path / "trials", trials)
    assert (tmp_path / "trials").read_text() == "s-2 s-1 target\ns-1 t-1 nontarget\n"
    assert trials.utts == ("s-1", "s-2", "t-1")
    assert (trials.enrol.tolist(), trials.test.tolist()) == ([1, 0], [0, 2])


def test_lines_may_end_as_on_windows_and_the_last_without_an_end(tmp_path):
    (tmp_path / "trials").write_bytes(b"a b target\r\na c nontarget\r\nb d target")
    assert pairs(read_trials(tmp_path / "trials")) == [
        ("a", "b", True),
        ("a", "c", False),
        ("b", "d", True),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a b target\nc d\n", "line 2: 'c d' is not of the form"),
        (b"a b target\nc d target x\n", "line 2: 'c d target x' is not of the form"),
        (b"a b target x\nc d target y\n", "line 1: 'a b target x' is not of the form"),
        (b"a b\nc d target\n", "line 1: 'a b' is not of the form"),
        (b"a b target\n\nc d target\n", "line 2: '' is not of the form"),
        (b"a b target\nc  d target\n", "line 2: 'c  d target' is not of the form"),
        (b"a b target\nc\td target\n", "line 2: 'c\\\\td target' is not of the form"),
        (b"a\tb\ttarget\n", "line 1: .* with single spaces between"),
        (b"a b target\nc d \n", "line 2: 'c d ' is not of the form"),
        (b"a b target\nc\xc2\x85 d target\n", "line 2: .* is not of the form"),
        (b"a b target\nc d true\n", "line 2: 'true' is not a label; write target or"),
        (b"a b Target\n", "line 1: 'Target' is not a label"),
        (b"a b target\nc c target\n", "line 2: c stands against itself"),
        (b"a b target\nc d target\na b target\n", "line 3: the pair a b stands on l"),
        (b"a b target\nc d target\nb a target\n", "the pair b a stands on line 1 al"),
        (b"a b target\n\xff d target\n", "line 2, is not UTF-8 text"),
        (b"", "is empty"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, content, message):
    path = tmp_path / "trials"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as refusal:
        read_trials(path)
    assert str(refusal.value).startswith(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"trials cannot be read \(No such file"):
        read_trials(tmp_path / "trials")


def test_sides_of_different_length_make_no_trials():
    with pytest.raises(ValueError, match="2 enrol, 1 test"):
        TrialList.from_pairs(["a", "b"], ["c"], [True])
