"""Speaker runs in one process against the task's own commands, bit for bit."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from espnet2_cltm.bin import build_matrix, speaker_inference, speaker_train
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import read_test_set
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.results import collect_results, write_results
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.speaker.spec import SPEAKER
from espnet2_cltm.speaker.testing import score
from espnet2_cltm.speaker.trials import read_scores, read_trials
from espnet2_cltm.task import CALIBRATION_SETS
from tests.experiment.kept_experiments import SPEAKERS
from tests.speech import TINY_HUBERT, TINY_SPEAKER, write_dump

CONFIG = {
    **TINY_SPEAKER,
    # Dropout, layer drop and masks draw from every generator there is.
    "frontend_conf": {
        "model": {
            **TINY_HUBERT,
            "hidden_dropout": 0.1,
            "layerdrop": 0.1,
            "apply_spec_augment": True,
            "mask_time_prob": 0.3,
        }
    },
    "optim_conf": {"lr": 1.0e-2},
    "max_epoch": 3,
    "keep_nbest_models": 3,
}
SIAMESE = {
    **CONFIG,
    "loss": "contrastive",
    "embedding_conf": {"source": "projector", "speeds": [1.0]},
}
ECAPA = {
    **TINY_SPEAKER,
    "frontend": "melspec_torch",
    "frontend_conf": {"n_mels": 16, "log": True, "normalize": "mn"},
    "encoder": "ecapa_tdnn",
    "encoder_conf": {"model_scale": 2, "ndim": 16, "output_size": 24},
    "pooling": "chn_attn_stat",
    "projector": "rawnet3",
    "loss": "aamsoftmax",
    "loss_conf": {"margin": 0.2, "scale": 15},
    "preprocessor_conf": {"target_duration": 0.2},
    "embedding_conf": {"source": "projector", "speeds": [1.0]},
}
DUMP = {"languages": ["es", "tr"], "speakers": SPEAKERS, "utterances": 3}


def new_experiment(root, store, config):
    directory = ExperimentDir(Path(root))
    settings = Settings(
        "demo",
        str(store),
        {"speaker": 4},
        options={
            "speaker": {"cross_language_trials": True}
        },  # write_dump names its speakers alike
        train_config={"speaker": config},
    )
    write_experiment(directory, make_plan(settings, ["es", "tr"], [42]))
    return directory


def make_all(directory, plan):
    settings = read_settings(directory.settings)
    for planned in plan:
        make_run(directory, settings, planned)


def planned_run(directory, kind):
    return next(p for p in read_plan(directory.plan) if p.run.kind == kind)


def metrics_of(directory, planned):
    return json.loads(directory.metrics(planned.run.name).read_text())


def results_of(directory, rescore=False):
    plan = read_plan(directory.plan)
    path = directory.root / f"results.{rescore}.tsv"
    write_results(path, collect_results(directory, plan, rescore))
    return path.read_bytes()


def scores_of(directory):
    return {
        path.relative_to(directory.root): path.read_bytes()
        for path in sorted(directory.root.glob("runs/*/predictions/*.npy"))
    }


def train_by_command(directory, planned, output):
    config = directory.run(planned.run.name) / "train.yaml"
    speaker_train.main(["--config", str(config), "--output_dir", str(output)])


def assert_scored_alike(directory, store, planned, name, output, checkpoint):
    """Compare the runner's scores on a test with those of the commands' model."""
    scp = output / f"{name}.scp"
    scp.write_text(
        "".join(
            (store / "demo" / lang / "test" / "wav.scp").read_text()
            for lang in name.split("~")
        )
    )
    trials = directory.test_data("speaker", name, "test", ".trials")
    speaker_inference.main(
        [
            "--train_config",
            str(output / "config.yaml"),
            "--model_file",
            str(output / checkpoint),
            "--data_path_and_name_and_type",
            f"{scp},speech,kaldi_ark",
            "--trials",
            str(trials),
            "--output_dir",
            str(output / name),
        ]
    )
    expected = read_scores(output / name / "scores", read_trials(trials))
    scores = np.load(directory.predictions(planned.run.name, name, ".npy"))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, expected.astype(np.float32))


@pytest.fixture(scope="module")
def finished(store, tmp_path_factory):
    directory = new_experiment(tmp_path_factory.mktemp("exp"), store, CONFIG)
    make_all(directory, read_plan(directory.plan))
    return directory


@pytest.mark.parametrize("kind", ["single", "double", "pair"])
def test_run_gives_the_numbers_of_the_commands(finished, store, tmp_path, kind):
    planned = planned_run(finished, kind)
    train_by_command(finished, planned, tmp_path)
    # Zero-shot and cross-language tests take the lowest mean EER of the run's own.
    own = {lang: f"valid.eer_{lang}.best.pth" for lang in planned.run.languages}
    for name in planned.test_languages:
        checkpoint = own.get(name, "valid.eer.best.pth")
        assert_scored_alike(finished, store, planned, name, tmp_path, checkpoint)
        recorded = metrics_of(finished, planned)["checkpoints"][name]
        assert (tmp_path / checkpoint).resolve().name == f"{recorded['epoch']}epoch.pth"


def test_the_recorded_epoch_is_the_first_of_the_lowest_eer(finished):
    chosen = set()
    for planned in read_plan(finished.plan):
        metrics = metrics_of(finished, planned)
        assert [v["epoch"] for v in metrics["validation"]] == [1, 2, 3]
        for recorded in metrics["checkpoints"].values():
            by_epoch = [v[recorded["criterion"]] for v in metrics["validation"]]
            assert recorded["value"] == min(by_epoch)
            assert recorded["epoch"] == 1 + by_epoch.index(min(by_epoch))
            chosen.add(recorded["epoch"])
    assert len(chosen) > 1, "every run chose one epoch: the test shows nothing"


def test_each_run_is_tested_on_what_the_plan_says(finished):
    tested = {
        (p.run.kind, p.run.languages): list(metrics_of(finished, p)["test"])
        for p in read_plan(finished.plan)
    }
    every = ["es", "tr", "es~tr"]
    assert tested == {
        ("single", ("es",)): every,
        ("single", ("tr",)): every,
        ("double", ("es",)): ["es", "es~tr"],
        ("double", ("tr",)): ["tr", "es~tr"],
        ("pair", ("es", "tr")): every,
    }


def test_runs_do_not_depend_on_order_or_on_what_was_made_before(
    finished, store, tmp_path
):
    other = new_experiment(tmp_path, store, CONFIG)
    order = read_plan(other.plan)
    random.Random(0).shuffle(order)
    make_all(other, order)
    assert scores_of(other) == scores_of(finished)
    assert results_of(other) == results_of(finished)


def test_scores_are_calibrated_on_the_dev_sets_that_a_run_has(finished):
    defined = {}
    for planned in read_plan(finished.plan):
        run = planned.run
        recorded = metrics_of(finished, planned)
        for name, scores in recorded["test"].items():
            found = {x for x in CALIBRATION_SETS if scores[f"cllr_{x}"] > 0}
            assert found == recorded["calibration"][name].keys()
            defined[run.kind, name in run.languages] = found
    assert defined["single", True] == {"target", "both"}
    assert defined["single", False] == {"donor", "both"}
    assert defined["pair", True] == {"target", "donor", "both"}


def test_rescoring_gives_the_same_table(finished):
    table = results_of(finished)
    assert results_of(finished, rescore=True) == table
    # 13 tests of 5 runs, each with 15 metrics.
    assert len(table.splitlines()) == 1 + 13 * 15


def test_trials_across_languages_stand_beside_the_matrix_and_do_not_change_it(
    finished, tmp_path
):
    languages = Path(__file__).parents[2] / "conf" / "languages.yaml"
    lines = results_of(finished).decode().splitlines(keepends=True)
    for name, kept in (
        ("all", lines),
        ("own", [line for line in lines if "~" not in line]),
    ):
        results = tmp_path / f"{name}.tsv"
        results.write_text("".join(kept))
        build_matrix.main(
            [
                *("--results", str(results), "--outdir", str(tmp_path / name)),
                *("--task", "speaker", "--languages_conf", str(languages)),
            ]
        )
    for name in ("cltm.csv", "relative_gain.csv", "zero_shot.csv", "cells.tsv"):
        with_them = (tmp_path / "all" / name).read_bytes()
        assert with_them == (tmp_path / "own" / name).read_bytes()
    rows = (tmp_path / "all" / "cross_language.csv").read_text().splitlines()
    assert len(rows) == 1 + 5
    assert "es~tr" in rows[0]
    assert not (tmp_path / "own" / "cross_language.csv").exists()


def test_the_last_epoch_is_tested_without_validation_where_that_is_asked(
    finished, store, tmp_path
):
    directory = new_experiment(
        tmp_path / "exp", store, {**CONFIG, "checkpoint": "last"}
    )
    planned = planned_run(directory, "single")
    make_all(directory, [planned])
    metrics = metrics_of(directory, planned)
    assert metrics["validation"] == []
    assert set(map(str, metrics["checkpoints"].values())) == {"{'epoch': 3}"}
    output = tmp_path / "commands"
    train_by_command(directory, planned, output)
    assert_scored_alike(directory, store, planned, "tr", output, "latest.pth")


@pytest.mark.parametrize("config", [SIAMESE, ECAPA], ids=["siamese", "ecapa"])
def test_other_systems_give_the_numbers_of_the_commands(store, tmp_path, config):
    directory = new_experiment(tmp_path / "exp", store, config)
    planned = planned_run(directory, "pair")
    make_all(directory, [planned])
    output = tmp_path / "commands"
    train_by_command(directory, planned, output)
    for lang in planned.run.languages:
        checkpoint = f"valid.eer_{lang}.best.pth"
        assert_scored_alike(directory, store, planned, lang, output, checkpoint)


def test_a_language_without_dev_trials_is_tested_with_the_last_epoch(store, tmp_path):
    speakers = {"train": 3, "dev": 1, "test": 2}
    (tmp_path / "demo").mkdir()
    write_dump(tmp_path / "demo", ["ca"], speakers, utterances=3)
    (tmp_path / "demo" / "es").symlink_to(store / "demo" / "es")
    settings = Settings(
        "demo", str(tmp_path), {"speaker": 4}, train_config={"speaker": CONFIG}
    )
    directory = ExperimentDir(tmp_path / "exp")
    planned = make_plan(settings, ["ca", "es"], [42])
    assert planned.drawn["speaker", "ca"].notes[-1].startswith("dev: no trial can be")
    write_experiment(directory, planned)
    pair, single = planned_run(directory, "pair"), planned_run(directory, "single")
    assert single.run.languages == ("ca",)
    make_all(directory, [pair, single])
    checkpoints = metrics_of(directory, pair)["checkpoints"]
    assert checkpoints["ca"] == {"epoch": 3}
    assert checkpoints["es"]["criterion"] == "eer_es"
    checkpoints = metrics_of(directory, single)["checkpoints"]
    assert checkpoints == {"ca": {"epoch": 3}, "es": {"epoch": 3}}


def copy_of_a_test(finished, tmp_path):
    """Give a copy of the experiment's data with the scores of one test."""
    copy = ExperimentDir(tmp_path)
    for path in sorted((finished.root / "data/speaker/es").glob("test.*")):
        target = tmp_path / path.relative_to(finished.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    scores = tmp_path / "es.npy"
    run = planned_run(finished, "single").run
    scores.write_bytes(finished.predictions(run.name, "es", ".npy").read_bytes())
    return copy, scores


@pytest.mark.parametrize("left", [b"", b"not numpy's", slice(-3), None])
def test_damaged_scores_are_named(finished, tmp_path, left):
    copy, scores = copy_of_a_test(finished, tmp_path)
    if left is None:
        scores.unlink()
    else:
        whole = scores.read_bytes()
        scores.write_bytes(whole[left] if isinstance(left, slice) else left)
    reason = r"\(No such file or directory\)" if left is None else ""
    said = rf"es\.npy cannot be read {reason}.*run stage 4 again"
    with pytest.raises(UserError, match=said):
        score(SPEAKER, {}, read_test_set(copy, "speaker", "es"), scores)


def test_scores_of_other_trials_are_named(finished, tmp_path):
    copy, scores = copy_of_a_test(finished, tmp_path)
    np.save(scores, np.load(scores)[1:])
    with pytest.raises(UserError, match=r"shape \(23,\).* .*test\.trials has 24"):
        score(SPEAKER, {}, read_test_set(copy, "speaker", "es"), scores)


def test_missing_trials_are_named(finished, tmp_path):
    copy, _ = copy_of_a_test(finished, tmp_path)
    copy.test_data("speaker", "es", "test", ".trials").unlink()
    with pytest.raises(UserError, match=r"test\.trials is missing: run stage 3 again"):
        read_test_set(copy, "speaker", "es")


def test_a_list_that_differs_from_its_trials_is_named(finished, tmp_path):
    copy, _ = copy_of_a_test(finished, tmp_path)
    path = copy.utterance_list("speaker", "es", "test")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]))
    with pytest.raises(
        UserError, match=r"test\.trials .*differ, first in utterance es-"
    ):
        read_test_set(copy, "speaker", "es")
