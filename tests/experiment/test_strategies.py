"""Every strategy in an experiment: the bits of the task's own commands."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
import yaml

from espnet2_cltm.bin import gender_inference, gender_train
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.merging import merge_experiments
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.run_config import build_once
from espnet2_cltm.experiment.settings import Settings, check_unchanged, read_settings
from espnet2_cltm.experiment.strategies import config_of, read_strategies, strategies_of
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.registry import _STRATEGIES
from espnet2_cltm.tasks.model_files import load_model, read_packed_model
from tests.experiment.experiments import end_run
from tests.experiment.kept_experiments import make_left, plan_experiment, results_of
from tests.speech import TINY_GENDER, TINY_HUBERT

HUBERT = {
    **TINY_HUBERT,
    "num_hidden_layers": 2,
    "hidden_dropout": 0.1,
    "apply_spec_augment": True,
    "mask_time_prob": 0.3,
}
OPTIONS = {
    "augment": {"prob": 0.7},
    "gradual": {"freeze_finetune_updates": 2, "unfreeze_every": 1},
    "houlsby": {"bottleneck": 4, "save_strategy": "required_grad_only"},
    "l2sp": {"weight": 1.0},
    "llrd": {"decay": 0.5},
    "lora": {"rank": 2, "dropout_rate": 0.2, "save_strategy": "required_grad_only"},
    "lora+freeze": {"lora": {"rank": 2}, "freeze": {"part": "cnn"}},
    "lora+augment": {},
    "adversarial+llrd+l2sp": {},
}


def settings_of(store, strategy, conf, **changes):
    # The encoder is a file, as a model that is not stored whole needs one to load.
    (store / "hubert.yaml").write_text(yaml.safe_dump(HUBERT))
    config = {
        **TINY_GENDER,
        "frontend_conf": {"model": str(store / "hubert.yaml")},
        "strategy": strategy,
        "strategy_conf": conf,
        **changes,
    }
    return Settings(
        "demo",
        str(store),
        {"gender": 2},
        {"gender": {"classes": ["f", "m"]}},
        train_config={"gender": config},
    )


def make(root, store, strategy, conf, kind="pair", **changes):
    """Make one run, and return its directories and its weights."""
    settings = settings_of(store, strategy, conf, **changes)
    directory = ExperimentDir(root)
    write_experiment(directory, make_plan(settings, ["es", "tr"], (42,)))
    planned = next(p for p in read_plan(directory.plan) if p.run.kind == kind)
    make_run(directory, read_settings(directory.settings), planned, keep_models="all")
    packed = read_packed_model(directory.model(planned.run.name))
    (root / "kept").mkdir()
    kept = load_model(LabelEspnetTask, **packed.extract(root / "kept"))
    return directory, planned, kept.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("frontend", [{}, {"freeze": "cnn", "reuse_frozen": True}])
@pytest.mark.parametrize("strategy", sorted({*_STRATEGIES, *OPTIONS}))
def test_a_run_is_the_commands_and_its_model_loads(strategy, frontend, store, tmp_path):
    conf = OPTIONS.get(strategy, {})
    frontend = {"model": str(store / "hubert.yaml"), **frontend}
    directory, planned, kept = make(
        tmp_path / "exp", store, strategy, conf, frontend_conf=frontend
    )
    trained = tmp_path / "command"
    train_yaml = directory.run(planned.run.name) / "train.yaml"
    gender_train.main(["--config", str(train_yaml), "--output_dir", str(trained)])
    (lang, *_) = planned.test_languages
    gender_inference.main(
        [
            "--train_config",
            str(trained / "config.yaml"),
            "--model_file",
            str(trained / "latest.pth"),
            "--data_path_and_name_and_type",
            f"{store}/demo/{lang}/test/wav.scp,speech,kaldi_ark",
            "--output_dir",
            str(trained),
        ]
    )
    predictions = directory.predictions(planned.run.name, lang, ".tsv")
    assert (trained / "predictions.tsv").read_bytes() == predictions.read_bytes()
    expected = torch.load(trained / "latest.pth", weights_only=True)
    assert kept.keys() == expected.keys()
    assert all(kept[name].equal(expected[name]) for name in kept)


@pytest.fixture(scope="module")
def full(store, tmp_path_factory):
    root = tmp_path_factory.mktemp("full")
    return {
        kind: make(root / kind, store, "full", {}, kind)[2]
        for kind in ("pair", "single")
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "conf", "kind"),
    [
        ("llrd", {"decay": 1}, "pair"),
        ("l2sp", {"weight": 0}, "pair"),
        ("augment", {"prob": 0}, "pair"),
        ("adversarial", {"weight": 0}, "pair"),
        ("adversarial", {"grl_lambda": 0}, "pair"),
        ("adversarial", {}, "single"),
        ("adversarial+augment", {"augment": {"prob": 0}}, "single"),
    ],
)
def test_a_strategy_without_effect_is_full_bit_for_bit(
    full, strategy, conf, kind, store, tmp_path
):
    _, _, state = make(tmp_path / "exp", store, strategy, conf, kind)
    assert state.keys() == full[kind].keys()
    assert all(state[name].equal(full[kind][name]) for name in state)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["llrd", "l2sp", "augment", "adversarial"])
def test_a_strategy_with_effect_is_not_full(full, strategy, store, tmp_path):
    conf = OPTIONS.get(strategy, {})
    _, _, state = make(tmp_path / "exp", store, strategy, conf)
    assert any(not state[name].equal(value) for name, value in full["pair"].items())


@pytest.mark.parametrize(
    ("strategy", "conf", "message"),
    [
        ("adversarial", {"languages": ["es"]}, r"languages: \['es'\] in strategy_conf"),
        ("lora+adversarial", {"adversarial": 3}, "adversarial does not go with"),
        ("lora", {"target_modules": "query"}, "target_modules: query in"),
        (
            "full",
            {"rank": 4},
            "strategy: full has no option rank: strategy_conf takes none",
        ),
        ("lora+nothing", {}, r"strategy cannot be 'lora\+nothing'"),
    ],
)
def test_what_no_run_could_do_is_refused_before_the_first(
    strategy, conf, message, store
):
    with pytest.raises(UserError, match=message):
        build_once(settings_of(store, strategy, conf), "gender")


def test_espnets_own_adapters_are_refused(store):
    settings = settings_of(store, "full", {}, use_adapter=True)
    with pytest.raises(UserError, match=r"use_adapter: .* set strategy: lora or"):
        build_once(settings, "gender")


@pytest.mark.slow
def test_workers_do_not_change_what_is_drawn(store, tmp_path):
    one, other = (
        make(tmp_path / str(n), store, "augment", {"prob": 1}, num_workers=n)[2]
        for n in (0, 2)
    )
    assert all(one[name].equal(other[name]) for name in one)


STRATEGIES = ["full", "lora", "adversarial", "adversarial+augment", "augment"]


@pytest.fixture(scope="module")
def several(store, tmp_path_factory):
    """An experiment of several strategies, made in one process, and its results."""
    root = tmp_path_factory.mktemp("several")
    directory = plan_several(root, store, STRATEGIES)
    made = make_left(directory)
    results_of(directory)
    return directory, made


def plan_several(root, store, strategies, seeds=(42,)):
    settings = settings_of(store, "full", {})
    settings = replace(settings, strategies=read_strategies(strategies))
    return plan_experiment(root, settings, ["es", "tr"], seeds)


def test_runs_of_one_language_without_an_adversary_are_not_repeated(several):
    directory, made = several
    runs = [planned.run for planned in read_plan(directory.plan)]
    assert made == [run.name for run in runs]
    assert len(made) == 3 * 5 + 2
    of_full = [run.name for run in runs if run.strategy == "full"]
    assert of_full[0] == "gender.single.es.n2.s42"
    assert "gender.pair.es+tr.n2.adversarial+augment.s42" in made
    table = pd.read_csv(directory.results, sep="\t")
    kinds = table.drop_duplicates(["run", "strategy"]).groupby("strategy")["kind"]
    assert kinds.count().to_dict() == dict.fromkeys(STRATEGIES, 5)
    single = table[(table["kind"] == "single") & (table["strategy"] == "adversarial")]
    assert set(single["run"]) <= set(of_full)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["full", "lora", "augment"])
def test_runs_mixed_in_one_process_are_those_of_one_strategy(
    several, strategy, store, tmp_path
):
    directory, _ = several
    config = read_strategies([strategy])[strategy]
    conf = config["strategy_conf"]
    alone, planned, _ = make(tmp_path / "exp", store, strategy, conf)
    name = replace(planned.run, strategy=strategy, is_own=strategy == "full").name
    for lang in planned.test_languages:
        mixed = directory.predictions(name, lang, ".tsv").read_bytes()
        assert mixed == alone.predictions(planned.run.name, lang, ".tsv").read_bytes()


def test_a_strategy_may_be_added_and_one_that_changes_is_refused(store, tmp_path):
    directory = plan_several(tmp_path, store, ["full"])
    before = {planned.run for planned in read_plan(directory.plan)}
    end_run(directory, read_plan(directory.plan)[0])
    plan_several(tmp_path, store, ["full", "lora"])
    assert before < {planned.run for planned in read_plan(directory.plan)}
    settings = read_settings(directory.settings)
    lora = {**settings.strategies["lora"], "strategy_conf": {"rank": 1}}
    with pytest.raises(UserError, match=r"strategies\.lora\.strategy_conf\.rank"):
        check_unchanged(
            directory.settings, replace(settings, strategies={"lora": lora})
        )
    # An experiment that knew no strategies has the runs of its configuration.
    text = directory.plan.read_text().splitlines()
    directory.plan.write_text(
        "".join(
            f"{line.rsplit(chr(9), 2)[0]}\n" for line in text if ".lora." not in line
        )
    )
    assert {planned.run for planned in read_plan(directory.plan)} == before


def test_experiments_of_different_strategies_merge(store, tmp_path):
    made = [["full", "lora"], ["full", "adversarial"]]
    roots = [tmp_path / str(number) for number in range(2)]
    for root, strategies in zip(roots, made, strict=True):
        plan_several(root, store, strategies, seeds=(len(strategies[1]),))
    merged = merge_experiments(roots, tmp_path / "both")
    assert {p.run.strategy for p in merged} == {"full", "lora", "adversarial"}
    shared = {p.run.seed for p in merged if p.shared_by == ("adversarial",)}
    assert shared == {11}
    settings = read_settings(tmp_path / "both" / "experiment.yaml")
    assert set(settings.strategies) == {"full", "lora", "adversarial"}


def test_a_strategy_that_cannot_be_built_is_named(store):
    overlay = {"strategy": "lora", "strategy_conf": {"target_modules": "query"}}
    settings = replace(settings_of(store, "full", {}), strategies={"lora4": overlay})
    with pytest.raises(UserError, match="--strategy lora4, gender: target_modules"):
        build_once(settings, "gender", strategy="lora4", is_own=False)


def test_overlays_are_laid_over_the_configuration(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "conf" / "strategies"
    own.mkdir(parents=True)
    (own / "lora2.yaml").write_text(
        "strategy: lora\nstrategy_conf: {rank: 2}\noptim_conf: {lr: 1.0e-2}\n"
    )
    settings = replace(
        settings_of(store, "lora", {"rank": 3}),
        strategies=read_strategies(["full", "lora", "lora2+augment"]),
    )
    full, lora, both = (
        config_of(settings, "gender", s.name, s.is_own)
        for s in strategies_of(settings, "gender")
    )
    assert full["strategy"] == "full"
    assert lora["strategy_conf"] == {"rank": 3}  # the configuration's own
    assert both["strategy"] == "lora+augment"
    assert both["strategy_conf"]["lora"] == {"rank": 2}
    assert both["optim_conf"] == {"lr": 1.0e-2, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["lora", "lora"], "lora twice"),
        (["lora+lora"], r"lora\+lora twice"),
        (["lora+nothing"], "--strategy nothing is not known: give some of adversarial"),
        (["../lora"], r"--strategy \.\./lora is not known"),
        (["equal"], "--strategy equal is not known"),
    ],
)
def test_strategies_that_are_not_there_are_refused(names, message):
    with pytest.raises(UserError, match=message):
        read_strategies(names)


def test_an_adversary_in_learning_curves_is_refused(store):
    settings = replace(
        settings_of(store, "full", {}),
        strategies=read_strategies(["full", "adversarial"]),
        regime_budgets=(1, 2),
    )
    with pytest.raises(UserError, match="--strategy adversarial does nothing"):
        strategies_of(settings, "gender")
