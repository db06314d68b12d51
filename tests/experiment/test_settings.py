"""Settings that may not change under an experiment, and how that is said."""

from dataclasses import replace

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.settings import (
    Settings,
    check_unchanged,
    read_settings,
    write_settings,
)

CONFIG = {"frontend_conf": {"model": "m"}, "optim_conf": {"lr": 0.001}}
SETTINGS = Settings("demo", "dump", {"gender": 12}, train_config={"gender": CONFIG})


def test_settings_survive_their_file(tmp_path):
    write_settings(tmp_path / "experiment.yaml", SETTINGS)
    assert read_settings(tmp_path / "experiment.yaml") == SETTINGS
    check_unchanged(tmp_path / "experiment.yaml", SETTINGS)


def test_every_change_is_shown(tmp_path):
    write_settings(tmp_path / "experiment.yaml", SETTINGS)
    changed = replace(
        SETTINGS,
        budget={"gender": 16},
        train_config={"gender": {**CONFIG, "optim_conf": {"lr": 0.01}}},
    )
    with pytest.raises(UserError) as caught:
        check_unchanged(tmp_path / "experiment.yaml", changed)
    assert "budget.gender: 12 before, 16 now" in str(caught.value)
    assert "train_config.gender.optim_conf.lr: 0.001 before, 0.01 now" in str(
        caught.value
    )
    assert "--tag" in str(caught.value)


def test_a_task_may_be_added(tmp_path):
    write_settings(tmp_path / "experiment.yaml", SETTINGS)
    more = replace(
        SETTINGS,
        budget={"gender": 12, "speaker": 3},
        train_config={"gender": CONFIG, "speaker": {"a": 1}},
    )
    check_unchanged(tmp_path / "experiment.yaml", more)


BOTH = replace(
    SETTINGS,
    budget={"gender": 12, "speaker": 30},
    options={"speaker": {"max_positives": 200}},
    train_config={"gender": CONFIG, "speaker": {"loss": "contrastive"}},
)


def test_a_task_that_is_left_out_keeps_its_settings(tmp_path):
    path = tmp_path / "experiment.yaml"
    write_settings(path, BOTH)
    write_settings(path, SETTINGS)
    assert read_settings(path) == BOTH


def test_a_changed_setting_of_a_task_is_shown(tmp_path):
    path = tmp_path / "experiment.yaml"
    write_settings(path, BOTH)
    speaker = replace(
        BOTH,
        budget={"speaker": 31},
        options={"speaker": {"max_positives": 9}},
        train_config={"speaker": {"loss": "cross_entropy"}},
    )
    with pytest.raises(UserError) as caught:
        check_unchanged(path, speaker)
    for fact in (
        str(path),
        "budget.speaker: 30 before, 31 now; ",
        "options.speaker.max_positives: 200 before, 9 now; ",
        "train_config.speaker.loss: contrastive before, cross_entropy now)",
        "--tag",
    ):
        assert fact in str(caught.value)


def test_an_experiment_with_one_budget_for_all_tasks_is_refused(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("corpus: demo\ndumpdir: dump\nbudget: 12\n")
    with pytest.raises(UserError, match=r"older version.*give the experiment a new"):
        check_unchanged(path, SETTINGS)


def test_damaged_settings_are_refused(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("corpus: demo\nbugdet: 3\n")
    with pytest.raises(UserError, match="is damaged"):
        read_settings(path)
    with pytest.raises(UserError, match="run stage 3 first"):
        read_settings(tmp_path / "none.yaml")


def test_an_experiment_with_the_frontends_old_name_goes_on(tmp_path):
    before, after = (
        replace(SETTINGS, train_config={"gender": {**CONFIG, "frontend": name}})
        for name in ("hubert", "ssl")
    )
    write_settings(tmp_path / "experiment.yaml", before)
    check_unchanged(tmp_path / "experiment.yaml", after)
    other = replace(SETTINGS, train_config={"gender": {**CONFIG, "frontend": "x"}})
    with pytest.raises(UserError, match="frontend: ssl before, x now"):
        check_unchanged(tmp_path / "experiment.yaml", other)
