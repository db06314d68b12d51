"""Donors of targets without data."""

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.pool_choice import choose_pools, nearest, recommended
from espnet2_cltm.matrix.results import Choice
from espnet2_cltm.pools import PoolOptions
from tests.matrix.results_files import perf_rows, write_results

LANGUAGES = ["ca", "es", "fi", "gl", "pt", "tr"]


def choose(*pools, languages=LANGUAGES, **options):
    rankings = {"nearest": nearest(languages)}
    asked = PoolOptions(pools=pools, **options)
    return choose_pools(asked, languages, [42, 43], rankings)


def test_every_language_in_turn_is_a_target_outside_its_pool():
    chosen = choose("all", "nearest:2", "random:2")
    assert {one.target for one in chosen} == {*LANGUAGES}
    assert all(one.target not in one.donors for one in chosen)
    assert all(len(one.donors) == 5 for one in chosen if one.pool == "all")


def test_the_nearest_are_of_the_family():
    (pool,) = choose("nearest:3", targets=("gl",))
    assert pool.donors == ("ca", "es", "pt")


def test_random_pools_differ_between_seeds_and_not_between_calls():
    chosen = choose("random:2", targets=("gl", "pt"))
    assert chosen == choose("random:2", targets=("gl", "pt"))
    assert [one.seed for one in chosen] == [42, 43, 42, 43]
    assert chosen != choose("random:2", targets=("gl", "pt"), seed=1)
    # Another language changes no more than it must.
    fewer = choose("random:2", targets=("gl",), languages=LANGUAGES[:-1])
    kept = [one for one in chosen if one.target == "gl" and "tr" not in one.donors]
    assert all(one in fewer for one in kept)


def test_named_donors_serve_all_other_languages():
    chosen = choose("ca+pt")
    assert [one.target for one in chosen] == ["es", "fi", "gl", "tr"]


@pytest.mark.parametrize(
    ("pools", "options", "message"),
    [
        (("ca+gl",), {"targets": ("gl",)}, "holds the target gl"),
        (("ca+xx",), {}, "xx does not take part"),
        (("+".join(LANGUAGES),), {}, "leaves no target"),
        (("nearest:6",), {}, "needs 6 donors"),
        (("all",), {"targets": ("xx",)}, "--pool_targets xx"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(pools, options, message):
    with pytest.raises(UserError, match=message):
        choose(*pools, **options)


def test_recommendation_needs_results(tmp_path):
    rank = recommended(tmp_path / "results.tsv", Choice("gender"), LANGUAGES)
    with pytest.raises(UserError, match="run stages 4 to 6"):
        rank("gl")


def test_recommendation_does_not_hear_the_target(tmp_path):
    """Whatever the target's own runs say, the ranking is the same."""

    def perf(of_target):
        def value(kind, tested, donor, seed):
            if "gl" in (tested, donor):
                return of_target[donor]
            if kind == "pair":
                return 0.6 + {"ca": 0.05, "es": 0.04, "fi": 0.0, "pt": 0.03}.get(
                    donor, 0.01
                )
            return {"single": 0.6, "double": 0.7}[kind] + seed / 1e4

        return value

    ranked = []
    for of_target in (
        dict(zip(LANGUAGES, [0.5, 0.6, 0.7, 0.4, 0.8, 0.9], strict=True)),
        dict(zip(LANGUAGES, [0.9, 0.5, 0.6, 0.4, 0.7, 0.5], strict=True)),
    ):
        rows = perf_rows(LANGUAGES, [42, 43, 44], perf(of_target))
        path = write_results(tmp_path / "results.tsv", rows)
        ranked.append(recommended(path, Choice("gender"), LANGUAGES)("gl"))
    assert ranked[0] == ranked[1]
    assert ranked[0][0] == "ca"
