"""Donors that stand in for a language: planned, trained, and what they are worth."""

import json
from dataclasses import replace

import pytest

from espnet2_cltm.bin import build_matrix
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.plan import all_runs, read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.matrix.pool_choice import choose_pools
from espnet2_cltm.pools import PoolOptions
from tests.experiment.kept_experiments import (
    SPEAKERS,
    make_left,
    plan_experiment,
    results_of,
    settings_for,
)

LANGS = ["es", "sw", "sw@tts"]
DUMP = {"languages": LANGS, "speakers": SPEAKERS}


def test_they_are_donors_only():
    runs = all_runs("gender", [*LANGS, "es@tts"], 2, [1])
    by_kind = {
        kind: {run.languages for run in runs if run.kind == kind}
        for kind in ("single", "double", "pair")
    }
    assert by_kind["single"] == {("es",), ("sw",), ("sw@tts",), ("es@tts",)}
    assert by_kind["double"] == {("es",), ("sw",)}
    assert ("es@tts", "sw@tts") not in by_kind["pair"]
    assert len(by_kind["pair"]) == 5
    pair = next(run for run in runs if run.languages == ("sw", "sw@tts"))
    assert pair.test_languages(LANGS, True) == ["sw"]


@pytest.mark.parametrize("zero_shot", [True, False])
def test_nothing_is_tested_on_them(store, zero_shot):
    plan = make_plan(settings_for(store, zero_shot=zero_shot), LANGS, [42])
    tested = {lang for p in plan.runs for lang in p.test_languages}
    assert tested == {"es", "sw"}
    alone = [p for p in plan.runs if p.run.languages == ("sw@tts",)]
    assert len(alone) == zero_shot  # what it gives without real speech


def test_learning_curves_are_of_languages(store):
    settings = settings_for(store, budget={}, regime_budgets=(1, 2), zero_shot=False)
    plan = make_plan(settings, LANGS, [42])
    assert {p.run.languages for p in plan.runs} == {("es",), ("sw",)}


def test_donors_without_a_target_are_refused(store):
    with pytest.raises(UserError, match="a target and a donor"):
        make_plan(settings_for(store), ["sw@tts"], [42])


def test_pools_have_them_where_they_are_named():
    options = PoolOptions(pools=("all", "random:1", "sw@tts"))
    chosen = choose_pools(options, LANGS, [1], {})
    donors = {(one.target, one.pool): one.donors for one in chosen}
    assert donors == {
        ("es", "all"): ("sw",),
        ("sw", "all"): ("es",),
        ("es", "random:1"): ("sw",),
        ("sw", "random:1"): ("es",),
        ("es", "sw@tts"): ("sw@tts",),
        ("sw", "sw@tts"): ("sw@tts",),
    }
    with pytest.raises(UserError, match="sw@tts is a donor only"):
        choose_pools(replace(options, targets=("sw@tts",)), LANGS, [1], {})


@pytest.mark.slow
def test_the_report_says_what_a_synthetic_utterance_is_worth(store, tmp_path):
    directory = plan_experiment(tmp_path, settings_for(store), LANGS, (1, 2, 3))
    make_left(directory)
    results_of(directory)
    tests = {p.run: p.test_languages for p in read_plan(directory.plan)}
    assert {tests[run] for run in tests if run.languages == ("sw", "sw@tts")} == {
        ("sw",)
    }
    out = tmp_path / "cltm"
    build_matrix.main(
        ["--results", str(directory.results), "--task", "gender", "--outdir", str(out)]
    )
    header, *rows = (out / "cltm.csv").read_text().splitlines()
    assert header == "target,es,sw,sw@tts"
    assert [row for row in rows if row.startswith("sw@tts")] == ["sw@tts,,,"]
    page = (out / "report.html").read_text()
    assert "What is a synthetic utterance of Swahili worth in real ones?" in page
    assert "Swahili (synthetic)" in page
    summary = json.loads((out / "summary.json").read_text())
    assert "sw@tts" in json.dumps(summary)
