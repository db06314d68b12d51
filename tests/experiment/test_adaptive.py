"""An adaptive design: rounds of pairs, each planned from what the last ones told."""

from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.bin.make_plan import next_rounds
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.recipe import resolve
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.files import write_text
from espnet2_cltm.results_format import RESULT_COLUMNS
from tests.speech import TINY_GENDER

LANGS = ["ca", "es", "fi", "sw", "tr"]
DUMP = {"languages": LANGS}
SEEDS = (1, 2, 3, 4, 5)
N_PAIRS = 10
HELP = {"ca": 0.0, "es": 0.02, "fi": 0.04, "sw": 0.06, "tr": 0.08}


@pytest.fixture
def settings(store):
    return Settings(
        "demo",
        str(store),
        {"gender": 2},
        train_config={"gender": TINY_GENDER},
        design="adaptive",
    )


def plan(directory, settings, seeds=SEEDS, langs=LANGS):
    choose = next_rounds(directory, settings, "")
    planned = make_plan(settings, langs, seeds, directory, None, choose)
    write_experiment(directory, planned)
    return [p.run for p in read_plan(directory.plan)]


def pairs(runs):
    return {(run.languages, run.seed) for run in runs if run.kind == "pair"}


def score(directory, runs, noise=0.01):
    """Pretend that runs are made and scored: some donors help more than others."""
    lines = ["\t".join(RESULT_COLUMNS)]
    for number, run in enumerate(sorted(runs)):
        write_text(directory.metrics(run.name), '{"test": {}}')
        chance = np.random.default_rng((number, run.seed)).normal(0, noise)
        for lang in run.languages:
            other = next((x for x in run.languages if x != lang), lang)
            gain = {"single": 0.0, "double": 0.1, "pair": HELP[other]}[run.kind]
            value = 0.6 + gain + chance
            fields = (run.name, run.task, run.kind, "+".join(run.languages), 2)
            fields += (run.seed, lang, "macro_f1", value, 10, run.steps)
            fields += (run.strategy, run.size, run.method, run.shots)
            lines.append("\t".join(map(str, fields)))
    write_text(directory.results, "\n".join(lines) + "\n")


def test_rounds_grow_until_the_best_donors_are_known(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    rounds = [plan(directory, settings)]
    assert {run.kind for run in rounds[0]} == {"single", "double", "pair"}
    assert len([run for run in rounds[0] if run.kind != "pair"]) == 2 * 5 * 5
    assert 0 < len(pairs(rounds[0])) < N_PAIRS * len(SEEDS)
    assert plan(directory, settings) == rounds[0]  # it is not made yet
    for run in rounds[0]:
        write_text(directory.metrics(run.name), '{"test": {}}')
    assert plan(directory, settings) == rounds[0]  # nor scored
    while True:
        score(directory, rounds[-1])
        after = plan(directory, settings)
        if after == rounds[-1]:
            break
        assert pairs(rounds[-1]) < pairs(after)
        rounds.append(after)
    assert len(rounds) > 1 and len(pairs(rounds[-1])) < N_PAIRS * len(SEEDS)
    # More is asked for: seeds, a language, all pairs. Nothing planned goes.
    for more in (
        {"seeds": (*SEEDS, 6)},
        {"settings": replace(settings, design="full")},
    ):
        options = {"settings": settings, **more}
        assert set(rounds[-1]) <= {*plan(directory, **options)}


def test_the_budget_of_runs_ends_a_design(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    small = replace(settings, pairs_fraction=0.26, certainty=1.0)
    runs = plan(directory, small)
    for _ in range(9):
        score(directory, runs, noise=0.05)
        runs = plan(directory, small)
    assert len(pairs(runs)) == 13


def test_learning_curves_have_no_design():
    words = ["--task", "gender", "--regime_budgets", "2 4", "--design", "adaptive"]
    with pytest.raises(UserError, match="leave --design adaptive out"):
        resolve(words, {})
