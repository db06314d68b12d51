"""Trial lists and score files, wrong lines included; scores against all products."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from espnet2_cltm.corpus.allowed_words import is_id
from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.trials import (
    TrialList,
    cosine_scores,
    read_scores,
    read_trials,
    write_scores,
    write_trials,
)

utterance = st.one_of(
    st.sampled_from(["NA", "null", "nan", '"', "a\"b'", "#", "-", "1", "True", ",;"]),
    st.text(min_size=1, max_size=6).filter(is_id),
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
        (b"a b target\nc c target\n", "line 2: c is"),
        (b"a b target\nc d target\na b target\n", "line 3: .*a b is on line 1"),
        (b"a b target\nc d target\nb a target\n", "line 3: .*b a is on line 1"),
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


TWO_TRIALS = TrialList.from_pairs(["a", "c"], ["b", "d"], [True, False])


def random_embeddings(n_utts: int, size: int) -> np.ndarray:
    embeddings = np.random.default_rng(0).normal(size=(n_utts, size))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings.astype(np.float32)


def random_trials(n_utts: int, n_trials: int) -> TrialList:
    generator = np.random.default_rng(1)
    utts = tuple(f"u{number:05d}" for number in range(n_utts))
    enrol, test = generator.integers(0, n_utts, (2, n_trials))
    return TrialList(utts, enrol, test, generator.random(n_trials) < 0.5)


@pytest.mark.parametrize("size", [1, 3, 192, 768, 200_000])
def test_scores_are_those_of_the_matrix_product(size):
    n_utts = 12 if size > 1000 else 300
    embeddings = random_embeddings(n_utts, size)
    trials = random_trials(n_utts, 5000 if size < 1000 else 20)
    product = embeddings.astype(np.float64) @ embeddings.astype(np.float64).T
    scores = cosine_scores(embeddings, trials)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(
        scores, product[trials.enrol, trials.test], rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("size", [1, 192, 768])
def test_a_score_does_not_depend_on_the_other_trials(size):
    embeddings = random_embeddings(200, size)
    trials = random_trials(200, 3000)
    scores = cosine_scores(embeddings, trials)
    for chosen in (
        slice(1, None),
        slice(7, 8),
        slice(1000, 1503),
        slice(None, None, 3),
    ):
        some = TrialList(
            trials.utts,
            trials.enrol[chosen],
            trials.test[chosen],
            trials.is_target[chosen],
        )
        assert cosine_scores(embeddings, some).tobytes() == scores[chosen].tobytes()


def test_swapping_enrol_and_test_leaves_the_score():
    embeddings, trials = random_embeddings(200, 192), random_trials(200, 2000)
    swapped = TrialList(trials.utts, trials.test, trials.enrol, trials.is_target)
    np.testing.assert_array_equal(
        cosine_scores(embeddings, trials), cosine_scores(embeddings, swapped)
    )


def test_the_number_of_threads_leaves_every_bit():
    embeddings, trials = random_embeddings(300, 768), random_trials(300, 4000)
    expected = hashlib.sha256(cosine_scores(embeddings, trials)).hexdigest()
    program = (
        "import hashlib; from tests.speaker.test_trials import *; "
        "print(hashlib.sha256(cosine_scores(random_embeddings(300, 768), "
        "random_trials(300, 4000))).hexdigest())"
    )
    for n_threads in ("1", "2"):
        settings = {"OMP_NUM_THREADS": n_threads, "OPENBLAS_NUM_THREADS": n_threads}
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected


def test_no_trial_has_no_score():
    none = TrialList((), *np.empty((2, 0), dtype=np.int64), np.empty(0, dtype=bool))
    assert cosine_scores(np.empty((0, 192), np.float32), none).shape == (0,)


def test_embeddings_of_other_utterances_are_refused():
    with pytest.raises(ValueError, match="for 4 utterances"):
        cosine_scores(random_embeddings(3, 8), TWO_TRIALS)


@given(
    arrays(
        np.float32,
        2,
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    )
)
def test_scores_are_read_to_the_last_bit(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("scores") / "scores"
    write_scores(path, TWO_TRIALS, scores)
    assert read_scores(path, TWO_TRIALS).tobytes() == scores.tobytes()


def test_a_score_file_has_kaldis_form(tmp_path):
    write_scores(tmp_path / "scores", TWO_TRIALS, np.array([1, -0.5], np.float32))
    assert (tmp_path / "scores").read_text() == "a b 1\nc d -0.5\n"


@pytest.mark.parametrize("content", ["c d 2\na b 1\n", "d c 2e0\nb a +1.\n"])
def test_lines_and_pairs_may_stand_in_another_order(tmp_path, content):
    (tmp_path / "scores").write_text(content)
    assert read_scores(tmp_path / "scores", TWO_TRIALS).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a b 1\n", "ends after line 1 without a score for trial 2, c d .1 of 2"),
        ("a b 1\nc d 2\ne f 3\n", "line 3: e f .*2 trials"),
        ("a b 1\na d 2\n", "line 2: a d .*2 trials"),
        ("a b 1\na b 1\n", "line 2: .*a b is on line 1"),
        ("a b 1\nc d nan\n", "line 2: score 'nan' is not a finite number"),
        ("a b -inf\nc d 1\n", "line 1: score '-inf' is not a finite number"),
        ("a b 1\nc d 1e39\n", "line 2: score '1e39' is not a finite number"),
        ("a b 1\nc d x\n", "line 2: score 'x' is not a finite number"),
        ("a b 1\nc d 1_0\n", "line 2: score '1_0' is not a finite number"),
        ("a b 0x1p3\nc d 1\n", "line 1: score '0x1p3' is not a finite number"),
        ("a b True\nc d False\n", "line 1: score 'True' is not a finite number"),
        ("a b 1\nc d\n", "line 2: 'c d' is not of the form '<enrol> <test> <score>'"),
        ("a b 1 2\nc d 1 2\n", "line 1: 'a b 1 2' is not of the form"),
        ("", "is empty"),
    ],
)
def test_a_wrong_line_of_scores_is_named(tmp_path, content, message):
    path = tmp_path / "scores"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as refusal:
        read_scores(path, TWO_TRIALS)
    assert str(refusal.value).startswith(str(path))
