"""Runs in one process against the task's own commands, bit for bit."""

import json
import random
from pathlib import Path

import pytest
import torch

from espnet2_cltm.bin import gender_inference, gender_train
from espnet2_cltm.devices import check_gpus
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.results import collect_results, write_results
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.states import is_done
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.tasks.training import training_arguments
from tests.speech import TINY_GENDER, TINY_HUBERT

DROPOUT_HUBERT = {
    **TINY_HUBERT,
    "hidden_dropout": 0.1,
    "layerdrop": 0.1,
    "apply_spec_augment": True,
    "mask_time_prob": 0.3,
}


def new_experiment(root, store, seeds=(42,), config=TINY_GENDER):
    directory = ExperimentDir(Path(root))
    settings = Settings(
        "demo",
        str(store),
        {"gender": 2},
        train_config={"gender": config},
        steps="both",
    )
    write_experiment(directory, make_plan(settings, ["es", "tr"], seeds))
    return directory


def make_all(directory, order=None):
    settings = read_settings(directory.settings)
    for planned in order or read_plan(directory.plan):
        make_run(directory, settings, planned)


def results_of(directory):
    plan = read_plan(directory.plan)
    write_results(directory.results, collect_results(directory, plan))
    return directory.results.read_bytes()


def predictions_of(directory):
    return {
        path.relative_to(directory.root): path.read_bytes()
        for path in sorted(directory.root.glob("runs/*/predictions/*.tsv"))
    }


@pytest.fixture(scope="module")
def finished(store, tmp_path_factory):
    # Dropout, layer drop and masks draw from every generator there is.
    config = {**TINY_GENDER, "frontend_conf": {"model": DROPOUT_HUBERT}}
    directory = new_experiment(tmp_path_factory.mktemp("exp"), store, config=config)
    make_all(directory)
    return directory


@pytest.mark.parametrize(
    ("kind", "steps"),
    [("single", "data"), ("single", "equal"), ("double", "data"), ("pair", "equal")],
)
def test_run_gives_the_numbers_of_the_commands(finished, store, tmp_path, kind, steps):
    planned = next(
        p
        for p in read_plan(finished.plan)
        if (p.run.kind, p.run.steps) == (kind, steps)
    )
    run_dir = finished.run(planned.run.name)
    gender_train.main(
        ["--config", str(run_dir / "train.yaml"), "--output_dir", str(tmp_path)]
    )
    for lang in planned.test_languages:
        gender_inference.main(
            [
                "--train_config",
                str(tmp_path / "config.yaml"),
                "--model_file",
                str(tmp_path / "latest.pth"),
                "--data_path_and_name_and_type",
                f"{store}/demo/{lang}/test/wav.scp,speech,kaldi_ark",
                "--output_dir",
                str(tmp_path / lang),
            ]
        )
        expected = (tmp_path / lang / "predictions.tsv").read_bytes()
        assert (
            finished.predictions(planned.run.name, lang, ".tsv").read_bytes()
            == expected
        )


def test_runs_do_not_depend_on_order_or_on_what_was_made_before(
    finished, store, tmp_path
):
    config = read_settings(finished.settings).train_config["gender"]
    other = new_experiment(tmp_path, store, config=config)
    order = read_plan(other.plan)
    random.Random(0).shuffle(order)
    torch.rand(17)
    make_all(other, order)
    assert results_of(other) == results_of(finished)
    assert predictions_of(other) == predictions_of(finished)


def test_seeds_give_different_results(store, tmp_path):
    directory = new_experiment(tmp_path, store, seeds=(1, 2))
    make_all(directory)
    by_seed = {
        path.parts[1].rsplit(".", 1)[1]: content
        for path, content in predictions_of(directory).items()
        if ".single.es.n2.s" in path.parts[1] and path.name == "es.tsv"
    }
    assert len(by_seed) == 2 and by_seed["s1"] != by_seed["s2"]


def test_rescoring_the_predictions_gives_the_same_tables(finished, tmp_path):
    plan = read_plan(finished.plan)
    for name in ("first", "again"):
        results = collect_results(finished, plan, rescore=name == "again")
        paths = [tmp_path / f"{kind}.{name}" for kind in ("r", "confusion", "held_out")]
        write_results(paths[0], results, *paths[1:])
        assert all(path.exists() for path in paths)
    for path in paths:
        assert path.read_bytes() == path.with_suffix(".first").read_bytes()


def test_results_have_one_sorted_line_a_run_language_and_metric(finished):
    header, *lines = results_of(finished).decode().splitlines()
    assert header == (
        "run\ttask\tkind\tlanguages\tbudget\tseed\ttest_language\tmetric\t"
        "value\tn_test\tsteps\tstrategy\tsize\tmethod\tshots"
    )
    assert lines == sorted(set(lines))
    # 2 singles on 2 languages, 2 doubles on 1, of both designs of steps, and 1 pair on
    # 2; ten metrics each.
    assert len(lines) == (2 * (4 + 2) + 2) * 10


def test_single_run_is_made_again_for_a_language_that_was_added(finished):
    planned = next(p for p in read_plan(finished.plan) if p.run.kind == "single")
    assert is_done(finished, planned)
    more = type(planned)(
        planned.run, 4, 1.0, (*planned.test_languages, "yue"), 48, 10.0
    )
    assert not is_done(finished, more)


def test_damaged_metrics_are_named(finished, tmp_path):
    planned = read_plan(finished.plan)[0]
    broken = ExperimentDir(tmp_path)
    path = broken.metrics(planned.run.name)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"test": 3})[:5])
    with pytest.raises(UserError, match=r"metrics\.json is damaged"):
        is_done(broken, planned)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"optimiser": "adamw"}, "unrecognized arguments: optimiser"),
        ({"patience": 3}, "sets patience: 3"),
        ({"use_wandb": True}, "sets use_wandb: True"),
    ],
)
def test_configuration_a_run_cannot_follow_is_refused(tmp_path, extra, message):
    import yaml

    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({**TINY_GENDER, **extra}))
    with pytest.raises(UserError, match=message):
        training_arguments(LabelEspnetTask, path)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"scheduler": "nosuchlr"}, "scheduler cannot be 'nosuchlr'"),
        ({"scheduler": "reducelronplateau"}, "follows a validation score"),
    ],
)
def test_scheduler_a_run_cannot_follow_is_refused(store, tmp_path, extra, message):
    directory = new_experiment(tmp_path, store, config={**TINY_GENDER, **extra})
    with pytest.raises(UserError, match=message):
        make_all(directory)


@pytest.mark.parametrize(
    "schedule",
    [
        {"scheduler": "warmuplr", "scheduler_conf": {"warmup_steps": 3}},
        {"scheduler": "exponentiallr", "scheduler_conf": {"gamma": 0.5}},
    ],
    ids=["by the step", "by the epoch"],
)
def test_learning_rate_schedules_are_the_command_lines(store, tmp_path, schedule):
    config = {**TINY_GENDER, **schedule, "accum_grad": 2}
    directory = new_experiment(tmp_path / "exp", store, config=config)
    make_all(directory, read_plan(directory.plan)[:1])
    planned = read_plan(directory.plan)[0]
    run_dir = directory.run(planned.run.name)
    output = tmp_path / "command"
    gender_train.main(
        ["--config", str(run_dir / "train.yaml"), "--output_dir", str(output)]
    )
    lang = planned.test_languages[0]
    gender_inference.main(
        [
            "--train_config",
            str(output / "config.yaml"),
            "--model_file",
            str(output / "latest.pth"),
            "--data_path_and_name_and_type",
            f"{store}/demo/{lang}/test/wav.scp,speech,kaldi_ark",
            "--output_dir",
            str(output),
        ]
    )
    assert (output / "predictions.tsv").read_bytes() == directory.predictions(
        planned.run.name, lang, ".tsv"
    ).read_bytes()


def test_gpus_that_are_not_there_are_refused():
    with pytest.raises(UserError, match="asks for more GPUs than PyTorch"):
        check_gpus(torch.cuda.device_count() + 1)
