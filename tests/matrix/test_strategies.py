"""Strategies side by side: paired by seed, shared runs and costs included."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from espnet2_cltm.matrix.results import Choice, read_scores
from espnet2_cltm.matrix.strategies import (
    compare_strategies,
    read_strategy_costs,
    strategy_sentences,
    write_strategies,
)
from espnet2_cltm.matrix.uncertainty import IntervalSettings, analyse
from espnet2_cltm.results_format import COST_COLUMNS
from tests.matrix.results_files import perf_rows, write_results

LANGUAGES, SEEDS = ("ca", "es", "tr"), (1, 2, 3, 4)
SETTINGS = IntervalSettings(resamples=200)


def perf(lower, gain, seed):
    """Scores of a strategy with the noise that all have in common, and its own."""
    own = np.random.default_rng(seed)

    def of_run(kind, tested, donor, number):
        common = 0.01 * number + 0.005 * LANGUAGES.index(tested)
        worth = {"single": 0 if tested == donor else -0.2, "double": 1, "pair": 0.6}
        return 0.6 - lower + common + worth[kind] * gain + own.normal(0, 0.003)

    return of_run


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Give results of three strategies; ``alike`` shares runs of one language."""
    full = perf_rows(LANGUAGES, SEEDS, perf(0, 0.1, 0))
    lora = perf_rows(LANGUAGES, SEEDS, perf(0.1, 0.05, 1))
    rows = [[*row, "equal", "full"] for row in full]
    rows += [[f"{row[0]}.lora", *row[1:], "equal", "lora"] for row in lora]
    for row in full:
        alone = row[2] != "pair"
        rows.append([row[0] if alone else f"{row[0]}.x", *row[1:], "equal", "alike"])
    path = write_results(tmp_path_factory.mktemp("exp") / "results.tsv", rows)
    runs = {row[0]: row[11] for row in reversed(rows)}
    earlier = [name for name in COST_COLUMNS if name != "sent_bytes"]
    costs = pd.DataFrame({"run": list(runs)}).reindex(columns=["run", *earlier])
    is_lora = costs["run"].str.endswith(".lora")
    costs["train_seconds"] = np.where(is_lora, 5.0, 8.0)
    costs["test_seconds"] = 1.0
    costs["trainable_parameters"] = np.where(is_lora, 10, 1000)
    costs.to_csv(path.with_name("costs.tsv"), sep="\t", index=False)
    return path


@pytest.fixture(scope="module")
def compared(experiment):
    analyses = {
        name: analyse(read_scores(experiment, Choice(strategy=name)), SETTINGS)
        for name in ("full", "alike", "lora")
    }
    source = analyses["full"].scores.source
    costs = read_strategy_costs(experiment, source)
    return analyses, compare_strategies(analyses, costs, SETTINGS)


def test_differences_are_paired_by_seed(compared):
    analyses, found = compared
    full, lora = (analyses[name].scores for name in ("full", "lora"))
    first, _, one = found.numbers["perf_single"]
    assert np.isnan([first.difference, first.low]).all()
    by_seed = lora.single.mean(axis=0), full.single.mean(axis=0)
    expected = ttest_rel(*by_seed).confidence_interval(0.95)
    assert one.value == pytest.approx(lora.single.mean())
    assert (one.low, one.high) == pytest.approx((expected.low, expected.high))
    assert one.difference == pytest.approx(one.value - first.value)
    elsewhere = found.numbers["perf_zero_shot"][2]
    n = len(LANGUAGES)
    off_diagonal = lora.zero_shot[~np.eye(n, dtype=bool)]
    assert elsewhere.value == pytest.approx(off_diagonal.mean())


def test_what_is_the_same_differs_by_nothing(compared):
    _, found = compared
    for name in ("perf_single", "perf_pair", "self_gain", "mean_cltm", "rfd"):
        alike = found.numbers[name][1]
        assert (alike.difference, alike.low, alike.high) == (0, 0, 0), name


def test_transfer_has_an_interval_and_costs_count_shared_runs(compared, tmp_path):
    _, found = compared
    transfer = found.numbers["mean_cltm"][2]
    assert transfer.low < transfer.difference < transfer.high
    assert [one.value for one in found.numbers["seconds"]] == [9, 9, 6]
    assert found.numbers["trainable_parameters"][2].difference == -990
    assert np.isnan(found.numbers["cpu_seconds"][0].value)
    first, *_ = strategy_sentences(found)
    assert "clearly lower with lora; not clearly different with alike" in first
    write_strategies(tmp_path / "strategies.tsv", found)
    table = pd.read_csv(tmp_path / "strategies.tsv", sep="\t")
    assert list(table["strategy"]) == ["full", "alike", "lora"]
    assert list(table.columns[2:4]) == ["perf_single", "perf_single_difference"]


def test_strategies_without_a_seed_in_common_have_no_difference(compared):
    full, lora = (compared[0][name] for name in ("full", "lora"))
    others = tuple(seed + 100 for seed in lora.scores.seeds)
    lora = replace(lora, scores=replace(lora.scores, seeds=others))
    found = compare_strategies({"full": full, "lora": lora}, {}, SETTINGS)
    assert not strategy_sentences(found)
    for name in ("perf_single", "perf_zero_shot", "cross_gain", "mean_cltm"):
        one = found.numbers[name][1]
        assert np.isfinite(one.value) and np.isnan([one.difference, one.low]).all()
