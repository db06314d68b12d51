"""Stage 3 of learning curves: grids, draws that are nested, curves that end early."""

from dataclasses import replace
from itertools import pairwise

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import training_utterances
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import check_grid, doubled, read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.writing import log_notes, write_experiment
from espnet2_cltm.options import AMOUNTS
from tests.experiment.experiments import end_run
from tests.speech import TINY_GENDER, TINY_SPEAKER, write_dump


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    write_dump(root / "demo", ["ca", "es"], {"train": 3, "dev": 2, "test": 2})
    write_dump(root / "demo", ["yue"], {"train": 1, "dev": 2, "test": 2})
    write_dump(root / "demo", ["zu"], {"train": 1, "dev": 2, "test": 2}, utterances=2)
    return root


@pytest.fixture
def settings(store):
    return Settings(
        "demo",
        str(store),
        {},
        zero_shot=False,
        train_config={"gender": TINY_GENDER, "speaker": TINY_SPEAKER},
        regime_budgets=(2, 4, 8),
    )


def utterances_of(directory):
    return {
        planned.run: [
            u.utt
            for u in training_utterances(
                directory, read_settings(directory.settings), planned.run
            )
        ]
        for planned in read_plan(directory.plan)
    }


def test_grid_is_read_in_any_order_and_its_doubles_are_found():
    assert AMOUNTS.read(" 8 2 4 12") == (2, 4, 8, 12)
    assert doubled((2, 4, 8, 12)) == [2, 4]
    check_grid(())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2", "0: give"),
        ("4", "regime_budgets 4 .*double"),
        ("4 9 30", "regime_budgets 4 9 30 .*double"),
    ],
)
def test_grid_that_cannot_be_used_is_one_sentence(text, message):
    with pytest.raises(UserError, match=message):
        check_grid(AMOUNTS.read(text))


def test_every_language_has_a_single_run_at_every_n_tested_on_itself(
    settings, tmp_path
):
    directory = ExperimentDir(tmp_path)
    made = make_plan(settings, ["ca", "es"], [1, 2])
    write_experiment(directory, made)
    plan = read_plan(directory.plan)
    for task in ("gender", "speaker"):
        runs = {p.run for p in plan if p.run.task == task}
        assert {(r.kind, *r.languages, r.budget, r.seed) for r in runs} == {
            ("single", lang, n, seed)
            for lang in ("ca", "es")
            for n in (2, 4, 8)
            for seed in (1, 2)
        }
    assert all(p.test_languages == p.run.languages for p in plan)
    assert read_settings(directory.settings) == made.settings


@pytest.mark.parametrize("task", ["gender", "speaker"])
def test_a_single_run_of_2n_is_the_double_run_of_n(settings, tmp_path, task):
    config = {task: settings.train_config[task]}
    curves = replace(settings, train_config=config)
    matrix = replace(curves, regime_budgets=(), budget={task: 4})
    drawn = {}
    for name, own in (("curves", curves), ("matrix", matrix)):
        directory = ExperimentDir(tmp_path / name)
        write_experiment(directory, make_plan(own, ["ca", "es"], [1, 2]))
        drawn[name] = {
            (*run.parts[0], run.seed): utts
            for run, utts in utterances_of(directory).items()
            if run.kind != "pair"
        }
    assert len(drawn["matrix"]) == 8
    for key, utts in drawn["matrix"].items():
        assert drawn["curves"][key] == utts
    for (lang, n, seed), utts in drawn["curves"].items():
        if n < 8:
            assert utts == drawn["curves"][lang, 2 * n, seed][: len(utts)]


def test_a_single_run_of_2n_gives_the_predictions_of_the_double_run_of_n(
    settings, tmp_path
):
    curves = replace(settings, train_config={"gender": TINY_GENDER})
    matrix = replace(curves, regime_budgets=(), budget={"gender": 4})
    predictions = []
    for name, own, kind, n in (
        ("curves", curves, "single", 8),
        ("matrix", matrix, "double", 4),
    ):
        directory = ExperimentDir(tmp_path / name)
        write_experiment(directory, make_plan(own, ["ca", "es"], [1]))
        planned = next(
            p
            for p in read_plan(directory.plan)
            if (p.run.kind, p.run.languages, p.run.budget) == (kind, ("es",), n)
        )
        make_run(directory, read_settings(directory.settings), planned)
        predictions.append(
            directory.predictions(planned.run.name, "es", ".tsv").read_bytes()
        )
    assert predictions[0] == predictions[1]


def test_a_curve_ends_where_its_language_has_no_more(settings, caplog):
    caplog.set_level("INFO")
    own = replace(settings, train_config={"gender": TINY_GENDER})
    planned = make_plan(own, ["ca", "yue"], [1])
    assert {p.run.budget for p in planned.runs if p.run.languages == ("yue",)} == {2, 4}
    assert len(planned.runs) == 5
    log_notes(planned)
    assert caplog.messages == [
        "yue, gender, the learning curve lacks N = 8: train has 4 utterances by 1 "
        "speakers labelled f where 8 are needed"
    ]


def test_an_n_too_small_for_two_speakers_is_left_out_of_its_curve(settings):
    own = replace(
        settings, train_config={"speaker": TINY_SPEAKER}, regime_budgets=(1, 2, 4, 40)
    )
    planned = make_plan(own, ["ca"], [1])
    assert [p.run.budget for p in planned.runs] == [2, 4]
    assert planned.drawn["speaker", "ca"].notes[0] == (
        "the learning curve lacks N = 1 40: train gives 1 utterances by 1 speakers "
        "where 2 are needed"
    )


def test_a_language_without_any_gain_is_left_out_and_one_curve_is_enough(settings):
    own = replace(settings, train_config={"gender": TINY_GENDER})
    planned = make_plan(own, ["yue", "zu"], [1])
    assert {p.run.languages for p in planned.runs} == {("yue",)}
    assert planned.left_out == {
        ("gender", "zu"): "train has 2 utterances by 1 speakers labelled f where 4 are "
        "needed"
    }


def test_where_no_language_has_a_gain_it_says_how_many_each_has(settings):
    own = replace(
        settings, train_config={"gender": TINY_GENDER}, regime_budgets=(50, 100)
    )
    with pytest.raises(UserError) as caught:
        make_plan(own, ["ca", "zu"], [1])
    assert str(caught.value) == (
        "No language can take part in gender with any N of 50 100 and its double (ca: "
        "train has 12 utterances by 3 speakers labelled f where 50 are needed; zu: "
        "train has 2 utterances by 1 speakers labelled f where 50 are needed): give "
        "--regime_budgets other numbers, or --langs other languages."
    )


def test_a_grid_may_grow_and_shrink_without_another_draw(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    draws = []
    for grid in ((2, 4), (2, 4, 8), (4, 8), (2, 4, 6)):
        own = replace(settings, regime_budgets=grid)
        write_experiment(directory, make_plan(own, ["ca", "es"], [1]))
        draws.append(utterances_of(directory))
        assert {run.budget for run in draws[-1]} == set(grid)
    for earlier, later in pairwise(draws):
        for run in earlier.keys() & later.keys():
            assert earlier[run] == later[run]


def test_a_curve_of_other_audio_is_refused(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    planned = make_plan(settings, ["ca"], [1])
    write_experiment(directory, planned)
    end_run(directory, planned.runs[0])
    path = directory.train_list("gender", "ca", 1)
    header, first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *rest, first]))
    with pytest.raises(UserError, match="would be drawn differently now"):
        write_experiment(directory, make_plan(settings, ["ca"], [1]))


def test_matrix_and_curves_do_not_share_an_experiment(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    planned = make_plan(settings, ["ca", "es"], [1])
    write_experiment(directory, planned)
    end_run(directory, planned.runs[0])
    matrix = replace(settings, regime_budgets=(), budget={"gender": 2, "speaker": 4})
    with pytest.raises(UserError) as caught:
        write_experiment(directory, make_plan(matrix, ["ca", "es"], [1]))
    assert str(caught.value).startswith(
        f"{directory.settings} is of an experiment for learning curves "
        "(--regime_budgets), not for a transfer matrix: "
    )
