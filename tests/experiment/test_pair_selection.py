"""Measuring a share of the pairs: which, and what becomes of measured ones."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.pair_selection import (
    balanced_order,
    number_of_pairs,
    select_pairs,
)
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.files import write_text
from tests.experiment.experiments import end_run
from tests.speech import TINY_GENDER

numbers = st.integers(min_value=2, max_value=30)
shares = st.floats(min_value=0.01, max_value=1)
seeds = st.integers(min_value=0, max_value=10**6)


def codes(n):
    return [f"l{k:02d}" for k in range(n)]


def degrees(pairs, languages):
    return [sum(lang in pair for pair in pairs) for lang in languages]


@pytest.mark.parametrize("n", range(2, 40))
def test_every_beginning_of_the_order_is_balanced(n):
    languages = codes(n)
    order = balanced_order(languages)
    assert sorted(order) == list(combinations(languages, 2))
    degree = dict.fromkeys(languages, 0)
    for pair in order:
        for lang in pair:
            degree[lang] += 1
        assert max(degree.values()) - min(degree.values()) <= 1


@given(numbers, shares, seeds)
@example(6, 0.7, 0)
def test_every_language_is_in_nearly_as_many_pairs_and_in_one_at_least(n, share, seed):
    chosen = select_pairs(codes(n), share, seed)
    counts = degrees(chosen, codes(n))
    assert max(counts) - min(counts) <= 1 and min(counts) >= 1
    assert len(chosen) == number_of_pairs(n, share)
    # (0.7 of 15 is 10.499999999999998.)
    off = abs(len(chosen) - share * n * (n - 1) / 2)
    assert off <= 0.5 + 1e-9 or min(counts) == 1


@given(numbers, shares, seeds, st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_languages(n, share, seed, random):
    shuffled = codes(n)
    random.shuffle(shuffled)
    assert select_pairs(shuffled, share, seed) == select_pairs(codes(n), share, seed)


@given(numbers, shares, shares, seeds)
def test_a_larger_share_contains_a_smaller_one(n, one, other, seed):
    smaller, larger = sorted((one, other))
    assert select_pairs(codes(n), smaller, seed) <= select_pairs(codes(n), larger, seed)


def test_another_seed_draws_other_pairs_and_each_pair_is_as_likely():
    drawn = [frozenset(select_pairs(codes(6), 0.4, seed)) for seed in range(600)]
    assert len(set(drawn)) == 60  # every walk round six languages
    for pair in combinations(codes(6), 2):
        assert 0.3 < sum(pair in chosen for chosen in drawn) / 600 < 0.5


@given(
    st.integers(min_value=3, max_value=25),
    st.integers(min_value=1, max_value=3),
    st.floats(min_value=0.1, max_value=0.9),
    seeds,
)
def test_languages_that_are_added_keep_the_measured_pairs(n, more, share, seed):
    measured = select_pairs(codes(n), share, seed)
    chosen = select_pairs(codes(n + more), share, seed, measured)
    assert measured <= chosen
    wanted = number_of_pairs(n + more, share)
    assert wanted <= len(chosen) <= wanted + more
    counts = degrees(chosen, codes(n + more))
    assert min(counts) >= 1 and max(counts) - min(counts) <= 2


def test_of_more_measured_pairs_than_wanted_a_balanced_part_is_taken():
    everything_but_one = list(combinations(codes(9), 2))[1:]
    chosen = select_pairs(codes(9), 0.5, 3, everything_but_one)
    assert chosen <= set(everything_but_one)
    counts = degrees(chosen, codes(9))
    assert len(chosen) == 18 and max(counts) - min(counts) <= 2


def test_a_language_that_is_added_to_a_full_matrix_gets_its_share():
    chosen = select_pairs(codes(10), 0.3, 1, list(combinations(codes(9), 2)))
    counts = degrees(chosen, codes(10))
    assert len(chosen) == 14 and max(counts) - min(counts) <= 2 and counts[-1] >= 2


LANGS = ["ca", "es", "fi", "tr"]
DUMP = {"languages": [*LANGS, "sw"]}


@pytest.fixture
def settings(store):
    return Settings(
        "demo",
        str(store),
        {"gender": 2},
        train_config={"gender": TINY_GENDER},
        pairs_fraction=0.5,
    )


def write(directory, settings, langs=LANGS, run_seeds=(1, 2)):
    write_experiment(directory, make_plan(settings, langs, run_seeds, directory))
    return [planned.run for planned in read_plan(directory.plan)]


def pairs_by_seed(runs):
    return {
        seed: {run.languages for run in runs if run.kind == "pair" and run.seed == seed}
        for seed in {run.seed for run in runs}
    }


def pretend_done(directory, runs):
    for run in runs:
        write_text(directory.metrics(run.name), '{"test": {}}')


def test_the_plan_has_the_same_pairs_for_every_seed_and_all_other_runs(
    settings, tmp_path
):
    runs = write(ExperimentDir(tmp_path), settings)
    first, second = pairs_by_seed(runs).values()
    assert first == second == select_pairs(LANGS, 0.5, 0)
    assert len(runs) == 2 * (4 + 4 + 3)


def test_share_and_seed_are_written_down_and_the_seed_may_not_change(
    settings, tmp_path
):
    directory = ExperimentDir(tmp_path)
    write(directory, settings)
    written = read_settings(directory.settings)
    assert (written.pairs_fraction, written.pairs_seed) == (
        settings.pairs_fraction,
        settings.pairs_seed,
    )
    end_run(directory, read_plan(directory.plan)[0])
    with pytest.raises(UserError, match="pairs_seed: 0 before, 1 now"):
        write(directory, replace(settings, pairs_seed=1))


def test_a_share_that_grows_keeps_every_pair(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    before = set(write(directory, settings))
    assert before < set(write(directory, replace(settings, pairs_fraction=1.0)))


def test_a_share_that_shrinks_hides_no_result_and_drops_what_is_not_done(
    settings, tmp_path
):
    directory = ExperimentDir(tmp_path)
    runs = write(directory, replace(settings, pairs_fraction=1.0))
    done = [run for run in runs if run.kind == "pair" and run.seed == 1]
    pretend_done(directory, done)
    by_seed = pairs_by_seed(write(directory, settings))
    assert by_seed[1] == set(combinations(LANGS, 2))
    assert by_seed[2] == select_pairs(LANGS, 0.5, 0)


def test_a_language_that_is_added_keeps_the_pairs_that_are_done(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    runs = write(directory, settings)
    pretend_done(directory, runs)
    before = {run for run in runs if run.kind == "pair"}
    after = [run for run in write(directory, settings, [*LANGS, "sw"])]
    assert before < set(after)
    for pairs in pairs_by_seed(after).values():
        assert len(pairs) == 5
        assert set(degrees(pairs, [*LANGS, "sw"])) == {2}


def test_a_pair_done_before_its_language_was_left_out_comes_back(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    full = replace(settings, pairs_fraction=1.0)
    runs = [r for r in write(directory, full) if r.languages == ("ca", "fi")]
    pretend_done(directory, runs)
    write(directory, full, ["ca", "es", "tr"])
    assert set(runs) <= set(write(directory, settings))
