"""Which runs there are, and what each is tested on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.plan import Run, all_runs

codes = st.lists(
    st.sampled_from(["ab", "be", "cs", "de", "es", "fi", "gl", "hu"]), min_size=2
)


@given(codes.filter(lambda langs: len(set(langs)) > 1), st.sets(st.integers(0, 99)))
def test_every_seed_has_n_singles_n_doubles_and_each_unordered_pair_once(langs, seeds):
    runs = all_runs("gender", langs, 5, seeds)
    n = len(set(langs))
    assert len(runs) == len(seeds) * (2 * n + n * (n - 1) // 2)
    assert len({run.name for run in runs}) == len(runs)
    pairs = [run.languages for run in runs if run.kind == "pair"]
    assert all(first < second for first, second in pairs)


def test_the_published_gender_experiment_has_15390_runs():
    langs = [f"l{i:02d}" for i in range(54)]
    runs = all_runs("gender", langs, 60, range(42, 52))
    assert len(runs) == 10 * (54 + 54 + 1431)


def test_single_run_is_tested_on_every_language_where_zero_shot_is_wanted():
    run = Run("gender", "single", ("es",), 5, 42)
    assert run.test_languages(["tr", "es"], zero_shot=True) == ["es", "tr"]
    assert run.test_languages(["tr", "es"], zero_shot=False) == ["es"]


def test_pair_run_is_tested_on_both_its_languages():
    run = Run("gender", "pair", ("es", "tr"), 5, 42)
    assert run.test_languages(["ca", "es", "tr"], zero_shot=True) == ["es", "tr"]


def test_double_run_takes_twice_the_budget():
    assert Run("gender", "double", ("es",), 5, 42).parts == [("es", 10)]
    pair = Run("gender", "pair", ("es", "tr"), 5, 42)
    assert pair.parts == [("es", 5), ("tr", 5)]


@pytest.mark.parametrize(
    ("kind", "langs"),
    [("triple", ("es",)), ("single", ("es", "tr")), ("pair", ("tr", "es"))],
)
def test_runs_that_cannot_be_are_refused(kind, langs):
    with pytest.raises(UserError):
        Run("gender", kind, langs, 5, 42)
