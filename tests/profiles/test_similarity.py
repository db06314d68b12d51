"""Similarities: numbers by hand and by scikit-learn, and what holds for all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import BayesianRidge
from sklearn.metrics.pairwise import cosine_similarity

from espnet2_cltm.errors import UserError
from espnet2_cltm.profiles.logme import log_evidence
from espnet2_cltm.profiles.profile import Profile
from espnet2_cltm.profiles.similarity import (
    MEASURES,
    MeasureSettings,
    check_halves,
    check_label,
    count_ngrams,
    covariance,
    similarities,
    token_counts,
)

SETTINGS = MeasureSettings(ngram=1, num_clusters=8, label="gender")


def profile(seed: int, n: int = 40, size: int = 4, label: str = "gender") -> Profile:
    """Make a language of its own tokens, covariance and way to tell a label."""
    rng = np.random.default_rng(seed)
    half = np.arange(n) % 2
    shares = rng.dirichlet(np.ones(8))
    lengths = rng.integers(20, 30, n)
    mixing = rng.normal(size=(size, size))
    frames = [rng.normal(size=(200, size)) @ mixing for _ in (0, 1)]
    labels = np.where(np.arange(n) // 2 % 2 == 0, "f", "m")
    direction = rng.normal(size=size)
    means = rng.normal(size=(n, size)) * 0.3 + np.outer(labels == "f", 2 * direction)
    return Profile(
        utts=np.array([f"u{k}" for k in range(n)]),
        half=half,
        tokens=rng.choice(8, lengths.sum(), p=shares).astype(np.int32),
        lengths=lengths,
        means=means.astype(np.float32),
        counts=np.array([len(part) for part in frames]),
        sums=np.array([part.sum(axis=0) for part in frames]),
        products=np.array([part.T @ part for part in frames]),
        labels={label: labels},
        made_of="",
    )


def test_ngrams_do_not_cross_utterances():
    one = profile(0, n=2)
    one = Profile(
        **{
            **vars(one),
            "tokens": np.array([1, 2, 1, 2, 3]),
            "lengths": np.array([3, 2]),
        }
    )
    counts = count_ngrams(one, 2, 8).toarray()
    assert counts.sum() == 3
    assert counts[0, 1 * 8 + 2] == counts[0, 2 * 8 + 1] == counts[1, 2 * 8 + 3] == 1
    assert count_ngrams(one, 4, 8).sum() == 0


@pytest.mark.parametrize("ngram", [1, 2])
def test_atds_is_the_cosine_of_counts(ngram):
    settings = MeasureSettings(ngram, 8, "gender")
    parts = [(profile(seed), None) for seed in range(3)]
    counts = token_counts(parts, settings).toarray()
    assert counts.sum(axis=1) == pytest.approx(
        [of.lengths.sum() - (ngram - 1) * len(of.lengths) for of, _ in parts]
    )
    np.testing.assert_allclose(
        similarities("atds", parts, settings), cosine_similarity(counts)
    )


def test_covariance_is_that_of_the_frames():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(50, 3)) + 5
    one = profile(1)
    halves = np.split(frames, [20])
    one = Profile(
        **{
            **vars(one),
            "counts": np.array([20, 30]),
            "sums": np.array([x.sum(axis=0) for x in halves]),
            "products": np.array([x.T @ x for x in halves]),
        }
    )
    np.testing.assert_allclose(covariance(one), np.cov(frames.T, bias=True))
    np.testing.assert_allclose(covariance(one, 1), np.cov(halves[1].T, bias=True))


def test_covariances_do_not_depend_on_scale():
    one, other = profile(1), profile(2)
    louder = Profile(
        **{**vars(one), "sums": 3 * one.sums, "products": 9 * one.products}
    )
    found = similarities(
        "covariance", [(one, None), (louder, None), (other, None)], SETTINGS
    )
    assert found[0, 1] == pytest.approx(1)
    assert found[0, 2] == pytest.approx(found[1, 2]) and found[0, 2] < 1


def test_evidence_equals_that_of_bayesian_ridge():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(60, 5))
    classes = np.where(features[:, 0] + rng.normal(size=60) > 0, "a", "b")
    design = np.hstack([features, np.ones((60, 1))])
    scores = [
        BayesianRidge(
            max_iter=3000,
            tol=1e-10,
            alpha_1=0,
            alpha_2=0,
            lambda_1=0,
            lambda_2=0,
            compute_score=True,
            fit_intercept=False,
        )
        .fit(design, (classes == name).astype(float))
        .scores_[-1]
        for name in ("a", "b")
    ]
    assert log_evidence(features, classes) == pytest.approx(np.mean(scores), abs=1e-3)


def test_one_head_is_the_better_explanation_where_labels_are_told_alike():
    same = profile(5)
    flipped = Profile(
        **{
            **vars(same),
            "labels": {"gender": np.where(same.labels["gender"] == "f", "m", "f")},
        }
    )
    found = similarities("logme", [(same, 0), (same, 1), (flipped, 1)], SETTINGS)
    assert found[0, 1] > 0.5 > found[0, 2]


@given(seeds=st.lists(st.integers(0, 1000), min_size=2, max_size=5, unique=True))
@pytest.mark.parametrize("measure", MEASURES)
def test_similarities_are_symmetric_between_0_and_1_whatever_the_order(measure, seeds):
    parts = [(profile(seed), None) for seed in seeds]
    found = similarities(measure, parts, SETTINGS)
    off = ~np.eye(len(parts), dtype=bool)
    assert ((found[off] >= 0) & (found[off] <= 1)).all()
    np.testing.assert_allclose(found, found.T)
    turned = similarities(measure, parts[::-1], SETTINGS)
    np.testing.assert_allclose(turned[::-1, ::-1], found, atol=1e-9)


@pytest.mark.parametrize("measure", MEASURES)
def test_halves_of_a_language_are_more_alike_than_languages_are(measure):
    profiles = {f"l{seed}": profile(seed) for seed in range(4)}
    checks = check_halves(measure, profiles, SETTINGS)
    assert set(checks) == set(profiles)
    assert all(check.holds and check.nearest != lang for lang, check in checks.items())


def test_halves_of_what_has_no_label_are_not_compared():
    profiles = {"a": profile(1), "b": profile(2), "c": profile(3, label="age")}
    assert set(check_halves("logme", profiles, SETTINGS)) == {"a", "b"}
    with pytest.raises(UserError, match=r"label 'gender'.*1 of 2.*age, gender"):
        check_label({"a": profiles["a"], "c": profiles["c"]}, "gender")
