import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.plan import Run, all_runs, curve_runs
from espnet2_cltm.experiment.settings import Settings, list_differences
from espnet2_cltm.experiment.steps import check_steps, epoch_of, steps_config

CONFIG = {"batch_type": "unsorted", "batch_size": 4}


def settings_of(steps, config=CONFIG, **others):
    others = {"budget": {"gender": 3}, **others}
    return Settings(
        "demo",
        "dump",
        train_config={"gender": config},
        options={"gender": {"classes": ["f", "m"]}},
        steps=steps,
        **others,
    )


def test_every_run_takes_the_steps_of_a_double():
    settings = settings_of("equal")
    runs = all_runs("gender", ["es", "tr"], 3, [42], "equal")
    # 2N = 6 of each of two classes, in batches of 4
    expected = {"whole_batches": True, "num_iters_per_epoch": 3}
    assert [steps_config(settings, run) for run in runs] == [expected] * len(runs)
    assert steps_config(settings, Run("gender", "single", ("es",), 3, 42)) == {}


def test_curves_take_the_steps_of_their_largest_n():
    settings = settings_of("equal", budget={}, regime_budgets=(2, 4, 8))
    runs = curve_runs("gender", {"es": (2, 4, 8)}, [42], "equal")
    assert {steps_config(settings, r)["num_iters_per_epoch"] for r in runs} == {4}


def test_given_number_of_iterations_stays():
    settings = settings_of("equal", {**CONFIG, "num_iters_per_epoch": 7})
    run = Run("gender", "single", ("es",), 3, 42, "equal")
    assert steps_config(settings, run)["num_iters_per_epoch"] == 7


def test_epoch_counts_utterances_as_often_as_they_are_used():
    run = Run("gender", "single", ("es",), 3, 42, "equal")
    assert epoch_of(settings_of("equal"), run, 6, 6.0) == (12, 12.0)


def test_both_designs_have_singles_and_doubles_and_one_has_pairs():
    runs = all_runs("gender", ["es", "fi", "tr"], 3, [42], "both")
    kinds = {
        steps: [r.kind for r in runs if r.steps == steps] for steps in ("data", "equal")
    }
    assert sorted(kinds["data"]) == ["double"] * 3 + ["single"] * 3
    assert sorted(kinds["equal"]) == ["double"] * 3 + ["pair"] * 3 + ["single"] * 3
    assert len({run.name for run in runs}) == len(runs)
    # The published design's runs are named as ever.
    assert "gender.single.es.n3.s42" in {run.name for run in runs}


def test_published_design_may_be_added_to_an_experiment_but_not_replace_it():
    equal, both, data = map(settings_of, ("equal", "both", "data"))
    assert not list_differences(equal, both)
    assert list_differences(equal, data) == [("steps", "equal", "data")]


@pytest.mark.parametrize(
    "option",
    [{"batch_type": "sorted"}, {"iterator_type": "chunk"}, {"batch_type": None}],
)
def test_configuration_that_cannot_have_equal_steps_is_refused(option):
    config = {k: v for k, v in {**CONFIG, **option}.items() if v is not None}
    check_steps("gender", "data", config)
    with pytest.raises(UserError, match=next(iter(option))):
        check_steps("gender", "equal", config)
