"""Targets without data: what is read, compared and written."""

import math

import pytest

from espnet2_cltm.matrix.pool_results import read_pool_results, write_pool_results
from espnet2_cltm.matrix.regime import read_curves
from espnet2_cltm.matrix.results import Choice, read_scores
from espnet2_cltm.matrix.uncertainty import IntervalSettings
from tests.matrix.pool_files import BUDGET, GOOD, LANGUAGES, write_pool_experiment
from tests.matrix.results_files import perf_rows, write_results

SETTINGS = IntervalSettings(resamples=200)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_pool_experiment(tmp_path_factory.mktemp("exp"))


@pytest.fixture(scope="module")
def results(path):
    return read_pool_results(path, read_scores(path).source, SETTINGS)


def test_pools_and_shots_stay_out_of_the_matrix(path):
    scores = read_scores(path)
    assert scores.source.budget == BUDGET
    assert scores.languages == LANGUAGES


def test_curves_of_few_shots_can_be_read_as_learning_curves(path):
    assert read_curves(path).sizes == (2, 4, 8, 16)


def test_a_pool_is_compared_and_worth_what_the_curve_says(results):
    pool = results.best_pool("gl")
    assert pool.pool == "all"
    assert pool.donors == ("ca", "es", "pt")
    assert pool.perf[0] == pytest.approx(0.7 + GOOD)
    # 0.06 of the 0.1 from N = 8 to 16: 8 * 2 ** 0.6.
    assert pool.equivalent.n == pytest.approx(8 * 2**0.6)
    assert pool.difference("single")[0] == pytest.approx(GOOD)
    assert pool.difference("best_donor") == pytest.approx((0.19, 0.19, 0.19))
    assert math.isnan(pool.difference("random")[0])  # of as many donors, there is none


def test_shots_are_compared_with_none_and_with_the_encoder_alone(results):
    first, second = results.after(results.best_pool("gl"))
    assert (first.shots, second.shots) == (2, 4)
    assert first.difference("no_shots")[0] == pytest.approx(0.02)
    assert first.difference("encoder")[0] == pytest.approx(0.7 + GOOD + 0.02 - 0.5)


def test_means_over_targets_are_paired_by_seed(results):
    means = {(score.pool, score.shots): of for score, of in results.means()}
    assert means["all", 0]["single"] == pytest.approx((GOOD, GOOD, GOOD))
    assert means["all", 4]["no_shots"][0] == pytest.approx(0.04)
    assert "no_shots" not in means["all", 0]


def test_the_best_donor_is_named(results):
    assert results.best_donor("gl").donors == ("pt",)
    assert results.best_donor("pt").perf[0] == pytest.approx(0.55)


def test_the_table_has_a_line_for_every_way(results, tmp_path):
    path = tmp_path / "pools.tsv"
    write_pool_results(path, results)
    header, *lines = [x.split("\t") for x in path.read_text().splitlines()]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    of_gl = [(r["pool"], r["donors"], r["shots"]) for r in rows if r["target"] == "gl"]
    assert of_gl == [
        *(("donor", lang, "0") for lang in ("ca", "es", "pt")),
        *(("encoder", "", m) for m in "24"),
        *(("all", "ca+es+pt", m) for m in "024"),
        ("random:2", "ca+es", "0"),
    ]


def test_an_experiment_without_pools_has_nothing(tmp_path):
    def perf(kind, tested, donor, seed):
        return 0.5 + (kind == "double") * 0.1 + seed / 1e4

    path = write_results(tmp_path / "results.tsv", perf_rows(["ca", "es"], [1], perf))
    assert read_pool_results(path, read_scores(path).source, SETTINGS) is None


def test_the_choice_of_n_may_be_given(path):
    assert read_scores(path, Choice(budget=BUDGET)).source.budget == BUDGET
